"""Servers of either engine, for what both must do alike."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from typing import Any, Protocol

from tests.servers import LOCAL
from whichpod.echo.fast.server import FastServer
from whichpod.echo.identity import Identity
from whichpod.echo.run import make
from whichpod.echo.server import EchoServer
from whichpod.echo.settings import ServerSettings

Server = EchoServer | FastServer


class Serve(Protocol):
    """Starts a server in this process, on a free port."""

    def __call__(
        self, *, settings: ServerSettings = LOCAL, pod: str = "echo-0", **changes: Any
    ) -> AbstractContextManager[Server]: ...


def serve(engine: str) -> Serve:
    """`tests.servers.echo` for one engine."""

    @contextmanager
    def started(*, settings: ServerSettings = LOCAL, pod: str = "echo-0", **changes: Any) -> Iterator[Server]:
        server = make(replace(settings, engine=engine, **changes), Identity.from_env({"POD_NAME": pod}))
        server.start()
        try:
            yield server
        finally:
            server.drain(0)

    return started


@contextmanager
def fast(*, settings: ServerSettings = LOCAL, pod: str = "echo-0", **changes: Any) -> Iterator[FastServer]:
    """One of the fast engine."""
    with serve("fast")(settings=settings, pod=pod, **changes) as server:
        assert isinstance(server, FastServer)
        yield server
