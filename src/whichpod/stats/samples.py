"""How many RPCs a decision takes."""

from __future__ import annotations

import math

from whichpod.stats import chi_square
from whichpod.stats.weights import COCHRAN

EVEN_LEVEL = 0.05
"""Below this p-value counts are called more even than chance."""


def to_settle(backends: int, confidence: float) -> int:
    """RPCs enough to tell any class but "even" of so many backends.

    Five for each (Cochran's rule for the chi-square test), and so many that a backend left without any
    can't be chance: k (1 - 1/k)^n < 1 - confidence, the union bound on the occupancy problem. 0 for one.
    """
    if backends < 2:
        return 0
    silent = math.log(backends / (1 - confidence)) / -math.log1p(-1 / backends)
    return max(COCHRAN * backends, math.floor(silent) + 1)


def to_tell_even(backends: int) -> int:
    """RPCs from which on exactly even counts are more even than chance; a multiple of `backends`.

    Two backends take 256, three 18, four 8, five 5. 0 for one, which can't be uneven.
    """
    if backends < 2:
        return 0
    each = 1
    while chance_of_level(backends, each) >= EVEN_LEVEL:
        each += 1
    return each * backends


def chance_of_level(backends: int, each: int) -> float:
    """The chance that an even random choice gives every backend exactly `each`: (mk)! / (m!^k k^(mk))."""
    n = backends * each
    return math.exp(math.lgamma(n + 1) - backends * math.lgamma(each + 1) - n * math.log(backends))


def to_tell_even_within(backends: int, squares: float) -> int:
    """RPCs from which on counts with this sum of squared distances from the mean are more even than chance.

    A balancer that takes turns keeps that sum however long it runs, while chance lets it grow with n:
    P(X² <= `squares` k / n) < 0.05, by the chi-square approximation.
    """
    if backends < 2:
        return 0
    grown = squares * backends / chi_square.quantile(EVEN_LEVEL, backends - 1)
    return max(to_tell_even(backends), math.ceil(grown))


def for_weights(weights: list[float]) -> int:
    """RPCs from which on the smallest weight above zero is due five."""
    least = min(w for w in weights if w > 0)
    return math.ceil(COCHRAN * math.fsum(weights) / least)
