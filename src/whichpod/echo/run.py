"""Runs an echo server until it is told to end."""

from __future__ import annotations

import json
import signal
import threading
from collections.abc import Mapping
from typing import TYPE_CHECKING

from whichpod.echo.identity import Identity
from whichpod.echo.settings import ServerSettings
from whichpod.model.errors import ExitCode

if TYPE_CHECKING:
    from whichpod.echo.fast.places import Place
    from whichpod.echo.fast.server import FastServer
    from whichpod.echo.server import EchoServer


def serve(settings: ServerSettings, environ: Mapping[str, str], *, as_json: bool = False) -> int:
    """Serves until SIGTERM or SIGINT, then drains. A second signal ends it at once.

    Prints one line when it listens. Returns the exit code. Raises UsageError and LabError as EchoServer does.
    It takes over both signals, so it belongs into a process's main thread.
    """
    server = make(settings, Identity.from_env(environ))
    ending = threading.Event()

    def end(number: int, _frame: object) -> None:
        if ending.is_set():
            signal.signal(number, signal.SIG_DFL)
            signal.raise_signal(number)
        ending.set()

    before = {number: signal.signal(number, end) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        server.start()
        print(_as_json(server) if as_json else _as_text(server), flush=True)
        # A wait without end would not be woken by signals on every platform.
        while not ending.wait(1.0):
            pass
    finally:
        server.drain()
        for number, handler in before.items():
            signal.signal(number, handler)
    return ExitCode.OK


def make(settings: ServerSettings, identity: Identity) -> EchoServer | FastServer:
    """The server of the engine that the settings name. Raises UsageError where they make no sense."""
    # Only the one that is asked for is imported: grpcio takes a quarter of a second.
    if settings.engine == "fast":
        from whichpod.echo.fast.server import FastServer

        return FastServer(settings, identity)
    from whichpod.echo.server import EchoServer

    return EchoServer(settings, identity)


def _pods(server: EchoServer | FastServer) -> tuple[Place, ...]:
    """The pods where there are several."""
    pods = getattr(server, "pods", ())
    return pods if len(pods) > 1 else ()


def _as_json(server: EchoServer | FastServer) -> str:
    said = {"schema_version": 1, "listening": server.address, "server_id": server.identity.server_id}
    if pods := _pods(server):
        said["pods"] = [
            {"pod": p.identity.pod, "listening": p.address, "server_id": p.identity.server_id} for p in pods
        ]
    return json.dumps(said)


def _as_text(server: EchoServer | FastServer) -> str:
    if pods := _pods(server):
        first, last = pods[0], pods[-1]
        names = f"{first.identity.pod} to {last.identity.pod}"
        return f"listening on {first.address} to {last.address} as {names} ({len(pods)} pods)"
    return f"listening on {server.address} as {server.identity.server_id}"
