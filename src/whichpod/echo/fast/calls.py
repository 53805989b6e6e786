"""RPCs that take their time: streams, delayed ones, watches."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import deque
from typing import TYPE_CHECKING

from whichpod.echo.fast import reflection
from whichpod.echo.fast.codec import DecodeError, framed, payload_of
from whichpod.echo.fast.pod import START, Route
from whichpod.reactor import Timer
from whichpod.wire import Stream
from whichpod.wire.codes import GrpcCode, GrpcError
from whichpod.wire.messages import MessageReader

if TYPE_CHECKING:
    from whichpod.echo.fast.conn import Conn
    from whichpod.echo.faults import Failure

SLICE = 65_536
"""Bytes that a stream makes before others get their turn."""
MS = 1_000_000
TOO_MUCH_OWED, INJECTED = "too many answers wait to be read", "injected failure"


class Call(ABC):
    """An RPC that isn't over when it has been read."""

    __slots__ = ("_due", "_failure", "_rpc", "_timer", "conn", "number", "over", "route", "stream")

    def __init__(self, conn: Conn, stream: Stream, route: Route) -> None:
        self.conn, self.stream, self.route = conn, stream, route
        self.number = 0
        """The how-manieth echo on its connection this is."""
        self.over = False
        self._failure: Failure | None = None
        self._rpc: object = None
        self._timer: Timer | None = None
        self._due = None if route.deadline_ns is None else conn.loop.now + route.deadline_ns
        stream.token = self

    def begin(self) -> None:
        """Counts the RPC, delays or fails it, then runs it."""
        conn = self.conn
        conn.answers.calls = self.number = conn.answers.calls + 1
        # Both at once: what other RPCs draw meanwhile must not depend on how long this one waits.
        load = conn.pod.load
        if load is not None:
            self._rpc = load.begin(conn.loop.now)
        delay, self._failure = conn.pod.delay_ns(), conn.pod.failure()
        if not delay:
            self._go()
            return
        at = conn.loop.now + delay
        if self._due is not None and self._due <= at:
            self._timer = conn.loop.at(self._due, self._expired)
        else:
            self._timer = conn.loop.at(at, self._waited)

    def start(self) -> None:
        """Runs it, to the deadline at most."""
        self.run()
        if self._due is not None and not self.over:
            self._timer = self.conn.loop.at(self._due, self._expired)

    @abstractmethod
    def run(self) -> None:
        """Begins to answer."""

    def go_on(self) -> None:  # noqa: B027 - not every kind needs it
        """Goes on after `Conn.hold`: the client has taken what there was."""

    def on_body(self, data: bytes, size: int) -> None:  # noqa: B027 - not every kind needs it
        """A part of the request came."""

    def on_ended(self) -> None:  # noqa: B027 - not every kind needs it
        """The request is complete."""

    def cancel(self) -> None:
        """It is over, whoever ended it."""
        self.over = True
        self.account()
        if self._timer is not None:
            self._timer.cancel()
        self.conn.release(self)

    def account(self, *, failed: bool = False) -> None:
        """It is over, as far as the server's load goes."""
        load = self.conn.pod.load
        if load is not None:
            load.end(self._rpc, failed=failed)

    def say(self, data: bytes) -> None:
        """Sends messages."""
        core, stream = self.conn.core, self.stream
        if not stream.answered:
            core.send_head(stream, START)
        core.send(stream, data)

    def end(self, code: GrpcCode, message: str = "") -> None:
        """Ends it with a status."""
        if not self.over:
            self.account(failed=code is not GrpcCode.OK)
            self.cancel()
            self.conn.end(self.stream, self.route, code, message)

    def conclude(self) -> None:
        """All answers are said; says the status."""
        failure = self._failure
        if failure is None:
            self.end(GrpcCode.OK)
        else:
            self.end(GrpcCode[failure.code], INJECTED)

    def _go(self) -> None:
        failure = self._failure
        if failure is None or failure.how == "after-message":
            self.start()
            return
        if failure.how == "after-headers":
            self.conn.core.send_head(self.stream, self.conn.pod.head)
        self.conclude()

    def _waited(self) -> None:
        if not self.over:
            self._go()
            self.conn.flush()

    def _expired(self) -> None:
        if self.over:
            return
        if self.conn.core.backlog(self.stream):
            # Trailers would wait behind what the client doesn't read.
            self.cancel()
            self.conn.core.reset(self.stream)
        else:
            self.end(GrpcCode.DEADLINE_EXCEEDED, "Deadline Exceeded")
        self.conn.flush()


