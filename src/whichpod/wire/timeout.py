"""grpc-timeout: a deadline on the wire, at most eight digits and a unit (gRPC's PROTOCOL-HTTP2, Timeout)."""

from __future__ import annotations

import re

_FORM = re.compile(rb"([0-9]{1,8})([HMSmun])")
_UNITS = (
    (b"n", 1),
    (b"u", 1_000),
    (b"m", 1_000_000),
    (b"S", 10**9),
    (b"M", 60 * 10**9),
    (b"H", 3_600 * 10**9),
)
_SIZES = dict(_UNITS)
MOST_DIGITS = 8


def encode_timeout(ns: int) -> bytes:
    """The value for a timeout in ns, in the finest unit that can say it, rounded up. Not below 1 ns: a
    deadline that has passed is the caller's to notice."""
    ns = max(ns, 1)
    for unit, size in _UNITS:
        count = -(-ns // size)
        if count < 10**MOST_DIGITS:
            return b"%d%b" % (count, unit)
    return b"%d%b" % (10**MOST_DIGITS - 1, _UNITS[-1][0])


def decode_timeout(value: bytes) -> int | None:
    """The timeout in ns, or None for a value that isn't one."""
    match = _FORM.fullmatch(value)
    return int(match[1]) * _SIZES[match[2]] if match else None
