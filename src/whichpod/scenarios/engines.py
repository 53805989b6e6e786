"""Which of the echo service's two servers a scenario's pods run."""

from __future__ import annotations

from dataclasses import replace

from whichpod.manifest.bundle import Bundle
from whichpod.manifest.kinds import Container
from whichpod.model.errors import UsageError

GRPCIO, FAST = "grpcio", "fast"
ENGINES = (FAST, GRPCIO)


def check_engine(engine: str) -> None:
    """Raises UsageError for one that isn't known."""
    if engine not in ENGINES:
        raise UsageError(f"There is no engine {engine!r}.", fix=f"Known: {', '.join(ENGINES)}.")


def served_by(bundle: Bundle, engine: str) -> Bundle:
    """The bundle with its echo servers on the given engine. grpcio is what manifests mean without a word;
    those that name an engine keep it."""
    if engine == GRPCIO:
        return bundle

    return with_args(bundle, ("--engine", engine), but_for="--engine")


def with_args(bundle: Bundle, args: tuple[str, ...], *, but_for: str = "") -> Bundle:
    """The bundle with its echo servers told more, but for those that have the option `but_for` already."""
    if not args:
        return bundle

    def told(container: Container) -> Container:
        if container.args[:1] != ("serve",):
            return container
        if but_for and any(arg.startswith(but_for) for arg in container.args):
            return container
        return replace(container, args=(*container.args, *args))

    return replace(
        bundle,
        deployments=tuple(replace(d, containers=tuple(map(told, d.containers))) for d in bundle.deployments),
    )
