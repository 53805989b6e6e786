"""Runs an echo server until it is told to end."""

from __future__ import annotations

import json
import signal
import threading
from collections.abc import Mapping

from whichpod.echo.identity import Identity
from whichpod.echo.server import EchoServer
from whichpod.echo.settings import ServerSettings
from whichpod.model.errors import ExitCode


def serve(settings: ServerSettings, environ: Mapping[str, str], *, as_json: bool = False) -> int:
    """Serves until SIGTERM or SIGINT, then drains. A second signal ends it at once.

    Prints one line when it listens. Returns the exit code. Raises UsageError and LabError as EchoServer does.
    It takes over both signals, so it belongs into a process's main thread.
    """
    server = EchoServer(settings, Identity.from_env(environ))
    ending = threading.Event()

    def end(number: int, _frame: object) -> None:
        if ending.is_set():
            signal.signal(number, signal.SIG_DFL)
            signal.raise_signal(number)
        ending.set()

    before = {number: signal.signal(number, end) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        server.start()
        if as_json:
            ours = {"listening": server.address, "server_id": server.identity.server_id}
            line = json.dumps({"schema_version": 1, **ours})
        else:
            line = f"listening on {server.address} as {server.identity.server_id}"
        print(line, flush=True)
        # A wait without end would not be woken by signals on every platform.
        while not ending.wait(1.0):
            pass
    finally:
        server.drain()
        for number, handler in before.items():
            signal.signal(number, handler)
    return ExitCode.OK
