"""Fields of serialised messages (Protocol Buffers, Encoding), without their types."""

from __future__ import annotations

from collections.abc import Iterator

_VARINT, _I64, _LEN, _GROUP, _END_GROUP, _I32 = range(6)
LONGEST_VARINT = 10


class FieldError(ValueError):
    """Not a serialised message."""


def fields(data: bytes) -> Iterator[tuple[int, int | bytes]]:
    """(number, value) of each field, in order; a varint as int, all others as their bytes. Raises
    FieldError where the data breaks off, or uses what isn't in the wire format (groups included)."""
    at, end = 0, len(data)
    while at < end:
        tag, at = _varint(data, at)
        kind = tag & 7
        if kind == _VARINT:
            value, at = _varint(data, at)
            yield tag >> 3, value
            continue
        if kind == _LEN:
            size, at = _varint(data, at)
        elif kind in (_I64, _I32):
            size = 8 if kind == _I64 else 4
        else:
            raise FieldError(f"field {tag >> 3} has wire type {kind}")
        if at + size > end:
            raise FieldError(f"field {tag >> 3} is cut off")
        yield tag >> 3, data[at : at + size]
        at += size


def find(data: bytes, numbers: tuple[int, ...]) -> int | bytes | None:
    """The value at the end of a path of field numbers; None where it isn't there. The last of a field holds,
    as it does for singular fields. Raises FieldError."""
    value: int | bytes | None = data
    for number in numbers:
        if not isinstance(value, bytes):
            raise FieldError(f"field {number} is looked for in a number")
        found: int | bytes | None = None
        for key, one in fields(value):
            if key == number:
                found = one
        value = found
        if value is None:
            return None
    return value


def encode_bytes(number: int, value: bytes) -> bytes:
    """A field of bytes, a string or a message."""
    return encode_varint(number << 3 | _LEN) + encode_varint(len(value)) + value


def encode_varint(value: int) -> bytes:
    """A number as a varint; not negative."""
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 7 * LONGEST_VARINT, 7):
        if at >= len(data):
            raise FieldError("a number is cut off")
        octet = data[at]
        at += 1
        value |= (octet & 0x7F) << shift
        if octet < 0x80:
            return value, at
    raise FieldError("a number is too long")
