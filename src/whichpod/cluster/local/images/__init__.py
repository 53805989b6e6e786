"""Container images that the lab knows, each run as its real program. A module per image."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from whichpod.cluster.local.images import caddy, envoy, haproxy, nginx, program, whichpod
from whichpod.cluster.local.images.base import Context
from whichpod.cluster.local.supervisor import Process
from whichpod.manifest.kinds import Container
from whichpod.model.errors import ManifestError

_NAME = re.compile(r"(?:(?:[^/]*[.:][^/]*|localhost)/)?(?P<path>[^:@]+)(?::[^@]*)?(?:@.*)?")

_TAG = re.compile(r"(?::[^/:@]*)?(?:@.*)?$")


@dataclass(frozen=True, slots=True)
class Image:
    """An image that can be run."""

    name: str
    launch: Callable[[Context], Process]
    own: tuple[str, ...]
    """Folders of the image that configurations may name."""
    binary: str = ""
    """Name for `binaries.find`; empty for whichpod's own image."""
    dials: bool = True
    """Whether it may want to reach Services."""


WHICHPOD = Image("whichpod", whichpod.launch, whichpod.OWN, dials=False)
PROGRAM = Image("a program of this machine", program.launch, program.OWN)
IMAGES = (
    WHICHPOD,
    Image("envoyproxy/envoy", envoy.launch, envoy.OWN, "envoy"),
    Image("nginx", nginx.launch, nginx.OWN, "nginx"),
    Image("caddy", caddy.launch, caddy.OWN, "caddy"),
    Image("haproxy", haproxy.launch, haproxy.OWN, "haproxy"),
)


def image_of(container: Container) -> Image:
    """What runs a container: the image that it asks for, whatever registry or tag, or a program of this
    machine. Raises ManifestError with file and line for an image that nothing is known to run.
    """
    if container.local:
        return PROGRAM
    *_, path, name = image_names(container.image)
    for image in IMAGES:
        if path == image.name or (image is WHICHPOD and name == image.name):
            return image
    raise container.where.error(
        f"the container {container.name} has the image {container.image!r}, which the lab can't run: it has "
        "processes, no containers.",
        fix=f"It knows the images {', '.join(i.name for i in IMAGES)}, of any version; "
        f"`whichpod lab up --run '{name}=COMMAND'` runs a program of this machine in its place.",
    )


def known(container: Container) -> bool:
    """Whether something is there to run a container."""
    try:
        image_of(container)
    except ManifestError:
        return False
    return True


def image_names(reference: str) -> tuple[str, ...]:
    """An image's names, from the whole reference to its last part: without tag, without registry, alone."""
    match = _NAME.fullmatch(reference)
    path = match["path"].removeprefix("library/") if match else reference
    untagged = _TAG.sub("", reference)
    return reference, untagged, path, path.rpartition("/")[2]
