"""One RPC of the echo service on grpcio: its delay, its failure, its answers and its end."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass

import grpc

from whichpod.echo.connections import Seen
from whichpod.echo.faults import Failure, Faults
from whichpod.echo.orca import TRAILER, Load
from whichpod.echo.v1 import echo_pb2

INJECTED = "injected failure"
Metadata = tuple[tuple[str, str | bytes], ...]


@dataclass(frozen=True, slots=True)
class Says:
    """What is the same in all answers of a server."""

    server: echo_pb2.Server
    named: Metadata
    """Who it is."""
    trailers: Metadata
    """Who it is, and its load where that is always the same."""
    load: Load | None
    """Its load where that is measured."""


class Call:
    """An RPC that a handler serves. `begin` comes first, `end` last."""

    def __init__(self, context: grpc.ServicerContext, says: Says, seen: Seen) -> None:
        self._context = context
        self._says = says
        self._peer, self._connection, self._number = seen
        self._failure: Failure | None = None
        context.set_trailing_metadata(says.trailers)
        load = says.load
        if load is not None:
            self._rpc = load.begin()
            if not context.add_callback(lambda: load.end(self._rpc)):
                load.end(self._rpc)

    def begin(self, faults: Faults, seconds: float, *, fails: bool, ready: Callable[[], None]) -> None:
        """Waits, and fails where that comes before the first answer. `ready` is called before a status."""
        if faults.delays:
            self.over().wait(seconds)
        if not fails:
            return
        failure = faults.failure
        if failure.how == "after-message":
            self._failure = failure
            return
        if failure.how == "after-headers":
            # Without a field of ours grpc may take them into the trailers, which makes it trailers-only
            # (is_default_initial_metadata of its chttp2 transport).
            self._context.send_initial_metadata(self._says.named)
        ready()
        self._report(failed=True)
        self._context.abort(grpc.StatusCode[failure.code], INJECTED)

    @property
    def fails(self) -> bool:
        """Whether its first answer is its last."""
        return self._failure is not None

    def answer(self, payload: bytes, sequence: int, received: int, size: int) -> echo_pb2.EchoReply:
        """An answer. `received` messages have come, with `size` bytes of payload."""
        return echo_pb2.EchoReply(
            server=self._says.server, payload=payload, peer=self._peer, connection=self._connection,
            call=self._number, sequence=sequence, received=received, received_bytes=size,
        )  # fmt: skip

    def end(self) -> None:
        """All is said; says the status where it isn't OK."""
        self._report(failed=self.fails)
        if self._failure is not None:
            self._context.set_code(grpc.StatusCode[self._failure.code])
            self._context.set_details(INJECTED)

    def _report(self, *, failed: bool) -> None:
        """Says in the trailers what the server's load is, this RPC included."""
        says = self._says
        if says.load is not None:
            says.load.end(self._rpc, failed=failed)
            self._context.set_trailing_metadata((*says.named, (TRAILER, says.load.report())))

    def over(self) -> threading.Event:
        """Is set when the RPC is over, also by its client or its deadline, so that no thread waits on."""
        over = threading.Event()
        if not self._context.add_callback(over.set):
            over.set()
        return over
