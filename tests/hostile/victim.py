"""A connection of either role with a peer made of bytes, and the answers that a bad peer may get."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tests.wire import bytes as wire
from whichpod.wire import (
    ClientConnection,
    Event,
    Failed,
    Limits,
    RemoteProtocolError,
    Request,
    ServerConnection,
    Stream,
    Terminated,
)
from whichpod.wire.block import Block

CALL = Request(tuple(wire.REQUEST), b"\0\0\0\0\1x")
MESSAGE = b"\0\0\0\0\1y"


class Victim:
    """The connection under attack. Streams that the peer may send on are opened by `stream`."""

    def __init__(
        self, role: str, limits: Limits | None = None, *, greeted: bool = True, **options: Any
    ) -> None:
        self.role = role
        self.server = role == "server"
        self.now = 0
        self.events: list[Event] = []
        self.conn: ServerConnection | ClientConnection
        streamed = options.pop("streamed", False)
        self.streamed = streamed
        if self.server:
            which: Callable[[Block], bool] = lambda _head: streamed  # noqa: E731
            self.conn = ServerConnection(0, limits, streams=which)
        else:
            self.conn = ClientConnection(0, limits, **options)
        self.next = 1
        if greeted:
            self.feed(self.greeting() + wire.SETTINGS_ACK)
            self.answers()

    def greeting(self, *entries: tuple[int, int]) -> bytes:
        return (wire.PREFACE if self.server else b"") + wire.settings(*entries)

    def feed(self, *octets: bytes) -> list[Event]:
        """What comes in one read."""
        found = self.conn.receive(b"".join(octets), self.now)
        self.events += found
        return found

    def answers(self) -> list[wire.Frame]:
        return wire.split(self.conn.take())

    # The peer's moves.

    def stream(self, *, ended: bool = False, begun: bool = True) -> int:
        """Opens a stream. `begun`: the peer's header fields are in; `ended`: with END_STREAM."""
        if isinstance(self.conn, ClientConnection):
            opened = self.conn.open(CALL.fields) if self.streamed else self.conn.request(CALL)
            stream_id = opened.id
            self.conn.take()
        else:
            stream_id = self.next
            self.next += 2
            begun = True
        if begun:
            self.feed(self.head(stream_id, ended=ended))
        return stream_id

    def head(self, stream_id: int, *extra: tuple[bytes, bytes], ended: bool = False) -> bytes:
        """A sound message's HEADERS from the peer."""
        flags = wire.END_HEADERS | (wire.END_STREAM if ended else 0)
        return wire.headers(stream_id, [*self.fields, *extra], flags)

    @property
    def fields(self) -> list[tuple[bytes, bytes]]:
        return wire.REQUEST if self.server else wire.RESPONSE

    def whole(self, stream_id: int) -> bytes:
        """A sound message that ends the peer's side."""
        if self.server:
            return self.head(stream_id) + wire.data(stream_id, MESSAGE, wire.END_STREAM)
        tail = wire.headers(stream_id, wire.TRAILERS, wire.END_HEADERS | wire.END_STREAM)
        return self.head(stream_id) + wire.data(stream_id, MESSAGE) + tail

    # What may follow.

    def closed_with(self, code: int) -> None:
        """GOAWAY with that code was the last frame, and the connection is over."""
        last = self.answers()[-1]
        assert last.kind == wire.GOAWAY
        assert int.from_bytes(last.payload[4:8], "big") == code
        assert self.conn.closed
        error = self.events[-1]
        assert isinstance(error, Terminated)
        assert isinstance(error.error, RemoteProtocolError)
        assert error.error.scope == "connection"
        assert error.error.code == code
        assert self.conn.open_streams == 0
        assert self.feed(wire.ping()) == []
        assert self.conn.take() == b""

    def reset_with(self, stream_id: int, code: int) -> None:
        """RST_STREAM with that code, and the connection lives."""
        resets = [found for found in self.answers() if found.kind == wire.RST]
        assert [(found.stream, found.number) for found in resets] == [(stream_id, code)]
        if not self.server:
            failed = [event for event in self.events if isinstance(event, Failed)]
            assert [(event.stream.id, event.error.code) for event in failed] == [(stream_id, code)]
            assert failed[0].error.scope == "stream"
        self.alive()

    def alive(self) -> None:
        """The connection answers, and carries another message: its header tables are in step."""
        assert not self.conn.closed
        self.answers()
        self.feed(wire.ping(b"areyouup"))
        assert wire.Frame(wire.PING, 1, 0, b"areyouup") in self.answers()
        self.events.clear()
        if isinstance(self.conn, ClientConnection):
            stream_id = self.conn.request(CALL).id
        else:
            stream_id = self.next
            self.next += 2
        self.feed(self.whole(stream_id))
        if self.streamed:
            assert any(getattr(event, "stream", event).id == stream_id for event in self.events)  # type: ignore[union-attr]
            return
        assert [event.id for event in self.events if isinstance(event, Stream)] == [stream_id]
