"""Programs of this machine in place of images that the lab doesn't know: `--run IMAGE=COMMAND`."""

from __future__ import annotations

import os
import shlex
import shutil
from collections.abc import Callable, Iterable
from dataclasses import replace
from fnmatch import fnmatchcase
from pathlib import Path

from whichpod.cluster.local.images import image_names
from whichpod.manifest.bundle import Bundle
from whichpod.manifest.kinds import Container, Deployment, Local
from whichpod.model.errors import UsageError


def parse_run(text: str) -> tuple[str, str]:
    """`IMAGE=COMMAND` as both. Raises UsageError."""
    image, sign, command = text.partition("=")
    if not sign or not image.strip() or not command.strip():
        raise UsageError(
            f"--run {text!r} makes no sense.", fix="Write IMAGE=COMMAND: --run 'shop=./shop --port {port}'."
        )
    return image.strip(), command.strip()


def with_runs(bundle: Bundle, runs: Iterable[tuple[str, str, str]]) -> Bundle:
    """The bundle with programs for the images that are named: (image, command, folder).

    Raises UsageError for a program that isn't there and for an image that no container has.
    """
    known = [(image, local_of(image, command, folder)) for image, command, folder in runs]
    if not known:
        return bundle
    met: set[str] = set()

    def of(container: Container) -> Container:
        for image, local in known:
            if any(fnmatchcase(name, image) for name in image_names(container.image)):
                met.add(image)
                return replace(container, local=local)
        return container

    found = replace(bundle, deployments=tuple(_with(d, of) for d in bundle.deployments))
    for image, _ in known:
        if image not in met:
            containers = (c for d in bundle.deployments for c in (*d.init_containers, *d.containers))
            images = sorted({c.image for c in containers})
            raise UsageError(
                f"--run {image}=...: no container has such an image.", fix=f"There are: {', '.join(images)}."
            )
    return found


def local_of(image: str, command: str, folder: str) -> Local:
    """A program, found. Raises UsageError where it isn't there."""
    try:
        first = next(iter(shlex.split(command)), "")
    except ValueError as e:
        raise UsageError(f"--run {image}={command}: {e}.", fix="Quote it as for a shell.") from None
    found = shutil.which(first) if os.sep not in first else _executable(Path(folder) / first)
    if not found:
        raise UsageError(
            f"--run {image}={command}: there is no program {first!r}.",
            fix=f"It is looked for {'in ' + folder if os.sep in first else 'on PATH'}.",
        )
    return Local(command, str(Path(found).absolute()), folder)


def _executable(path: Path) -> str | None:
    return str(path) if path.is_file() and os.access(path, os.X_OK) else None


def _with(deployment: Deployment, of: Callable[[Container], Container]) -> Deployment:
    return replace(
        deployment,
        containers=tuple(map(of, deployment.containers)),
        init_containers=tuple(map(of, deployment.init_containers)),
    )
