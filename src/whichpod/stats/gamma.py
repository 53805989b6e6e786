"""The regularised incomplete gamma functions P(a, x) and Q(a, x) = 1 - P(a, x).

The smaller of the two is always computed directly, so that no tail is lost to cancellation.
"""

from __future__ import annotations

import math

_ENOUGH = 1e-16
_TINY = 1e-300


def lower(a: float, x: float) -> float:
    """P(a, x) for a > 0, x >= 0: the chance that a gamma variable of shape `a` is at most `x`."""
    _check(a, x)
    return _series(a, x) if x < a + 1 else 1.0 - _fraction(a, x)


def upper(a: float, x: float) -> float:
    """Q(a, x) for a > 0, x >= 0: the chance that it is more than `x`."""
    _check(a, x)
    return 1.0 - _series(a, x) if x < a + 1 else _fraction(a, x)


def _check(a: float, x: float) -> None:
    if not (a > 0 and x >= 0):
        raise ValueError(f"incomplete gamma of a={a}, x={x}: a must be above and x not below zero")


def _scale(a: float, x: float) -> float:
    return math.exp(a * math.log(x) - x - math.lgamma(a))


def _series(a: float, x: float) -> float:
    """The power series of P (DLMF 8.7.1); converges fast for x < a + 1."""
    if x == 0:
        return 0.0
    term = total = 1.0 / a
    n = a
    while term > total * _ENOUGH:
        n += 1
        term *= x / n
        total += term
    return min(total * _scale(a, x), 1.0)


def _fraction(a: float, x: float) -> float:
    """The continued fraction of Q (DLMF 8.9.2, its even part), by Lentz's method; for x >= a + 1."""
    if math.isinf(x):
        return 0.0
    b = x + 1 - a
    c, d = 1 / _TINY, 1 / b
    value = d
    for i in range(1, 1_000_000):
        numerator = -i * (i - a)
        b += 2
        d = 1 / (numerator * d + b or _TINY)
        c = b + numerator / c or _TINY
        step = c * d
        value *= step
        if abs(step - 1) < _ENOUGH * 10:
            break
    return min(value * _scale(a, x), 1.0)
