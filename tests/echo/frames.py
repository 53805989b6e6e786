"""A client that sees HTTP/2 frames in their order, which grpcio's hides, and may send any bytes."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from hpack import Decoder

from tests.wire import bytes as wire
from tests.wire.bytes import Frame
from whichpod.echo import names
from whichpod.wire.messages import MessageReader, frame

MARK = b"so far, "


@dataclass
class Answer:
    """What came on a stream until its end."""

    fields: dict[str, str] = field(default_factory=dict)
    """Of its header fields and trailers."""
    messages: list[bytes] = field(default_factory=list)
    reset: int | None = None
    """RST_STREAM's code."""

    @property
    def status(self) -> int:
        return int(self.fields["grpc-status"])


@dataclass
class Client:
    """Frames as they come; pings and settings are answered."""

    sock: socket.socket
    scheme: bytes = b"http"
    next: int = 1
    fields: dict[str, str] = field(default_factory=dict)
    """What the last HEADERS said."""
    _buffer: bytes = b""
    _decoder: Decoder = field(default_factory=Decoder)

    def __post_init__(self) -> None:
        self.sock.settimeout(20)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # as every gRPC client has it

    def raw(self, *octets: bytes) -> None:
        self.sock.sendall(b"".join(octets))

    def request(self, path: str = names.ECHO, *extra: tuple[bytes, bytes]) -> list[tuple[bytes, bytes]]:
        """A call's header fields."""
        given = {b":path": path.encode(), b":scheme": self.scheme}
        return [(name, given.get(name, value)) for name, value in wire.REQUEST] + list(extra)

    def opening(self, path: str, *extra: tuple[bytes, bytes]) -> tuple[int, bytes]:
        """The next stream, and the bytes that open it."""
        stream, self.next = self.next, self.next + 2
        return stream, wire.headers(stream, self.request(path, *extra))

    def send(
        self, path: str = names.ECHO, message: bytes = b"", *extra: tuple[bytes, bytes], end: bool = True
    ) -> int:
        """Opens a stream with a first message. Returns the stream's id."""
        stream, head = self.opening(path, *extra)
        self.raw(head, body(stream, frame(message), end=end))
        return stream

    def message(self, stream: int, message: bytes = b"", *, end: bool = False) -> None:
        """Sends a message on an open stream."""
        self.raw(body(stream, frame(message), end=end))

    def frames(self) -> Iterator[Frame]:
        """Frames until the server closes the connection."""
        while True:
            while (size := self._complete()) is not None:
                (found,) = wire.split(self._buffer[:size])
                self._buffer = self._buffer[size:]
                if found.kind == wire.PING and not found.flags:
                    self.raw(wire.ping(found.payload, 1))
                elif found.kind == wire.SETTINGS and not found.flags:
                    self.raw(wire.SETTINGS_ACK)
                elif found.kind == wire.HEADERS:
                    self.fields = {str(k): str(v) for k, v in self._decoder.decode(found.payload)}
                yield found
            try:
                data = self.sock.recv(1 << 16)
            except ConnectionResetError:
                return
            if not data:
                return
            self._buffer += data

    def _complete(self) -> int | None:
        """The size of the frame that is there."""
        size = 9 + int.from_bytes(self._buffer[:3], "big")
        return size if 9 <= size <= len(self._buffer) else None

    def until(self, holds: Callable[[Frame], bool]) -> list[Frame]:
        """Frames up to the first for which it holds."""
        seen = []
        for found in self.frames():
            seen.append(found)
            if holds(found):
                return seen
        raise AssertionError(f"closed after {seen}")

    def sync(self) -> list[Frame]:
        """Frames until the server has answered everything so far. The first ping may be read along with
        requests and is answered before them; the second can't be."""
        seen = []
        for _ in range(2):
            self.raw(wire.ping(MARK))
            *more, _ = self.until(lambda got: (got.kind, got.flags, got.payload) == (wire.PING, 1, MARK))
            seen += more
        return seen

    def answers(self, *streams: int) -> list[Answer]:
        """What comes on these streams until the last has ended."""
        open_streams = {stream: (Answer(), MessageReader()) for stream in streams}
        found = {stream: answer for stream, (answer, _) in open_streams.items()}
        while open_streams:
            got = self.until(lambda _: True)[0]
            if got.stream not in open_streams:
                continue
            answer, reader = open_streams[got.stream]
            if got.kind == wire.HEADERS:
                answer.fields |= self.fields
            elif got.kind == wire.DATA:
                answer.messages += reader.feed(got.payload)
            elif got.kind == wire.RST:
                answer.reset = got.number
            ends = got.kind in (wire.DATA, wire.HEADERS) and got.flags & wire.END_STREAM
            if ends or got.kind == wire.RST:
                del open_streams[got.stream]
        return list(found.values())

    def call(self, path: str = names.ECHO, message: bytes = b"", *extra: tuple[bytes, bytes]) -> Answer:
        """One RPC with one message."""
        return self.answers(self.send(path, message, *extra))[0]


def body(stream: int, octets: bytes, *, end: bool = False) -> bytes:
    """DATA frames, within the size that everybody takes."""
    pieces = [octets[at : at + 16_384] for at in range(0, len(octets), 16_384)]
    return b"".join(
        wire.data(stream, piece, wire.END_STREAM * (end and number == len(pieces)))
        for number, piece in enumerate(pieces, 1)
    )


@contextmanager
def connect(port: int, *entries: tuple[int, int], host: str = "127.0.0.1") -> Iterator[Client]:
    """A client on a connection of its own, with these settings."""
    with dial(port, host=host) as client:
        client.raw(wire.PREFACE, wire.settings(*entries))
        yield client


@contextmanager
def dial(port: int, *, host: str = "127.0.0.1") -> Iterator[Client]:
    """A client that has said nothing yet."""
    with socket.create_connection((host, port)) as sock:
        yield Client(sock)
