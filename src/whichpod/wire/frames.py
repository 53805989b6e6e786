"""The layout of HTTP/2 frames (RFC 9113, sections 4 and 6): constants and writers."""

from __future__ import annotations

from struct import Struct

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
"""What a client sends first (section 3.4)."""

DATA = 0x0
HEADERS = 0x1
PRIORITY = 0x2
RST_STREAM = 0x3
SETTINGS = 0x4
PUSH_PROMISE = 0x5
PING = 0x6
GOAWAY = 0x7
WINDOW_UPDATE = 0x8
CONTINUATION = 0x9

END_STREAM = 0x1
ACK = 0x1
END_HEADERS = 0x4
PADDED = 0x8
HAS_PRIORITY = 0x20

HEAD_SIZE = 9
MAX_ID = 2**31 - 1
MAX_WINDOW = 2**31 - 1
DEFAULT_WINDOW = 65_535
DEFAULT_FRAME = 16_384
NO_FLAGS = 0

_U32 = Struct(">I")
_U32_PAIR = Struct(">II")
read_head = Struct(">IBI").unpack_from
"""(length << 8 | type, flags, reserved bit and stream id) of a frame's head at an offset."""
read_u32 = _U32.unpack_from
pack_id = _U32.pack
_pack_front = Struct(">IB").pack


def front(size: int, kind: int, flags: int) -> bytes:
    """A frame's first five bytes; the stream id and the payload follow."""
    return _pack_front(size << 8 | kind, flags)


def frame(kind: int, flags: int, stream_id: int, payload: bytes = b"") -> bytes:
    """A whole frame. The payload's size is the caller's affair."""
    return _pack_front(len(payload) << 8 | kind, flags) + pack_id(stream_id) + payload


def header_block(stream_id: int, block: bytes, *, end_stream: bool) -> bytes:
    """HEADERS, and CONTINUATIONs where the block is larger than the default frame."""
    flags = END_STREAM if end_stream else NO_FLAGS
    if len(block) <= DEFAULT_FRAME:
        return frame(HEADERS, flags | END_HEADERS, stream_id, block)
    pieces = [block[at : at + DEFAULT_FRAME] for at in range(0, len(block), DEFAULT_FRAME)]
    frames = [frame(HEADERS, flags, stream_id, pieces[0])]
    frames += [frame(CONTINUATION, NO_FLAGS, stream_id, piece) for piece in pieces[1:-1]]
    frames.append(frame(CONTINUATION, END_HEADERS, stream_id, pieces[-1]))
    return b"".join(frames)


def rst_stream(stream_id: int, code: int) -> bytes:
    """RST_STREAM (section 6.4)."""
    return frame(RST_STREAM, NO_FLAGS, stream_id, _U32.pack(code))


def goaway(last_id: int, code: int, debug: bytes = b"") -> bytes:
    """GOAWAY (section 6.8)."""
    return frame(GOAWAY, NO_FLAGS, 0, _U32_PAIR.pack(last_id, code) + debug)


def window_update(stream_id: int, increment: int) -> bytes:
    """WINDOW_UPDATE (section 6.9)."""
    return frame(WINDOW_UPDATE, NO_FLAGS, stream_id, _U32.pack(increment))


def ping(data: bytes, *, ack: bool = False) -> bytes:
    """PING with its eight opaque bytes (section 6.7)."""
    return frame(PING, ACK if ack else NO_FLAGS, 0, data)
