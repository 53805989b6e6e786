"""Container images that the lab knows, each run as its real program. A module per image."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from whichpod.cluster.local.images import caddy, envoy, haproxy, nginx, whichpod
from whichpod.cluster.local.images.base import Context
from whichpod.cluster.local.supervisor import Process
from whichpod.manifest.kinds import Container
from whichpod.model.errors import LabError

_NAME = re.compile(r"(?:(?:[^/]*[.:][^/]*|localhost)/)?(?P<path>[^:@]+)(?::[^@]*)?(?:@.*)?")


@dataclass(frozen=True, slots=True)
class Image:
    """An image that can be run."""

    name: str
    launch: Callable[[Context], Process]
    own: tuple[str, ...]
    """Folders of the image that configurations may name."""
    binary: str = ""
    """Name for `binaries.find`; empty for whichpod's own image."""


WHICHPOD = Image("whichpod", whichpod.launch, whichpod.OWN)
IMAGES = (
    WHICHPOD,
    Image("envoyproxy/envoy", envoy.launch, envoy.OWN, "envoy"),
    Image("nginx", nginx.launch, nginx.OWN, "nginx"),
    Image("caddy", caddy.launch, caddy.OWN, "caddy"),
    Image("haproxy", haproxy.launch, haproxy.OWN, "haproxy"),
)


def image_of(container: Container) -> Image:
    """The image that a container asks for, whatever registry or tag. Raises LabError with file and line."""
    match = _NAME.fullmatch(container.image)
    path = match["path"].removeprefix("library/") if match else ""
    for image in IMAGES:
        if path == image.name or (image is WHICHPOD and path.endswith("/whichpod")):
            return image
    raise LabError(
        f"{container.where}: the container {container.name} has the image {container.image!r}, "
        "which a loopback lab can't run: it has processes, no containers.",
        fix=f"It knows the images {', '.join(i.name for i in IMAGES)}, of any version.",
    )
