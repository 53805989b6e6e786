"""grpc-timeout."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from whichpod.wire.timeout import decode_timeout, encode_timeout


@given(st.integers(1, 99_999_999 * 3_600 * 10**9))
def test_never_shorter_and_close(ns: int) -> None:
    value = encode_timeout(ns)
    assert len(value) <= 9
    read = decode_timeout(value)
    assert read is not None
    # Eight digits: the unit above is at most 1000 times as large, or 60.
    assert ns <= read <= ns + max(ns // 10**5, 1) * 6


@pytest.mark.parametrize(
    ("ns", "value"),
    [(0, b"1n"), (-5, b"1n"), (1, b"1n"), (99_999_999, b"99999999n"),
     (10**8, b"100000u"), (10**9, b"1000000u"),
     (3_600 * 10**9, b"3600000m"), (10**30, b"99999999H")],
)  # fmt: skip
def test_encoded(ns: int, value: bytes) -> None:
    assert encode_timeout(ns) == value


@pytest.mark.parametrize("value", [b"", b"1", b"S", b"123456789S", b"1.5S", b"-1S", b"1s", b" 1S", b"1S\n"])
def test_what_is_not_a_timeout(value: bytes) -> None:
    assert decode_timeout(value) is None


def test_units() -> None:
    assert [decode_timeout(b"2" + unit) for unit in (b"H", b"M", b"S", b"m", b"u", b"n")] == [
        7_200 * 10**9, 120 * 10**9, 2 * 10**9, 2_000_000, 2_000, 2,
    ]  # fmt: skip
