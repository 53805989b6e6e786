"""Rows as one number are what joining them one by one gives."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from whichpod.wire.frames import MAX_ID, pack_id
from whichpod.wire.rows import MOST_ROWS, Rows

ids = st.integers(0, MAX_ID - 2 * 200)
pieces = st.lists(st.binary(max_size=80), min_size=2, max_size=4).map(tuple)


def joined(pieces: tuple[bytes, ...], first: int, count: int) -> list[bytes]:
    return [pack_id(first + 2 * row).join(pieces) for row in range(count)]


@given(pieces, st.lists(st.tuples(ids, st.integers(1, 150)), min_size=1, max_size=5))
def test_made(pieces: tuple[bytes, ...], runs: list[tuple[int, int]]) -> None:
    rows = Rows(pieces)
    for first, count in runs:
        assert rows.make(first, count) == b"".join(joined(pieces, first, count))


def test_made_up_to_the_last_id() -> None:
    rows = Rows((b"\xff" * 5, b"\xff"))
    assert rows.make(MAX_ID - 4, 3)[5:9] == b"\x7f\xff\xff\xfb"
    assert rows.make(MAX_ID - 4, 3)[-5:] == b"\x7f\xff\xff\xff\xff"


@given(
    pieces=st.tuples(st.binary(max_size=12), st.binary(max_size=700), st.binary(max_size=12)),
    first=ids,
    count=st.integers(1, MOST_ROWS),
    hole=st.tuples(st.integers(0, 700), st.integers(0, 700)),
    before=st.binary(max_size=9),
    after=st.binary(max_size=9),
    twists=st.lists(st.tuples(st.integers(0, MOST_ROWS), st.integers(0, 800), st.integers(0, 7)), max_size=3),
    counts=st.lists(st.integers(1, MOST_ROWS), max_size=2),
)
def test_compared(
    pieces: tuple[bytes, ...],
    first: int,
    count: int,
    hole: tuple[int, int],
    before: bytes,
    after: bytes,
    twists: list[tuple[int, int, int]],
    counts: list[int],
) -> None:
    """A bit that differs is seen wherever it is, save in the hole; what stands before it is told."""
    start = len(pieces[0]) + 4
    at = min(hole[0], len(pieces[1]))
    width = min(hole[1], len(pieces[1]) - at)
    rows = Rows(pieces, (start + at, width))
    found = [bytearray(row) for row in joined(pieces, first, count)]
    differs = count
    for row, place, bit in twists:
        row, place = row % count, place % rows.size
        found[row][place] ^= 1 << bit
    for row, (octets, plain) in enumerate(zip(found, joined(pieces, first, count), strict=True)):
        outside = octets[: start + at] + octets[start + at + width :]
        if outside != plain[: start + at] + plain[start + at + width :]:
            differs = min(differs, row)
    data = before + b"".join(found) + after
    for other in counts:
        # What it compared before makes no difference.
        if other <= count:
            assert rows.alike(data, len(before), first, other) == min(other, differs)
    assert rows.alike(data, len(before), first, count) == differs
