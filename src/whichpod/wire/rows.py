"""Many like messages as one number: made, or compared, in a few operations for all of them.

Messages of consecutive streams that differ in their ids only are rows of the same size. Read as one big
number, n of them are `base + first * ones`: `base` has the rows for the stream id 0 and those after it,
`ones` a 1 wherever an id ends. So a run of requests is one sum, and a run of responses is as expected where
the difference is 0; what may differ is masked out.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from itertools import accumulate, chain
from struct import Struct

from whichpod.wire.frames import pack_id

MOST_ROWS = 64
"""In one number: larger ones gain nothing."""
LARGEST_ROW = 128
"""In octets: larger ones are joined one by one, since a number is turned into bytes an octet at a time."""
LARGEST_HOLE = 256
"""Octets that differ are masked out; with more of them it is cheaper to leave them out."""
ID_SIZE = 4


class Rows:
    """Rows made of `pieces` with a stream's id between each two of them. `hole` is the offset and the size of
    what may differ in each row; there the pieces have anything."""

    __slots__ = (
        "_base", "_count", "_hole", "_ids", "_longest", "_mask", "_most", "_ones", "_pieces", "_row",
        "_sieve", "_width", "size",
    )  # fmt: skip

    def __init__(self, pieces: Sequence[bytes], hole: tuple[int, int] = (0, 0)) -> None:
        self._pieces = pieces
        row = pack_id(0).join(pieces)
        self.size = len(row)
        """Of a row, in octets."""
        ids = tuple(accumulate(len(piece) + ID_SIZE for piece in pieces[:-1]))
        self._sieve: Struct | None = None
        at, width = hole
        if width > LARGEST_HOLE:
            self._sieve = Struct(f"{at}s{width}x{len(row) - at - width}s")
            row = row[:at] + row[at + width :]
            ids = tuple(end if end <= at else end - width for end in ids)
            hole = (0, 0)
        else:
            row = row[:at] + bytes(width) + row[at + width :]
        self._row, self._ids, self._hole, self._width = row, ids, hole, len(row)
        # For so many rows at present; and the base of the most that there were, which all smaller ones are
        # part of.
        self._count = self._base = self._ones = self._mask = 0
        self._most = self._longest = 0

    def make(self, first: int, count: int) -> bytes:
        """The rows of `count` streams, `first` and those after it. Without a hole."""
        if count == 1 or self.size > LARGEST_ROW:
            pieces = self._pieces
            return b"".join([pack_id(i).join(pieces) for i in range(first, first + 2 * count, 2)])
        if count > MOST_ROWS:
            starts = range(0, count, MOST_ROWS)
            return b"".join([self.make(first + 2 * at, min(MOST_ROWS, count - at)) for at in starts])
        if count != self._count:
            self._set(count)
        return (self._base + first * self._ones).to_bytes(count * self._width, "big")

    def alike(self, data: bytes, at: int, first: int, count: int) -> int:
        """How many rows from `at` on are those of `first` and the streams after it; `count` at most, which
        `data` must have, and which is MOST_ROWS at most."""
        end = at + count * self.size
        found = data if end - at == len(data) else data[at:end]
        if self._sieve is not None:
            found = b"".join(chain.from_iterable(self._sieve.iter_unpack(found)))
        if count != self._count:
            self._set(count)
        difference = (int.from_bytes(found, "big") & self._mask) ^ (self._base + first * self._ones)
        if not difference:
            return count
        # The first row is in the highest bits.
        return count - 1 - (difference.bit_length() - 1) // (8 * self._width)

    def _set(self, count: int) -> None:
        self._count = count
        self._ones, ramp, self._mask = _numbers(self._width, self._ids, self._hole, count)
        if count > self._most:
            self._most = count
            self._longest = int.from_bytes(self._row * count, "big") + ramp
        self._base = self._longest >> 8 * self._width * (self._most - count)


@lru_cache(maxsize=512)
def _numbers(size: int, ids: tuple[int, ...], hole: tuple[int, int], count: int) -> tuple[int, int, int]:
    """`ones`, what rows after the first add for their ids, and the mask. The same for all rows that are laid
    out alike: of a thousand connections each, they would not fit the CPU's caches."""
    one = bytearray(size)
    for end in ids:
        one[end - 1] = 1
    ones = int.from_bytes(bytes(one) * count, "big")
    unit = int.from_bytes(one, "big")
    ramp = 0
    for row in range(count):
        ramp = (ramp << 8 * size) + 2 * row * unit
    at, width = hole
    seen = b"\xff" * at + bytes(width) + b"\xff" * (size - at - width)
    return ones, ramp, int.from_bytes(seen * count, "big")