class Unary(Call):
    """An Echo that is not answered at once."""

    __slots__ = ("_payload",)

    def __init__(self, conn: Conn, stream: Stream, route: Route, payload: bytes) -> None:
        super().__init__(conn, stream, route)
        self._payload = payload

    def run(self) -> None:
        """Answers."""
        conn, payload = self.conn, self._payload
        if conn.owes_too_much(len(payload)):
            self.end(GrpcCode.RESOURCE_EXHAUSTED, TOO_MUCH_OWED)
            return
        reply = conn.answers.answer(payload, self.number, 1, 1, len(payload))
        if self._failure is not None:
            self.say(reply)
            self.conclude()
            return
        self.account()
        conn.core.respond(self.stream, conn.pod.well(), reply)
        # What the client's window holds up ends with the deadline all the same.
        if self._due is None or not conn.core.backlog(self.stream):
            self.cancel()


class ServerStream(Call):
    """One message, as many answers as it asks for."""

    __slots__ = ("_interval_ns", "_left", "_next", "_payload", "_sent")

    def __init__(
        self, conn: Conn, stream: Stream, route: Route, payload: bytes, messages: int, interval_ms: int
    ) -> None:
        super().__init__(conn, stream, route)
        self._payload = payload
        self._sent, self._left = 0, max(1, messages)
        self._interval_ns = interval_ms * MS
        self._next: Timer | None = None

    def run(self) -> None:
        """Sends the first ones."""
        self.go_on()

    def go_on(self) -> None:
        """Sends some more."""
        answers, payload, parts, size = self.conn.answers, self._payload, [], 0
        while self._left and size < SLICE:
            self._left -= 1
            self._sent += 1
            part = answers.answer(payload, self.number, self._sent, 1, len(payload))
            parts.append(part)
            size += len(part)
            if self._interval_ns or self._failure is not None:
                break
        self.say(b"".join(parts))
        if not self._left or self._failure is not None:
            self.conclude()
        elif self._interval_ns:
            self._next = self.conn.loop.at(self.conn.loop.now + self._interval_ns, self._on_time)
        else:
            self.conn.hold(self)

    def cancel(self) -> None:
        """It is over."""
        super().cancel()
        if self._next is not None:
            self._next.cancel()

    def _on_time(self) -> None:
        self.conn.hold(self)
        self.conn.flush()


