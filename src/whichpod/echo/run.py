"""Runs an echo server until it is told to end."""

from __future__ import annotations

import contextlib
import json
import signal
import socket
import sys
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from whichpod.echo.faultfile import read_faults
from whichpod.echo.identity import Identity
from whichpod.echo.settings import ServerSettings
from whichpod.model.errors import ExitCode, UsageError

if TYPE_CHECKING:
    from whichpod.echo.fast.places import Place
    from whichpod.echo.fast.server import FastServer
    from whichpod.echo.server import EchoServer


def serve(settings: ServerSettings, environ: Mapping[str, str], *, as_json: bool = False) -> int:
    """Serves until SIGTERM or SIGINT, then drains. A second signal ends it at once.

    SIGHUP has the file of faults read again, where there is one; a line on stderr says what came of it.
    Prints one line when it listens. Returns the exit code. Raises UsageError and LabError as EchoServer does.
    It takes over these signals, so it belongs into a process's main thread.
    """
    server = make(settings, Identity.from_env(environ))
    ending = False

    def end(number: int, _frame: object) -> None:
        nonlocal ending
        if ending:
            signal.signal(number, signal.SIG_DFL)
            signal.raise_signal(number)
        ending = True

    handlers: dict[signal.Signals, Any] = {signal.SIGTERM: end, signal.SIGINT: end}
    if settings.faults_file:
        server.inject(read_faults(settings.faults_file, settings.faults))
        handlers[signal.SIGHUP] = lambda _number, _frame: None
    with _heard() as signals:
        before = {number: signal.signal(number, handler) for number, handler in handlers.items()}
        try:
            server.start()
            print(_as_json(server) if as_json else _as_text(server), flush=True)
            while not ending:
                if signal.SIGHUP in signals.recv(1):
                    _inject(server, settings)
        finally:
            server.drain()
            for number, handler in before.items():
                signal.signal(number, handler)
    return ExitCode.OK


@contextlib.contextmanager
def _heard() -> Iterator[socket.socket]:
    """A socket on which the number of each signal arrives that has a handler, whichever thread it comes to.

    Who waits on it sleeps until then: a thousand pods that look for one each second keep a core half busy.
    """
    told, tells = socket.socketpair()
    with told, tells:
        tells.setblocking(False)
        before = signal.set_wakeup_fd(tells.fileno(), warn_on_full_buffer=False)
        try:
            yield told
        finally:
            signal.set_wakeup_fd(before)


def _inject(server: EchoServer | FastServer, settings: ServerSettings) -> None:
    """Has the file of faults read again. What is wrong with it ends nothing."""
    try:
        changed = server.inject(read_faults(settings.faults_file, settings.faults))
    except UsageError as error:
        said = f"{error.message} The faults stay as they are. {error.fix}".rstrip()
    else:
        said = f"{settings.faults_file}: faults of {changed} of {settings.pods} pods changed"
    print(said, file=sys.stderr, flush=True)


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
