"""Messages in bodies: a flag, four bytes of length, the message (gRPC's PROTOCOL-HTTP2, Requests)."""

from __future__ import annotations

import zlib
from struct import Struct

from whichpod.wire.codes import GrpcCode, GrpcError

PREFIX_SIZE = 5
MAX_MESSAGE = 4 * 1_048_576
"""gRPC's default limit on what is received."""
IDENTITY = b"identity"
ENCODINGS = (b"gzip", b"deflate")
"""What compressed messages may come in; none is sent."""

_prefix = Struct(">BI")
_WINDOW_BITS = {b"gzip": 31, b"deflate": 15}


def frame(message: bytes) -> bytes:
    """The message with its prefix, not compressed."""
    return _prefix.pack(0, len(message)) + message


def unframe(body: bytes, encoding: bytes | None = None, limit: int = MAX_MESSAGE) -> bytes:
    """The one message of a unary body. Raises GrpcError."""
    if len(body) >= PREFIX_SIZE:
        flag, size = _prefix.unpack_from(body)
        if flag == 0 and PREFIX_SIZE + size == len(body) and size <= limit:
            return body[PREFIX_SIZE:]
    reader = MessageReader(encoding, limit)
    messages = reader.feed(body)
    reader.finish()
    if len(messages) != 1:
        raise GrpcError(GrpcCode.UNIMPLEMENTED, f"{len(messages)} messages in a unary body.")
    return messages[0]


class MessageReader:
    """Messages of a body that comes in pieces: cut anywhere, several in one."""

    __slots__ = ("_buffer", "_encoding", "_limit")

    def __init__(self, encoding: bytes | None = None, limit: int = MAX_MESSAGE) -> None:
        """`encoding` is grpc-encoding's value; `limit` bounds a message before and after decompression."""
        self._encoding = encoding
        self._limit = limit
        self._buffer = bytearray()

    def feed(self, data: bytes) -> list[bytes]:
        """The messages that are complete with `data`. Raises GrpcError; the reader is of no use then."""
        buffer = self._buffer
        buffer += data
        found = []
        at = 0
        while len(buffer) - at >= PREFIX_SIZE:
            flag, size = _prefix.unpack_from(buffer, at)
            if flag > 1:
                raise GrpcError(GrpcCode.INTERNAL, f"A message's flags are {flag:#x}.")
            if size > self._limit:
                raise GrpcError(
                    GrpcCode.RESOURCE_EXHAUSTED, f"A message of {size} bytes; the limit is {self._limit}."
                )
            end = at + PREFIX_SIZE + size
            if end > len(buffer):
                break
            message = bytes(buffer[at + PREFIX_SIZE : end])
            found.append(self._inflate(message) if flag else message)
            at = end
        del buffer[:at]
        return found

    def finish(self) -> None:
        """The body is over. Raises GrpcError where it ended inside a message."""
        if self._buffer:
            raise GrpcError(GrpcCode.INTERNAL, "The body ends inside a message.")

    def _inflate(self, message: bytes) -> bytes:
        if self._encoding in (None, b"", IDENTITY):
            raise GrpcError(GrpcCode.INTERNAL, "A message is compressed, but grpc-encoding doesn't say how.")
        assert self._encoding is not None
        bits = _WINDOW_BITS.get(self._encoding)
        if bits is None:
            name = self._encoding[:40].decode("latin-1")
            raise GrpcError(GrpcCode.UNIMPLEMENTED, f"Messages are compressed by {name!a}.")
        inflater = zlib.decompressobj(bits)
        try:
            plain = inflater.decompress(message, self._limit + 1)
        except zlib.error as error:
            raise GrpcError(GrpcCode.INTERNAL, f"A message can't be decompressed: {error}.") from error
        if len(plain) > self._limit:
            raise GrpcError(
                GrpcCode.RESOURCE_EXHAUSTED, f"A message is over {self._limit} bytes decompressed."
            )
        if not inflater.eof or inflater.unused_data:
            raise GrpcError(GrpcCode.INTERNAL, "A compressed message is not one whole stream.")
        return plain
