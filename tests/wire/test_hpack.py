"""Encoder and decoder against hpack's and against each other, under any table sizes."""

from __future__ import annotations

import hpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.wire import bytes as wire
from whichpod.wire.block import Block
from whichpod.wire.decoder import Decoder
from whichpod.wire.encoder import Encoder, Fields
from whichpod.wire.errors import ErrorCode, RemoteProtocolError
from whichpod.wire.limits import Limits
from whichpod.wire.table import Table

names = st.sampled_from(
    [b":status", b":path", b"content-type", b"x", b"y-long-name", b"authorization", b"grpc-message", b"te"]
)
values = st.one_of(st.sampled_from([b"", b"200", b"/", b"application/grpc"]), st.binary(max_size=80))
fields = st.lists(st.tuples(names, values), max_size=12).map(tuple)
sizes = st.sampled_from([0, 40, 100, 300, 4_096, 65_536])


@given(st.lists(st.one_of(fields, sizes), max_size=25), sizes)
def test_encoder_against_hpack(steps: list[Fields | int], limit: int) -> None:
    """hpack's decoder follows, whatever the peer allows between blocks and we want at most."""
    encoder, peer = Encoder(limit), hpack.Decoder()
    for step in steps:
        if isinstance(step, int):
            encoder.resize(step)
            peer.max_allowed_table_size = step
        else:
            assert tuple(peer.decode(encoder.encode(step), raw=True)) == step
            assert peer.header_table.maxsize <= min(peer.max_allowed_table_size, limit)


@given(st.lists(st.one_of(fields, st.integers(0, 65_536)), max_size=25), sizes)
def test_decoder_against_hpack(steps: list[Fields | int], limit: int) -> None:
    """hpack's encoder evicts and resizes; the cached and the uncached block are the same."""
    peer, decoder = hpack.Encoder(), Decoder(Limits(fields=10**6, table=limit), requests=False)
    decoder.acknowledged()
    for step in [limit, *steps]:
        if isinstance(step, int):
            # hpack forgets that a change waits where the size is set again to what it is.
            if min(step, limit) != peer.header_table_size:
                peer.header_table_size = min(step, limit)
        else:
            block = peer.encode(step)
            decoded = decoder.cache.get(block) or decoder.decode(block)
            assert decoded.fields == step
            again = peer.encode(step)
            assert (decoder.cache.get(again) or decoder.decode(again)).fields == step


@given(st.binary(max_size=200))
def test_decoder_against_hpack_on_random_bytes(block: bytes) -> None:
    """Both refuse the same blocks; ours must not read a lone table size update as hpack's loop does not."""
    peer = hpack.Decoder()
    decoder = Decoder(Limits(fields=10**6), requests=False)
    try:
        expected = tuple(peer.decode(block, raw=True))
    except hpack.HPACKError:
        with pytest.raises(RemoteProtocolError) as caught:
            decoder.decode(block)
        assert caught.value.code is ErrorCode.COMPRESSION_ERROR
    else:
        assert decoder.decode(block).fields == expected


def test_equal_lists_become_equal_bytes() -> None:
    encoder = Encoder(4_096)
    first, second, third = (encoder.encode(tuple(wire.REQUEST)) for _ in range(3))
    assert len(second) == len(wire.REQUEST)
    assert first != second
    assert second is third


def test_a_full_table_settles() -> None:
    """More lists than the table holds: nothing is evicted, so all of them become constant."""
    encoder, peer = Encoder(4_096), hpack.Decoder()
    lists: list[Fields] = [((b"x-%d" % number, b"v" * 100),) for number in range(100)]
    for each in lists:
        assert tuple(peer.decode(encoder.encode(each), raw=True)) == each
    generation = encoder.generation
    for each in lists:
        assert tuple(peer.decode(encoder.encode(each), raw=True)) == each
    assert encoder.generation == generation


@pytest.mark.parametrize(
    ("changes", "announced"),
    [
        ([0], b"\x20"), ([0, 4_096], b"\x20\x3f\xe1\x1f"), ([0, 0], b"\x20"),
        ([100, 50, 80], b"\x3f\x13\x3f\x31"),
        ([100_000], b""), ([4_096], b""), ([0, 100_000], b"\x20\x3f\xe1\x1f"),
    ],
)  # fmt: skip
def test_smallest_and_last_size_are_announced(changes: list[int], announced: bytes) -> None:
    encoder = Encoder(4_096)
    for change in changes:
        encoder.resize(change)
    assert encoder.encode(((b":status", b"200"),)) == announced + b"\x88"
    assert encoder.encode(((b":status", b"200"),)) == b"\x88"


def test_no_table_at_all() -> None:
    encoder = Encoder(0)
    assert encoder.encode(((b"x", b"y"),)) == b"\x20\x00\x01x\x01y"
    assert encoder.encode(((b"x", b"y"),)) == b"\x00\x01x\x01y"


def test_secrets_and_varying_fields_stay_out_of_the_table() -> None:
    encoder = Encoder(4_096)
    encoder.encode(((b"authorization", b"Bearer x"), (b"grpc-timeout", b"1S")))
    assert encoder.generation == Encoder(4_096).generation


def test_cached_block_means_what_the_table_says_now() -> None:
    """The same byte refers to another field once the table has moved."""
    decoder = Decoder(Limits(), requests=False)
    decoder.decode(b"\x40\x01a\x011")
    assert decoder.decode(b"\xbe").fields == ((b"a", b"1"),)
    assert b"\xbe" in decoder.cache
    decoder.decode(b"\x40\x01b\x012")
    assert decoder.cache == {}
    assert decoder.decode(b"\xbe").fields == ((b"b", b"2"),)
    # So does an eviction, and a change of size.
    decoder.decode(b"\x20")
    with pytest.raises(RemoteProtocolError):
        decoder.decode(b"\xbe")


def test_block_that_changes_the_table_is_not_cached() -> None:
    decoder = Decoder(Limits(), requests=False)
    for _ in range(2):
        decoder.decode(b"\x40\x01a\x011")
        assert decoder.cache == {}


def test_peer_must_shrink_its_table_once_it_has_acknowledged() -> None:
    decoder = Decoder(Limits(table=100), requests=False)
    decoder.decode(b"\x40\x01a\x011")
    decoder.acknowledged()
    with pytest.raises(RemoteProtocolError, match="shrunk"):
        decoder.decode(b"\x88")


def test_table_entry_larger_than_the_table_empties_it() -> None:
    table = Table(100)
    table.add((b"a", b"1"))
    table.add((b"b", b"x" * 100))
    assert table.size == 0
    with pytest.raises(IndexError):
        table.get(62)


def test_block_tells_its_fields() -> None:
    block = Block(((b"a", b"1"), (b"b", b"2"), (b"a", b"3")), request=False)
    assert block.get(b"a") == b"1"
    assert block.get_all(b"a") == [b"1", b"3"]
    assert block.get(b"c") is None
    assert "b'b'" in repr(block)
    assert block == Block(block.fields, request=False)
    assert block != Block((), request=False)


def test_caches_of_lists_are_bounded() -> None:
    encoder = Encoder(0)
    for number in range(2_000):
        encoder.encode(((b"grpc-timeout", b"%dm" % number),))
    assert len(encoder._cache) <= 512
