"""Counts against given weights."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from whichpod.stats import binomial, chi_square

COCHRAN = 5
"""Least expected count for which Pearson's statistic is taken to follow chi-square (Cochran 1954)."""


@dataclass(frozen=True, slots=True)
class Fit:
    """How counts fit weights."""

    p: float
    """Chance of a deviation at least this large if each RPC were drawn by the weights."""
    max_deviation: float
    """Largest relative distance of a count from its due, over weights above zero."""
    least_expected: float
    """The smallest count that a weight above zero is due."""
    misplaced: int
    """RPCs where the weight is zero."""


def against(counts: Sequence[int], weights: Sequence[float]) -> Fit:
    """Compares. `counts[i]` is due in proportion to `weights[i]`. Raises ValueError as `pearson` does.

    Where an expected count is below 5, the p-value is that of exact binomial tests per backend with
    Bonferroni's correction, which holds for any sample and errs on the side of fitting.
    """
    total = sum(counts)
    due = [
        (c, e)
        for c, e in zip(counts, chi_square.expectations(total, weights), strict=True)
        if e > 0
    ]  # fmt: skip
    misplaced = total - sum(c for c, _ in due)
    least = min((e for _, e in due), default=0.0)
    if not total:
        return Fit(1.0, 0.0, 0.0, 0)
    furthest = max(abs(c - e) / e for c, e in due)
    if misplaced:
        p = 0.0
    elif least >= COCHRAN:
        p = chi_square.sf(chi_square.pearson(counts, weights), len(due) - 1)
    else:
        p = min(1.0, len(due) * min(binomial.two_sided(c, total, e / total) for c, e in due))
    return Fit(p, furthest, least, misplaced)
