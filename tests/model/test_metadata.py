"""Metadata as gRPC takes it, and what is refused."""

from __future__ import annotations

import pytest

from whichpod.model.errors import UsageError
from whichpod.model.metadata import wire_metadata


def test_values_of_binary_keys_are_given_in_base64() -> None:
    assert wire_metadata((("x-tenant", "blue"), ("trace-bin", "AAEC"))) == (
        ("x-tenant", "blue"),
        ("trace-bin", b"\x00\x01\x02"),
    )


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("X-Upper", "1", "is not allowed"),
        ("x tenant", "1", "is not allowed"),
        ("", "1", "is not allowed"),
        ("-bin", "AAEC", "is not allowed"),
        ("grpc-timeout", "1S", "gRPC's own"),
        ("host", "a", "--authority"),
        ("te", "trailers", "x-te"),
        ("x-tenant", "bl\nue", "printable ASCII"),
        ("x-tenant", "grün", "printable ASCII"),
        ("trace-bin", "not base64!", "not base64"),
    ],
)
def test_what_gRPC_would_drop_or_fail_on_is_refused(key: str, value: str, said: str) -> None:  # noqa: N802
    with pytest.raises(UsageError) as refused:
        wire_metadata(((key, value),))
    assert said in str(refused.value)
