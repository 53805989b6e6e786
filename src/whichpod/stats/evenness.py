"""How likely chance makes counts at least so uneven, and at least so even.

Null hypothesis: each of n RPCs picks one of k backends independently, all with the same chance. The
statistic is Pearson's, which for even shares is a function of the sum of squared counts. Its
distribution is computed exactly where that is cheap, since with few RPCs the chi-square approximation
is poor on the even side: all of 5 backends at exactly 10 of 50 RPCs has a chance of 5.4e-4, while the
approximation says 0.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from whichpod.stats import binomial, chi_square

_SLOT = 128
"""Bits per entry of a packed row; an entry times a weight must fit."""
_FRACTION = 63
"""Bits of a probability in fixed point: a resolution of 1e-19."""
_EXACT_WORK = 8_000_000
"""Entries that the exact computation may touch; under 100 ms."""
_OVERHEAD = 64
"""What one operation on a row costs by itself, in entries."""
_EXACT_FLOOR = 1e-9
"""Below this the complement of the exact left tail has lost its digits."""


@dataclass(frozen=True, slots=True)
class Tails:
    """P-values of counts against an even, independent choice."""

    skewed: float
    """Chance of a statistic at least this large."""
    even: float
    """Chance of a statistic at most this small."""
    exact: bool
    """Whether by the multinomial distribution itself; else by the chi-square approximation."""


def tails(counts: Sequence[int]) -> Tails:
    """Both p-values of `counts`, one count per backend, zeros included."""
    n, k = sum(counts), len(counts)
    if n == 0 or k < 2:
        return Tails(1.0, 1.0, exact=True)
    if k == 2:
        return _of_two(*counts)
    statistic = chi_square.pearson(counts)
    centre = round(n / k)
    distance = sum((c - centre) ** 2 for c in counts)
    if work(n, k, distance) > _EXACT_WORK:
        return Tails(chi_square.sf(statistic, k - 1), chi_square.cdf(statistic, k - 1), exact=False)
    below, at = _left(n, k, distance)
    skewed = 1.0 - below
    if skewed < _EXACT_FLOOR:
        skewed = min(chi_square.sf(statistic, k - 1), _EXACT_FLOOR)
    return Tails(skewed, min(below + at, 1.0), exact=True)


def _of_two(one: int, other: int) -> Tails:
    """A binomial: exact for any size."""
    low, n = min(one, other), one + other
    closer = 2 * binomial.at_most(low - 1, n, 0.5)
    return Tails(binomial.two_sided(low, n, 0.5), 1.0 - closer, exact=True)


def work(n: int, k: int, distance: int) -> float:
    """An estimate of the entries that the exact computation touches for n RPCs on k backends."""
    reach = math.isqrt(distance)
    sums = min(math.sqrt(k * distance) + 1, n + 1)
    steps = reach + min(reach, n // k) + 1
    return k * sums * steps * (distance + _OVERHEAD)


def _left(n: int, k: int, distance: int) -> tuple[float, float]:
    """(P(S < distance), P(S = distance)) for S, the sum of (count - centre)² of a multinomial sample.

    A multinomial sample is k independent Poisson counts, given their sum. So a convolution
    over backends of pairs (sum, S) does it, cut off at `distance`. All S for one sum are packed into one
    big integer: adding and scaling them is then one operation, which is fast without numpy.
    """
    centre = round(n / k)
    goal = n - k * centre
    reach = math.isqrt(distance)
    mask = _mask(distance + 1)
    weights = {y: _poisson(n / k, centre + y) for y in range(-min(reach, centre), reach + 1)}
    rows = {0: 1 << _FRACTION}
    for placed in range(1, k + 1):
        left = k - placed
        fresh: dict[int, int] = {}
        for y, weight in weights.items():
            shift = _SLOT * y * y
            for before, row in rows.items():
                at = before + y
                if _least(at, placed, goal, left) <= distance:
                    fresh[at] = fresh.get(at, 0) + (row * weight << shift)
        rows = {at: kept for at, row in fresh.items() if (kept := row >> _FRACTION & mask)}
    packed = rows.get(goal, 0).to_bytes((distance + 1) * _SLOT // 8, "little")
    entries = [
        int.from_bytes(packed[i : i + _SLOT // 8], "little") for i in range(0, len(packed), _SLOT // 8)
    ]
    whole = _pmf(float(n), n) * 2.0**_FRACTION
    return sum(entries[:-1]) / whole, entries[-1] / whole


def _least(at: int, placed: int, goal: int, left: int) -> float:
    """The smallest S of a complete sample whose first `placed` deviations sum to `at` (Cauchy-Schwarz)."""
    rest = goal - at
    if not left:
        return math.inf if rest else at * at / placed
    return at * at / placed + rest * rest / left


def _mask(slots: int) -> int:
    entry = ((1 << _FRACTION + 1) - 1).to_bytes(_SLOT // 8, "little")
    return int.from_bytes(entry * slots, "little")


def _poisson(mean: float, count: int) -> int:
    return round(_pmf(mean, count) * 2.0**_FRACTION)


def _pmf(mean: float, count: int) -> float:
    return math.exp(count * math.log(mean) - mean - math.lgamma(count + 1))
