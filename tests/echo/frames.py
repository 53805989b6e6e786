"""A client that sees HTTP/2 frames in their order, which grpcio's hides."""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from hpack import Decoder, Encoder
from hyperframe.frame import Frame, GoAwayFrame, HeadersFrame, PingFrame, SettingsFrame

from whichpod.echo import names

_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
END_STREAM = "END_STREAM"


@dataclass
class Client:
    """Frames as they come; pings and settings are answered."""

    sock: socket.socket
    _buffer: bytes = b""
    _next: int = 1
    _decoder: Decoder = field(default_factory=Decoder)
    _encoder: Encoder = field(default_factory=Encoder)

    def __post_init__(self) -> None:
        self.sock.settimeout(20)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # as every gRPC client has it
        self.sock.sendall(_PREFACE + SettingsFrame(0).serialize())

    def send(self, path: str = names.ECHO, message: bytes = b"", *, end: bool = True) -> int:
        """Opens a stream with a first message. Returns the stream's id."""
        stream, self._next = self._next, self._next + 2
        headers = self._encoder.encode(
            [(":method", "POST"), (":scheme", "http"), (":path", path), (":authority", "x"),
             ("te", "trailers"), ("content-type", "application/grpc")]
        )  # fmt: skip
        self.sock.sendall(_frame(1, 4, stream, headers))
        self.message(stream, message, end=end)
        return stream

    def message(self, stream: int, message: bytes = b"", *, end: bool = False) -> None:
        """Sends a message on an open stream."""
        data = struct.pack(">BI", 0, len(message)) + message
        self.sock.sendall(_frame(0, int(end), stream, data))

    def headers(self, frame: HeadersFrame) -> dict[str, str]:
        """What a HEADERS frame says. Each must be read, in order: HPACK has a state."""
        return {str(key): str(value) for key, value in self._decoder.decode(frame.data)}

    def frames(self) -> Iterator[Frame]:
        """Frames until the server closes the connection."""
        while True:
            while len(self._buffer) >= 9:
                frame, length = Frame.parse_frame_header(memoryview(self._buffer[:9]))
                if len(self._buffer) < 9 + length:
                    break
                frame.parse_body(memoryview(self._buffer[9 : 9 + length]))
                self._buffer = self._buffer[9 + length :]
                if isinstance(frame, PingFrame) and "ACK" not in frame.flags:
                    self.sock.sendall(PingFrame(0, frame.opaque_data, flags=["ACK"]).serialize())
                elif isinstance(frame, SettingsFrame) and "ACK" not in frame.flags:
                    self.sock.sendall(SettingsFrame(0, flags=["ACK"]).serialize())
                yield frame
            try:
                data = self.sock.recv(1 << 16)
            except ConnectionResetError:
                return
            if not data:
                return
            self._buffer += data


def _frame(kind: int, flags: int, stream: int, body: bytes) -> bytes:
    return struct.pack(">I", len(body))[1:] + struct.pack(">BBI", kind, flags, stream) + body


@contextmanager
def connect(port: int) -> Iterator[Client]:
    """A client on a connection of its own."""
    with socket.create_connection(("127.0.0.1", port)) as sock:
        yield Client(sock)


__all__ = ["END_STREAM", "Client", "GoAwayFrame", "connect"]
