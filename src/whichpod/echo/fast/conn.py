"""One client's connection to a pod."""

from __future__ import annotations

import random
import socket
import sys
import time
import traceback
from typing import TYPE_CHECKING

from whichpod.echo.fast import dispatch
from whichpod.echo.fast.calls import Call, Watch
from whichpod.echo.fast.codec import MASK, Answers, DecodeError, payload_of
from whichpod.echo.fast.pod import START, Pod, Route, streamed
from whichpod.reactor import Link, Timer, TlsLink, Transport
from whichpod.wire import (
    Block,
    Body,
    Ended,
    ErrorCode,
    Event,
    Failed,
    Opened,
    ServerConnection,
    Stream,
)
from whichpod.wire.codes import GrpcCode, GrpcError
from whichpod.wire.messages import unframe

if TYPE_CHECKING:
    from whichpod.echo.fast.hub import Hub

PATIENCE_NS = 10_000_000_000
"""For the TLS handshake."""
LINGER_NS = 1_000_000_000
"""For the client to close its side after us. Closed with bytes unread, the kernel would take back what the
client has not read yet (RFC 9112, section 9.6, says why)."""
SMALL = 16_384
"""A larger request goes the long way, which minds deadlines and memory."""
ENOUGH = 65_536
"""Bytes that may wait on a stream or for the socket before more is made for them."""
MOST_OWED = 64 << 20
"""Bytes of answers that may wait for one client to read them."""


