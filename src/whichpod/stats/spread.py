"""All the numbers behind a verdict, from counts."""

from __future__ import annotations

import math
from collections.abc import Sequence

from whichpod.model.verdict import Spread
from whichpod.stats import chi_square, evenness


def spread(counts: Sequence[int]) -> Spread:
    """The numbers of `counts`: one per backend that should answer, those with nothing included.

    Order does not matter. Without backends or RPCs all are neutral: no deviation, p-values of 1.
    """
    total, known = sum(counts), len(counts)
    mean = total / known if known else 0.0
    # From the sum of squares in integers: exact for even counts of any size.
    squares = sum(c * c for c in counts)
    variance = (squares * known - total * total) / known**2 if known else 0.0
    stdev = math.sqrt(variance)
    tails = evenness.tails(counts)
    return Spread(
        total=total,
        known=known,
        hit=sum(1 for c in counts if c),
        mean=mean,
        variance=variance,
        stdev=stdev,
        cv=stdev / mean if total else 0.0,
        jain=jain(counts),
        chi_square=chi_square.pearson(counts) if known else 0.0,
        dof=max(known - 1, 0),
        p_skewed=tails.skewed,
        p_even=tails.even,
        max_deviation=max(abs(c - mean) for c in counts) / mean if total else 0.0,
    )


def jain(counts: Sequence[int]) -> float:
    """Jain's fairness index (Jain, Chiu, Hawe 1984, DEC-TR-301): (Σx)² / (k Σx²); 1.0 for no counts."""
    squares = sum(c * c for c in counts)
    return sum(counts) ** 2 / (len(counts) * squares) if squares else 1.0
