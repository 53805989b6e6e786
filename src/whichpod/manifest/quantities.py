"""Amounts as Kubernetes writes them: `500m`, `128Mi`, `1e3` (kubernetes.io, API reference, Quantity)."""

from __future__ import annotations

import re
from decimal import ROUND_CEILING, Decimal

_FORM = re.compile(r"([+-]?(?:\d+\.?\d*|\.\d+))(|[numkMGTPE]|[KMGTPE]i|[eE][+-]?\d+)")
_DECIMAL = {"n": -9, "u": -6, "m": -3, "": 0, "k": 3, "M": 6, "G": 9, "T": 12, "P": 15, "E": 18}
_BINARY = {"Ki": 10, "Mi": 20, "Gi": 30, "Ti": 40, "Pi": 50, "Ei": 60}


def quantity(text: str) -> Decimal | None:
    """An amount's value, or None for a text that is none."""
    match = _FORM.fullmatch(text) if len(text) <= 40 else None
    if match is None:
        return None
    number, suffix = Decimal(match[1]), match[2]
    if suffix in _BINARY:
        return number * Decimal(2 ** _BINARY[suffix])
    power = _DECIMAL[suffix] if suffix in _DECIMAL else int(suffix[1:])
    return number.scaleb(power) if abs(power) <= 30 else None


def in_units(amount: Decimal, divisor: Decimal) -> str:
    """How many of `divisor` an amount is, rounded up, as a resourceFieldRef shows it."""
    return str(int((amount / divisor).to_integral_value(ROUND_CEILING)))
