"""Tails of the binomial distribution, for shares too small for the chi-square approximation."""

from __future__ import annotations

import math


def two_sided(hits: int, trials: int, chance: float) -> float:
    """Twice the smaller of P(X <= hits) and P(X >= hits), at most 1."""
    if not 0 < chance < 1:
        return 1.0 if hits == trials * chance else 0.0
    return min(1.0, 2 * min(at_most(hits, trials, chance), at_most(trials - hits, trials, 1 - chance)))


def at_most(hits: int, trials: int, chance: float) -> float:
    """P(X <= hits) of `trials` with a `chance` (0 < chance < 1) each."""
    if hits >= trials:
        return 1.0
    if hits < 0:
        return 0.0
    if hits > trials * chance:
        return 1.0 - at_most(trials - hits - 1, trials, 1 - chance)
    # From the largest term downwards; they shrink at least geometrically below the mean.
    odds = (1 - chance) / chance
    term = total = 1.0
    for x in range(hits, 0, -1):
        term *= x / (trials - x + 1) * odds
        total += term
        if term < 1e-17 * total:
            break
    return min(total * math.exp(_log_pmf(hits, trials, chance)), 1.0)


def _log_pmf(hits: int, trials: int, chance: float) -> float:
    return (
        math.lgamma(trials + 1) - math.lgamma(hits + 1) - math.lgamma(trials - hits + 1)
        + hits * math.log(chance) + (trials - hits) * math.log1p(-chance)
    )  # fmt: skip
