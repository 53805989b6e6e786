"""What a peer may send, sound and unsound, for hypothesis to put together."""

from __future__ import annotations

import hpack
from hypothesis import strategies as st

from tests.wire import bytes as wire

STREAMS = 24
"""Streams that a client under test has open from the start: 1, 3, ..., 47."""

ids = st.one_of(st.integers(0, 2 * STREAMS + 4), st.just(2**31 - 1))
odd_ids = st.integers(0, STREAMS - 1).map(lambda number: 2 * number + 1)
flags = st.one_of(st.sampled_from([0, 1, 4, 5, 8, 9, 12, 13, 0x25]), st.integers(0, 255))
some = st.one_of(st.binary(max_size=40), st.integers(0, 16_384).map(bytes))
u32 = st.one_of(st.sampled_from([0, 1, 65_535, 2**31 - 1, 2**31, 2**32 - 1]), st.integers(0, 2**32 - 1))


def sound_frames(role: str) -> st.SearchStrategy[bytes]:
    """Messages that fit the role, and control frames."""
    head = wire.REQUEST if role == "server" else wire.RESPONSE
    last = wire.END_HEADERS | wire.END_STREAM

    def whole(first: int, count: int, body: bytes, block: bytes, tail: bytes) -> bytes:
        out = b""
        for stream in range(first, first + 2 * count, 2):
            out += wire.frame(wire.HEADERS, wire.END_HEADERS, stream, block)
            if role == "server":
                out += wire.data(stream, body, wire.END_STREAM)
            else:
                out += wire.data(stream, body) + wire.frame(wire.HEADERS, last, stream, tail)
        return out

    # Blocks that leave the table alone, that add to it, and that refer to what was added.
    encoder = hpack.Encoder()
    blocks = st.sampled_from([wire.literal(head), encoder.encode(head), encoder.encode(head)])
    tails = st.sampled_from([wire.literal(wire.TRAILERS), b"\x40\x0bgrpc-status\x010", b"\xbe"])
    runs = st.builds(whole, odd_ids, st.integers(1, 12), st.binary(min_size=1, max_size=30), blocks, tails)
    return st.one_of(
        runs,
        runs,
        st.builds(lambda i, b: wire.frame(wire.HEADERS, wire.END_HEADERS, i, b), odd_ids, blocks),
        st.builds(wire.data, odd_ids, some, st.sampled_from([0, 1])),
        st.builds(lambda i: wire.headers(i, wire.TRAILERS, last), odd_ids),
        st.builds(wire.rst, odd_ids, st.integers(0, 14)),
        st.builds(wire.window, st.one_of(st.just(0), odd_ids), st.integers(1, 70_000)),
        st.builds(wire.settings, st.tuples(st.sampled_from([1, 3, 4]), st.integers(0, 70_000))),
        st.builds(wire.ping, st.binary(min_size=8, max_size=8)),
        st.builds(wire.goaway, odd_ids),
        st.just(wire.SETTINGS_ACK),
    )


frames = st.builds(
    wire.frame, st.one_of(st.integers(0, 9), st.integers(0, 255)), flags, st.one_of(ids, u32), some
) | st.one_of(
    st.builds(wire.window, ids, u32),
    st.builds(wire.settings, st.tuples(st.integers(0, 7), u32)),
    st.builds(wire.goaway, u32, u32, st.binary(max_size=20)),
    st.builds(lambda i, f, b: wire.frame(wire.CONTINUATION, f, i, b), odd_ids, flags, st.binary(max_size=20)),
    st.binary(max_size=30),
)


def scripts(role: str) -> st.SearchStrategy[list[bytes]]:
    """Up to 12 pieces, mostly sound: a connection that dies at once tests little."""
    sound = sound_frames(role)
    return st.lists(st.one_of(sound, sound, sound, frames), max_size=12)
