"""Commands, run in this process, and servers that record what they are sent."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent import futures
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import grpc
import pytest

from whichpod.cli.main import run
from whichpod.model.report import Report

ANY = "any.v1.Any/Call"
"""A method of `recording` servers, which tell nothing of its types."""


@dataclass
class Ran:
    """A command that came to its end."""

    code: int
    out: str
    err: str

    @property
    def report(self) -> Report:
        """What --json printed."""
        return Report.from_text(self.out)


class Command:
    """Runs `whichpod NAME`, with what it prints."""

    def __init__(self, name: str, capsys: pytest.CaptureFixture[str]) -> None:
        self._name = name
        self._capsys = capsys

    def __call__(self, *args: str) -> Ran:
        code = run([self._name, *args])
        out, err = self._capsys.readouterr()
        assert "Traceback" not in err
        return Ran(code, out, err)


class Bench(Command):
    """`whichpod bench`."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        super().__init__("bench", capsys)

    def report(self, *args: str) -> Report:
        """Its report, with balanced books."""
        done = self(*args, "--json")
        assert not done.err
        assert done.report.tally.balanced_books
        return done.report


def by_pod(report: Report) -> dict[str, int]:
    return {entry.backend.label: entry.done for entry in report.tally.backends.values()}


@dataclass
class Seen:
    """What a server was sent."""

    address: str
    requests: list[bytes] = field(default_factory=list)
    metadata: list[dict[str, Any]] = field(default_factory=list)
    authorities: list[str] = field(default_factory=list)


class _Anything(grpc.GenericRpcHandler):  # type: ignore[type-arg]
    def __init__(self, seen: Seen, reply: bytes) -> None:
        self._seen = seen
        self._reply = reply

    def service(self, handler_call_details: Any) -> Any:
        if "reflection" in handler_call_details.method:
            return None
        self._seen.metadata.append(dict(handler_call_details.invocation_metadata))

        def call(request: bytes, context: Any) -> bytes:
            self._seen.requests.append(request)
            self._seen.authorities.append(context._rpc_event.call_details.host.decode())
            context.send_initial_metadata((("x-pod", "any-0"),))
            return self._reply

        return grpc.unary_unary_rpc_method_handler(call)


@contextmanager
def recording(reply: bytes = b"", *, address: str = "127.0.0.1:0") -> Iterator[Seen]:
    """A server that takes any method, without reflection, and records what it is sent."""
    server = grpc.server(futures.ThreadPoolExecutor(4))
    seen = Seen(address)
    server.add_generic_rpc_handlers((_Anything(seen, reply),))
    port = server.add_insecure_port(address)
    if not address.startswith("unix:"):
        seen.address = f"127.0.0.1:{port}"
    server.start()
    try:
        yield seen
    finally:
        server.stop(0).wait()
