"""Fields that are looked at all together: as if one by one."""

from __future__ import annotations

from unittest.mock import patch

from hypothesis import given
from hypothesis import strategies as st

from whichpod.wire.block import Block
from whichpod.wire.table import Pair

NAMES = (b":method", b":path", b":scheme", b":authority", b":status", b":odd", b"te", b"x-a", b"grpc-message",
         b"content-length", b"connection", b"host", b"X", b"", b"a b", b"a:b", b"\x80")  # fmt: skip
VALUES = (b"POST", b"/a", b"http", b"200", b"trailers", b"Trailers", b"5", b"", b" a", b"a ", b"a\t", b"\ta",
          b"a b", b"a\nb", b"a\rb", b"a\0b", b"\n", b"\xff")  # fmt: skip
USUAL: list[Pair] = [(b":method", b"POST"), (b":scheme", b"http"), (b":path", b"/a"), (b"te", b"trailers")]
pairs = st.tuples(st.sampled_from(NAMES), st.sampled_from(VALUES))


@given(
    fields=st.tuples(st.sampled_from([[], USUAL, [(b":status", b"200")]]), st.lists(pairs, max_size=4)),
    request=st.booleans(),
)
def test_all_at_once_is_as_one_by_one(fields: tuple[list[Pair], list[Pair]], request: bool) -> None:
    together = (*fields[0], *fields[1])
    quick = Block(together, request=request)
    with patch.object(Block, "_all_sound", lambda *_: False):
        slow = Block(together, request=request)
    for name in Block.__slots__:
        if name != "_first":
            assert getattr(quick, name) == getattr(slow, name)


def test_the_usual_fields_are_taken_at_once() -> None:
    assert Block(tuple(USUAL), request=True)._all_sound({})
    assert not Block((*USUAL, (b"a", b"b\n")), request=True)._all_sound({})