class Inbound(Call):
    """An RPC whose messages are taken as they come, and not before its answers are read."""

    __slots__ = ("_ended", "_partial", "_pending", "_reader", "_running")

    def __init__(self, conn: Conn, stream: Stream, route: Route) -> None:
        super().__init__(conn, stream, route)
        self._reader = MessageReader(route.encoding, conn.most)
        self._partial = 0
        self._pending: deque[tuple[bytes, int]] = deque()
        self._ended = self._running = False

    @abstractmethod
    def take(self, message: bytes) -> bytes:
        """A message came; gives what is to be sent for it. Raises DecodeError."""

    def finish(self) -> None:
        """All messages have come."""
        self.conclude()

    def run(self) -> None:
        """Takes what has come during the delay."""
        self._running = True
        self.go_on()

    def on_body(self, data: bytes, size: int) -> None:
        """A part of the request came."""
        if self.over:
            self.conn.core.acknowledge(self.stream, size)
            return
        self._pending.append((data, size))
        self._look()

    def on_ended(self) -> None:
        """The request is complete."""
        self._ended = True
        self._look()

    def cancel(self) -> None:
        """It is over; what it has not taken no longer holds up the connection's window."""
        super().cancel()
        conn, pending = self.conn, self._pending
        while pending:
            conn.core.acknowledge(self.stream, pending.popleft()[1])
        conn.partial -= self._partial
        self._partial = 0

    def _look(self) -> None:
        if self._running and not self.over and not self.conn.holds(self):
            self.go_on()

    def go_on(self) -> None:
        """Takes messages as long as the answers find room."""
        conn, pending = self.conn, self._pending
        try:
            while pending:
                data, size = pending.popleft()
                conn.core.acknowledge(self.stream, size)
                out = b"".join([self.take(message) for message in self._feed(data)])
                if out:
                    if conn.owes_too_much(len(out)):
                        raise GrpcError(GrpcCode.RESOURCE_EXHAUSTED, TOO_MUCH_OWED)
                    self.say(out)
                    if self._failure is not None:
                        self.conclude()
                        return
                    if conn.is_full(self.stream):
                        conn.hold(self)
                        return
            if self._ended:
                self._reader.finish()
                self.finish()
        except GrpcError as error:
            self.end(error.code, error.message)
        except DecodeError:
            self.end(GrpcCode.INTERNAL, "Exception deserializing request!")

    def _feed(self, data: bytes) -> list[bytes]:
        """The messages that are complete with that. Raises GrpcError."""
        conn, messages = self.conn, self._reader.feed(data)
        # What is left of the data where a message is complete, and not more than all of it.
        partial = len(data) if messages else self._partial + len(data)
        conn.partial += partial - self._partial
        self._partial = partial
        if conn.keeps_too_much:
            raise GrpcError(GrpcCode.RESOURCE_EXHAUSTED, "too many messages are not complete")
        return messages


class ClientStream(Inbound):
    """Any number of messages, one answer."""

    __slots__ = ("_received", "_size")

    def __init__(self, conn: Conn, stream: Stream, route: Route) -> None:
        super().__init__(conn, stream, route)
        self._received = self._size = 0

    def take(self, message: bytes) -> bytes:
        """Counts it."""
        self._received += 1
        self._size += len(payload_of(message))
        return b""

    def finish(self) -> None:
        """Says how many came."""
        self.say(self.conn.answers.answer(b"", self.number, 1, self._received, self._size))
        self.conclude()


class BidiStream(Inbound):
    """An answer to each message."""

    __slots__ = ("_received", "_size")

    def __init__(self, conn: Conn, stream: Stream, route: Route) -> None:
        super().__init__(conn, stream, route)
        self._received = self._size = 0

    def take(self, message: bytes) -> bytes:
        """The answer."""
        if self._failure is not None and self._received:
            return b""
        payload = payload_of(message)
        self._received = count = self._received + 1
        self._size += len(payload)
        return self.conn.answers.answer(payload, self.number, count, count, self._size)


class Reflection(Inbound):
    """Answers what tools such as grpcurl ask about types."""

    __slots__ = ()

    def take(self, message: bytes) -> bytes:
        """The answer."""
        return framed(reflection.answer(message))


class Watch(Call):
    """A health watch: the status now, and whenever it changes."""

    __slots__ = ("_service",)

    def __init__(self, conn: Conn, stream: Stream, route: Route, service: str) -> None:
        super().__init__(conn, stream, route)
        self._service = service

    def run(self) -> None:
        """Says the status now."""
        pod = self.conn.pod
        pod.watches[self._tell] = self._service
        self.say(health_response(pod.health(self._service)))

    def cancel(self) -> None:
        """It is over."""
        super().cancel()
        self.conn.pod.watches.pop(self._tell, None)

    def _tell(self, status: int) -> None:
        self.say(health_response(status))
        self.conn.flush()


def health_response(status: int) -> bytes:
    """A framed HealthCheckResponse, whose one field is the status."""
    return framed(bytes((0x08, status)))
