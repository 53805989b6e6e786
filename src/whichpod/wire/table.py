"""HPACK's static and dynamic table (RFC 7541, section 2.3), and the integers that address it."""

from __future__ import annotations

from collections import deque

from hpack.table import HeaderTable

from whichpod.wire.errors import ErrorCode, RemoteProtocolError

Pair = tuple[bytes, bytes]

STATIC: tuple[Pair, ...] = tuple(HeaderTable.STATIC_TABLE)
FIRST_DYNAMIC = len(STATIC) + 1
ENTRY_OVERHEAD = 32
MAX_INTEGER_OCTETS = 5
"""Enough for 32 bits. Longer integers must be refused (RFC 7541, section 5.1)."""

_STATIC_PAIRS = {pair: index for index, pair in reversed(list(enumerate(STATIC, 1)))}
_STATIC_NAMES = {pair[0]: index for index, pair in reversed(list(enumerate(STATIC, 1)))}


class Table:
    """A dynamic table. `generation` changes with its content, so what was read from it can be cached."""

    __slots__ = ("_entries", "generation", "limit", "size")

    def __init__(self, limit: int) -> None:
        self._entries: deque[Pair] = deque()
        self.limit = limit
        self.size = 0
        self.generation = 0

    def get(self, index: int) -> Pair:
        """The entry at an index of the joint address space. Raises IndexError when there is none."""
        if 0 < index < FIRST_DYNAMIC:
            return STATIC[index - 1]
        if index == 0:
            raise IndexError(index)
        return self._entries[index - FIRST_DYNAMIC]

    def find(self, pair: Pair) -> int:
        """The index of an equal entry, or 0."""
        index = _STATIC_PAIRS.get(pair, 0)
        if index or pair not in self._entries:
            return index
        return FIRST_DYNAMIC + self._entries.index(pair)

    def find_name(self, name: bytes) -> int:
        """The index of an entry of that name in the static table, or 0."""
        return _STATIC_NAMES.get(name, 0)

    def add(self, pair: Pair) -> None:
        """Inserts an entry, evicting from the old end; one larger than the table empties it (section 4.4)."""
        needed = entry_size(pair)
        if needed > self.limit:
            self._shrink(0)
            return
        self._shrink(self.limit - needed)
        self._entries.appendleft(pair)
        self.size += needed
        self.generation += 1

    def fits(self, pair: Pair) -> bool:
        """Whether it can be added without evicting anything."""
        return self.size + entry_size(pair) <= self.limit

    def resize(self, limit: int) -> None:
        """A new maximum size (section 4.3)."""
        if limit != self.limit:
            self.generation += 1
        self.limit = limit
        self._shrink(limit)

    def _shrink(self, to: int) -> None:
        while self.size > to:
            self.size -= entry_size(self._entries.pop())
            self.generation += 1


def entry_size(pair: Pair) -> int:
    """An entry's size as RFC 7541, section 4.1 counts it."""
    return ENTRY_OVERHEAD + len(pair[0]) + len(pair[1])


def encode_integer(value: int, mask: int, pattern: int) -> bytes:
    """An integer whose prefix is as wide as `mask`, below the bits of `pattern` (RFC 7541, section 5.1)."""
    if value < mask:
        return bytes((pattern | value,))
    out = bytearray((pattern | mask,))
    value -= mask
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def decode_integer(data: bytes, at: int, mask: int) -> tuple[int, int]:
    """The integer at `at`, and the offset after it. Raises IndexError past the end of the block."""
    value = data[at] & mask
    at += 1
    if value < mask:
        return value, at
    for shift in range(0, 7 * MAX_INTEGER_OCTETS, 7):
        octet = data[at]
        at += 1
        value += (octet & 0x7F) << shift
        if octet < 0x80:
            return value, at
    raise RemoteProtocolError("An integer in a header block is too long.", ErrorCode.COMPRESSION_ERROR)
