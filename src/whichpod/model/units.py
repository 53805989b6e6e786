"""Durations and sizes as people write them."""

from __future__ import annotations

import re

from whichpod.model.errors import UsageError

_DURATION = re.compile(r"([0-9]*\.?[0-9]+)(ns|us|µs|ms|s|m|h)?")
_SECONDS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0, None: 1.0}


def parse_duration(text: str, what: str = "duration") -> float:
    """Seconds of `10s`, `500ms`, `1m30s` or a plain number of seconds. Raises UsageError naming `what`."""
    rest, total = text.strip(), 0.0
    while part := _DURATION.match(rest):
        if part[2] is None and part[0] != text.strip():
            break
        total += float(part[1]) * _SECONDS[part[2]]
        rest = rest[part.end() :]
    if rest or not text.strip():
        raise UsageError(f"{what} {text!r} is not a duration.", fix="Write it like 500ms, 10s or 1m30s.")
    return total


def format_ns(value: float) -> str:
    """A duration in ns, for people: three digits and a unit."""
    for unit, size in (("s", 1e9), ("ms", 1e6), ("µs", 1e3)):
        if value >= size:
            number = value / size
            return f"{number:.0f} {unit}" if number >= 100 else f"{number:.3g} {unit}"
    return f"{value:.0f} ns"
