"""Messages are found however their bytes are cut."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from whichpod.wire.codes import GrpcCode, GrpcError
from whichpod.wire.messages import MessageReader, frame, unframe


@given(st.lists(st.binary(max_size=50), max_size=6), st.data())
def test_any_cut_gives_the_same_messages(messages: list[bytes], data: st.DataObject) -> None:
    octets = b"".join(map(frame, messages))
    cuts = sorted(data.draw(st.lists(st.integers(0, len(octets)), max_size=8)))
    reader = MessageReader()
    found = []
    for start, end in zip([0, *cuts], [*cuts, len(octets)], strict=True):
        found += reader.feed(octets[start:end])
    reader.finish()
    assert found == messages


@given(st.binary(max_size=300))
def test_random_bytes_raise_nothing_else(octets: bytes) -> None:
    reader = MessageReader(b"gzip", limit=100)
    try:
        reader.feed(octets)
        reader.finish()
    except GrpcError:
        pass


@given(st.binary())
def test_unary_message(message: bytes) -> None:
    assert unframe(frame(message)) == message


def test_unary_body_of_several_messages() -> None:
    with pytest.raises(GrpcError) as caught:
        unframe(frame(b"a") * 2)
    assert caught.value.code is GrpcCode.UNIMPLEMENTED
