"""Pearson's statistic (Pearson 1900) and the chi-square distribution it follows in large samples."""

from __future__ import annotations

import math
from collections.abc import Sequence

from whichpod.stats import gamma


def cdf(x: float, dof: int) -> float:
    """The chance of a value at most `x`. With no degree of freedom the value is always 0."""
    return gamma.lower(dof / 2, x / 2) if dof > 0 else 1.0


def sf(x: float, dof: int) -> float:
    """The chance of a value above `x`; for 0 degrees of freedom 1.0, since nothing can deviate."""
    return gamma.upper(dof / 2, x / 2) if dof > 0 else 1.0


def quantile(p: float, dof: int) -> float:
    """The value that a share `p` (0 < p < 1) stays below, to ten digits, by bisection."""
    high = dof + 1.0
    while cdf(high, dof) < p:
        high *= 2
    low = 0.0
    while high - low > 1e-10 * high:
        middle = (low + high) / 2
        low, high = (middle, high) if cdf(middle, dof) < p else (low, middle)
    return high


def pearson(counts: Sequence[int], weights: Sequence[float] | None = None) -> float:
    """The sum of (observed - expected)² / expected; without weights against even shares.

    A count where the weight is zero makes it infinite. Raises ValueError for weights that are
    negative, sum to zero or are not as many as the counts.
    """
    total = sum(counts)
    if total == 0:
        return 0.0
    if weights is None:
        mean = total / len(counts)
        return math.fsum((c - mean) ** 2 for c in counts) / mean
    expected = expectations(total, weights)
    if len(expected) != len(counts):
        raise ValueError(f"{len(counts)} counts, but {len(expected)} weights")
    if any(c and not e for c, e in zip(counts, expected, strict=True)):
        return math.inf
    return math.fsum((c - e) ** 2 / e for c, e in zip(counts, expected, strict=True) if e)


def expectations(total: int, weights: Sequence[float]) -> list[float]:
    """What each is due of `total` by relative weights. Raises ValueError as `pearson` does."""
    whole = math.fsum(weights)
    if any(w < 0 for w in weights) or not whole > 0:
        raise ValueError("weights must not be negative, and one must be above zero")
    return [total * w / whole for w in weights]