class Conn:
    """Socket, TLS and HTTP/2 core of a connection, and the RPCs on it."""

    __slots__ = (
        "_again",
        "_age",
        "_body",
        "_closing",
        "_head",
        "_held",
        "_hub",
        "_opened",
        "_timer",
        "answers",
        "core",
        "link",
        "loop",
        "most",
        "partial",
        "pod",
    )  # fmt: skip

    def __init__(self, hub: Hub, pod: Pod, sock: socket.socket, peer: str) -> None:
        self._hub, self.pod, self.loop = hub, pod, hub.loop
        self.most = hub.most
        """Size of a message, in bytes, at most."""
        self.partial = 0
        """Bytes of messages on streams that are not complete, at most so many."""
        pod.connections += 1
        self.answers = Answers(pod.server, peer, f"{peer}#{pod.connections}")
        now = time.monotonic_ns()
        self.core = ServerConnection(now, hub.limits, streams=streamed)
        # Of the last echo that was answered at once; the next is most likely the same.
        self._head: Block | None = None
        self._body = b""
        self._held: dict[Call, None] = {}
        self._timer: Timer | None = None
        self._age: Timer | None = None
        self._again: Timer | None = None
        self._opened = self._closing = False
        hub.conns.add(self)
        self.link: Transport
        if hub.tls is None:
            self.link = Link(self.loop, sock, self, connected=True)
            self.on_open()
        else:
            self.link = TlsLink(self.loop, sock, self, hub.tls, server_side=True, connected=True)
            self._arm(now + PATIENCE_NS)

    # What the link says.

    def on_open(self) -> None:
        """Connected, TLS shaken hands."""
        self._opened = True
        age_ns = self._hub.age_ns
        if age_ns:
            # Give or take a tenth, so that connections of one moment don't end in one moment (gRFC A9).
            jitter = random.uniform(0.9, 1.1)  # noqa: S311 - not a secret
            self._age = self.loop.after(int(age_ns * jitter), self._aged)
        self.flush()
        self._arm(self.core.deadline)

    def on_data(self, data: bytes) -> None:
        """Requests, and what else the client says."""
        if self._closing:
            return
        try:
            events = self.core.receive(data, self.loop.now)
            if events:
                self._handle(events)
            self.flush()
        except Exception:
            self._give_up()
            return
        due = self.core.deadline
        if due is not None:
            self._arm(due)

    def on_drain(self) -> None:
        """The kernel takes more."""
        self.flush()

    def on_end(self, _reason: str) -> None:
        """The connection is gone."""
        self._closing = True
        self._handle(self.core.receive_eof(self.loop.now))
        self._forget()

    # What calls say.

    def flush(self) -> None:
        """Sends what waits, as far as windows and kernel allow, and lets those go on that made it."""
        core, link = self.core, self.link
        while not link.backlog:
            data = core.take()
            if not data:
                break
            link.send(data)
        if self._held:
            self._go_on()
        if core.closed or (core.draining and core.finished and not core.outbound and not link.backlog):
            self._finish()

    def end(self, stream: Stream, route: Route, code: GrpcCode, message: str = "") -> None:
        """Ends an RPC with a status."""
        fields = self.pod.ending(route, code, message)
        if stream.answered:
            self.core.send_trailers(stream, fields)
        else:
            self.core.send_head(stream, (*START, *fields), end=True)

    def is_full(self, stream: Stream) -> bool:
        """Whether a stream should not make more for now."""
        return self.core.outbound > ENOUGH or self.core.backlog(stream) > ENOUGH

    def hold(self, call: Call) -> None:
        """Has the call go on when there is room."""
        self._held[call] = None

    def holds(self, call: Call) -> bool:
        """Whether the call waits for room."""
        return call in self._held

    def release(self, call: Call) -> None:
        """Forgets that the call waits."""
        self._held.pop(call, None)

    def owes_too_much(self, size: int) -> bool:
        """Whether an answer with such a payload must not be added to those that wait."""
        core = self.core
        if size <= SMALL or not core.waiting:
            return False
        return size + sum(core.backlog(stream) for stream in core.streams) > MOST_OWED

    @property
    def keeps_too_much(self) -> bool:
        """Whether the messages that are not complete take too much memory."""
        return self.partial > self._hub.limits.bodies

    @property
    def ending(self) -> bool:
        """Whether the server drains."""
        return self._hub.draining

    # What the hub says.

    def drain(self) -> None:
        """Takes no new RPCs; ends when those that run are done."""
        if self._closing:
            return
        if not self._opened:
            self._gone()
            return
        self.core.drain(self.loop.now)
        self.flush()
        self._arm(self.core.deadline)

    def look_again(self) -> None:
        """The pod no longer answers as it did."""
        self._head = None

    def end_watches(self) -> None:
        """Ends the health watches, which would hold up the end for ever."""
        for stream in list(self.core.streams):
            if isinstance(stream.token, Watch):
                stream.token.end(GrpcCode.OK)
        self.flush()

    def cut(self) -> None:
        """Ends the connection and the RPCs on it, after what waits to be sent."""
        if self._closing:
            return
        self._cancel_all()
        self.core.close()
        self.flush()

    def close(self) -> None:
        """Ends it at once."""
        self._cancel_all()
        self._gone()

    # Requests.

    def _handle(self, events: list[Event]) -> None:
        answers, batch = self.answers, list[tuple[Stream, bytes]]()
        add, calls = batch.append, answers.calls
        head, body = self._head, self._body
        lead, numbers, rest, until = answers.lead, answers.numbers, answers.rest, answers.until
        for event in events:
            if type(event) is Stream:
                if event.head is head and event.body == body and calls < until:
                    calls += 1
                    add((event, lead + numbers[calls & MASK] + rest))
                    continue
                answers.calls = calls
                self._on_request(event, batch)
                calls, head, body = answers.calls, self._head, self._body
                lead, numbers, rest, until = answers.lead, answers.numbers, answers.rest, answers.until
            else:
                answers.calls = calls
                self._on_event(event)
                calls = answers.calls
        answers.calls = calls
        if batch:
            self.core.responses(self.pod.reply, batch)

    def _on_request(self, stream: Stream, batch: list[tuple[Stream, bytes]]) -> None:
        """A request that is complete; what can be answered at once goes to the batch."""
        head, body = stream.head, stream.body
        assert head is not None
        route = self.pod.route(head)
        try:
            message = unframe(body, route.encoding, self.most)
            if not route.at_once or len(body) > SMALL or not self.pod.calm:
                dispatch.collected(self, stream, route, message)
                return
            payload = payload_of(message)
        except GrpcError as error:
            self.end(stream, route, error.code, error.message)
            return
        except DecodeError:
            self.end(stream, route, GrpcCode.INTERNAL, "Exception deserializing request!")
            return
        answers = self.answers
        answers.calls = call = answers.calls + 1
        batch.append((stream, answers.answer(payload, call, 1, 1, len(payload))))
        if head is self._head and body == self._body:
            answers.prepare(payload, call + 1)
        else:
            self._head, self._body = head, body
            answers.until = -1

    def _on_event(self, event: Event) -> None:
        if isinstance(event, Body):
            if event.stream.token is not None:
                event.stream.token.on_body(event.data, event.size)
            else:
                # Of a request that was refused: the connection's window must open all the same.
                self.core.acknowledge(event.stream, event.size)
        elif isinstance(event, Ended):
            if event.stream.token is not None:
                event.stream.token.on_ended()
        elif isinstance(event, Failed):
            if event.stream.token is not None:
                event.stream.token.cancel()
        elif isinstance(event, Opened):
            dispatch.opened(self, event.stream)

    # Waiting.

    def _go_on(self) -> None:
        """Lets the calls go on for whose answers there is room, a slice each."""
        core, link = self.core, self.link
        for call in list(self._held):
            if call in self._held and not self.is_full(call.stream):
                del self._held[call]
                call.go_on()
        while not link.backlog:
            data = core.take()
            if not data:
                break
            link.send(data)
        if self._again is None and any(not self.is_full(call.stream) for call in self._held):
            # Nothing else might call again; others get their turn first.
            self._again = self.loop.at(self.loop.now, self._flush_again)

    def _flush_again(self) -> None:
        self._again = None
        self.flush()

    def _arm(self, due: int | None) -> None:
        """Has time looked at when it is due; there is one timer at most."""
        timer = self._timer
        if due is None or (timer is not None and timer.when <= due):
            return
        if timer is not None:
            timer.cancel()
        self._timer = self.loop.at(due, self._on_time)

    def _on_time(self) -> None:
        self._timer = None
        if self._closing or not self._opened:
            self._gone()
            return
        events = self.core.tick(time.monotonic_ns())
        self._handle(events)
        self.flush()
        self._arm(self.core.deadline)

    def _aged(self) -> None:
        self.drain()
        grace_ns = self._hub.age_grace_ns
        if grace_ns and not self._closing:
            self._age = self.loop.after(grace_ns, self.cut)

    # The end.

    def _finish(self) -> None:
        """All is said; sends what waits, and waits for the client to close its side."""
        if not self._closing:
            self._closing = True
            self._cancel_all()
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None
            self._arm(time.monotonic_ns() + LINGER_NS)
        if self.link.closed:
            self._forget()
        elif not self.core.outbound:
            self.link.finish()

    def _give_up(self) -> None:
        """A bug of ours ends this connection, not the server."""
        traceback.print_exc(file=sys.stderr)
        self._cancel_all()
        self.core.close(ErrorCode.INTERNAL_ERROR)
        self.flush()

    def _cancel_all(self) -> None:
        for stream in list(self.core.streams):
            if stream.token is not None:
                stream.token.cancel()

    def _gone(self) -> None:
        self._closing = True
        self.link.close()
        self._forget()

    def _forget(self) -> None:
        self._cancel_all()
        for timer in (self._timer, self._age, self._again):
            if timer is not None:
                timer.cancel()
        self._hub.forget(self)
