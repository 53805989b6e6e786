"""Frames made and read by hand, apart from the code under test."""

from __future__ import annotations

import struct
from typing import NamedTuple

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, PRIORITY, RST, SETTINGS, PUSH, PING, GOAWAY, WINDOW, CONTINUATION = range(10)
END_STREAM, END_HEADERS, PADDED, WITH_PRIORITY = 1, 4, 8, 0x20

REQUEST = [
    (b":method", b"POST"), (b":scheme", b"http"), (b":path", b"/a.B/C"), (b":authority", b"x"),
    (b"content-type", b"application/grpc"), (b"te", b"trailers"),
]  # fmt: skip
RESPONSE = [(b":status", b"200"), (b"content-type", b"application/grpc")]
TRAILERS = [(b"grpc-status", b"0")]


class Frame(NamedTuple):
    kind: int
    flags: int
    stream: int
    payload: bytes

    @property
    def number(self) -> int:
        """The last four bytes as a number: an error code or an increment."""
        return int(struct.unpack(">I", self.payload[-4:])[0])


def frame(kind: int, flags: int = 0, stream: int = 0, payload: bytes = b"") -> bytes:
    return struct.pack(">I", len(payload))[1:] + bytes((kind, flags)) + struct.pack(">I", stream) + payload


def literal(fields: list[tuple[bytes, bytes]]) -> bytes:
    """A header block of literals without indexing: true under any table."""
    out = b""
    for name, value in fields:
        out += b"\0" + integer(len(name)) + name + integer(len(value)) + value
    return out


def integer(value: int, mask: int = 0x7F, pattern: int = 0) -> bytes:
    if value < mask:
        return bytes((pattern | value,))
    out = [pattern | mask]
    value -= mask
    while value > 127:
        out.append(value % 128 + 128)
        value //= 128
    return bytes((*out, value))


def headers(stream: int, fields: list[tuple[bytes, bytes]], flags: int = END_HEADERS) -> bytes:
    return frame(HEADERS, flags, stream, literal(fields))


def data(stream: int, payload: bytes, flags: int = 0) -> bytes:
    return frame(DATA, flags, stream, payload)


def settings(*entries: tuple[int, int]) -> bytes:
    return frame(SETTINGS, 0, 0, b"".join(struct.pack(">HI", *entry) for entry in entries))


SETTINGS_ACK = frame(SETTINGS, 1)


def rst(stream: int, code: int = 8) -> bytes:
    return frame(RST, 0, stream, struct.pack(">I", code))


def window(stream: int, increment: int) -> bytes:
    return frame(WINDOW, 0, stream, struct.pack(">I", increment))


def goaway(last: int, code: int = 0, debug: bytes = b"") -> bytes:
    return frame(GOAWAY, 0, 0, struct.pack(">II", last, code) + debug)


def ping(payload: bytes = b"12345678", flags: int = 0) -> bytes:
    return frame(PING, flags, 0, payload)


def split(octets: bytes) -> list[Frame]:
    """The frames of a stream of bytes; a client's preface is left out."""
    found = []
    at = len(PREFACE) if octets.startswith(PREFACE) else 0
    while at < len(octets):
        size = int.from_bytes(octets[at : at + 3], "big")
        stream = int.from_bytes(octets[at + 5 : at + 9], "big")
        found.append(Frame(octets[at + 3], octets[at + 4], stream, octets[at + 9 : at + 9 + size]))
        at += 9 + size
    assert at == len(octets), "cut inside a frame"
    return found
