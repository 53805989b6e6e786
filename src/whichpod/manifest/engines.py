"""Which of the echo service's two servers pods run."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from whichpod.model.errors import UsageError

if TYPE_CHECKING:
    from whichpod.manifest.bundle import Bundle
    from whichpod.manifest.kinds import Container

GRPCIO, FAST = "grpcio", "fast"
ENGINES = (FAST, GRPCIO)
VARIABLE = "WHICHPOD_ENGINE"
"""What a container's environment may name it by."""
_SERVE = ("serve",)
_IMAGE = re.compile(r"(?:.*/)?whichpod(?:[:@].*)?")


def check_engine(engine: str) -> None:
    """Raises UsageError for one that isn't known."""
    if engine not in ENGINES:
        raise UsageError(f"There is no engine {engine!r}.", fix=f"Known: {', '.join(ENGINES)}.")


def served_by(bundle: Bundle, engine: str) -> Bundle:
    """The bundle with its echo servers on the given engine. grpcio is what manifests mean without a word;
    those that name an engine keep it."""
    if engine == GRPCIO:
        return bundle
    return with_args(bundle, ("--engine", engine), but_for=_names_one)


def with_args(
    bundle: Bundle, args: tuple[str, ...], *, but_for: Callable[[Container], bool] = lambda _: False
) -> Bundle:
    """The bundle with its echo servers told more, but for those of which `but_for` holds."""
    if not args:
        return bundle

    def told(container: Container) -> Container:
        if not _serves(container) or but_for(container):
            return container
        # Without a word the image serves; with one it has to be told to.
        said = container.args if container.command or container.args else _SERVE
        return replace(container, args=(*said, *args))

    return replace(
        bundle,
        deployments=tuple(replace(d, containers=tuple(map(told, d.containers))) for d in bundle.deployments),
    )


def _serves(container: Container) -> bool:
    """Whether it runs the echo service: by the image's own entrypoint, or by a command that says so."""
    words = (*container.command, *container.args)
    if container.local:
        return False
    if not words:
        return bool(_IMAGE.fullmatch(container.image))
    for program in (("whichpod",), ("python", "-m", "whichpod"), ("python3", "-m", "whichpod")):
        if words[: len(program)] == program:
            words = words[len(program) :]
            break
    return words[:1] == _SERVE


def _names_one(container: Container) -> bool:
    words = (*container.command, *container.args)
    return any(w == "--engine" or w.startswith("--engine=") for w in words) or any(
        e.name == VARIABLE for e in container.env
    )
