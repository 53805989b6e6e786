"""What runs in the processes that a zygote forks: echo pods, probe clients and load clients.

An entry takes its payload (JSON) and the pipe on which it reports to the run, a JSON object per line.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sys
import threading
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from whichpod.cluster.local.usage import Meter, Watched
from whichpod.model.codec import from_json, to_json
from whichpod.model.errors import ExitCode, WhichpodError
from whichpod.model.plan import Plan
from whichpod.model.target import Target


def prepare() -> None:
    """Imports all that children need, so that they share it. Starts no thread and opens no socket."""
    import encodings.idna  # noqa: F401  # what hosts' names are looked up with

    import whichpod.echo.args
    import whichpod.echo.fast.server
    import whichpod.echo.run
    import whichpod.echo.server
    import whichpod.load.run
    import whichpod.probe.run  # noqa: F401


def echo(payload: dict[str, Any], report: int) -> int:
    """An echo pod: `args` are those of `whichpod serve`, `host` is the address that it binds."""
    from whichpod.echo.args import settings_from_args
    from whichpod.echo.run import serve

    os.close(report)
    try:
        settings = replace(settings_from_args(payload["args"], os.environ), host=payload["host"])
        return serve(settings, os.environ)
    except WhichpodError as e:
        print(e, file=sys.stderr)
        return int(e.exit_code)


def client(payload: dict[str, Any], report: int) -> int:
    """A probe client. SIGTERM or SIGINT ends it early; it reports what it has."""
    from whichpod.probe.run import probe

    stop = _stop_on_signals()
    target, plan = from_json(Target, payload["target"]), from_json(Plan, payload["plan"])
    with contextlib.closing(_Reporter(report)) as say:
        try:
            done = probe(target, plan, progress=lambda p: say("progress", to_json(p)), stop=stop)
        except WhichpodError as e:
            say("error", {"kind": type(e).__name__, "message": e.message, "fix": e.fix})
            return int(e.exit_code)
        say("report", to_json(done))
    return int(ExitCode.OK)


def bench(payload: dict[str, Any], report: int) -> int:
    """A load client. It ends and reports as `client` does, and tells what the `watched` used meanwhile."""
    from whichpod.cluster.calling import call_of
    from whichpod.load.run import bench as load
    from whichpod.probe.resolve import lookup

    stop = _stop_on_signals()
    target, plan = from_json(Target, payload["target"]), from_json(Plan, payload["plan"])
    watched = [from_json(Watched, w) for w in payload["watched"]]
    with contextlib.closing(_Reporter(report)) as say:
        try:
            addresses = lookup(target.address)
            call = call_of(target, plan, bytes(plan.payload_size))
            meter = Meter(watched)
            meter.start()
            done = load(
                target,
                plan,
                call,
                addresses=addresses,
                progress=lambda p: say("progress", to_json(p)),
                stop=stop,
            )
            usage = meter.stop(done, plan)
        except WhichpodError as e:
            say("error", {"kind": type(e).__name__, "message": e.message, "fix": e.fix})
            return int(e.exit_code)
        say("usage", to_json(usage))
        say("report", to_json(done))
    return int(ExitCode.OK)


def _stop_on_signals() -> threading.Event:
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    return stop


class _Reporter:
    def __init__(self, fd: int) -> None:
        self._fd = fd

    def __call__(self, kind: str, value: object) -> None:
        data = json.dumps({kind: value}, separators=(",", ":")).encode() + b"\n"
        while data:
            data = data[os.write(self._fd, data) :]

    def close(self) -> None:
        os.close(self._fd)


ENTRIES: dict[str, Callable[[dict[str, Any], int], int]] = {"echo": echo, "client": client, "bench": bench}
