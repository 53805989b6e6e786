"""The Huffman decoder against hpack's."""

from __future__ import annotations

import pytest
from hpack.exceptions import HPACKDecodingError
from hpack.huffman import HuffmanEncoder
from hpack.huffman_constants import REQUEST_CODES, REQUEST_CODES_LENGTH
from hpack.huffman_table import decode_huffman
from hypothesis import example, given
from hypothesis import strategies as st

from whichpod.wire.huffman import SHORT, decode

encode = HuffmanEncoder(REQUEST_CODES, REQUEST_CODES_LENGTH).encode


@given(st.binary(max_size=2 * SHORT))
def test_what_was_coded_is_decoded(text: bytes) -> None:
    assert decode(encode(text)) == text


@given(st.binary(max_size=12))
@example(b"")
@example(b"\xff")
@example(b"\x07\xff")
@example(b"\xff\xff\xff\xfb")
def test_any_bytes_come_to_what_hpack_says(data: bytes) -> None:
    try:
        theirs = decode_huffman(data)
    except HPACKDecodingError:
        with pytest.raises(HPACKDecodingError):
            decode(data)
    else:
        assert decode(data) == theirs


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"\xff\xff\xff\xff", "its end"),
        (b"\x1f\xff", "padded"),  # eleven ones
        (b"\x18", "padded"),  # zeros
    ],
)
def test_refused(data: bytes, why: str) -> None:
    """RFC 7541, section 5.2."""
    for length in (1, SHORT):
        with pytest.raises(HPACKDecodingError, match=why):
            decode(encode(b"0" * 8 * length) + data)
