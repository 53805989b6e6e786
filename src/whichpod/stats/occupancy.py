"""How many of k backends n independent, even choices reach: the classical occupancy problem.

Feller, An Introduction to Probability Theory and Its Applications, vol. 1, chapters II.11 and IV.2.
"""

from __future__ import annotations

import math

_DIRECT_WORK = 150_000
"""Steps that the recurrence may take; about 20 ms."""
_SAFE_ERROR = 1e-6
"""Rounding error up to which the alternating sum is trusted."""


def expected(backends: int, choices: int) -> float:
    """How many different backends are reached on average: k (1 - (1 - 1/k)^n)."""
    if backends < 1 or choices < 1:
        return 0.0
    return backends * -math.expm1(choices * math.log1p(-1 / backends)) if backends > 1 else 1.0


def at_most(hit: int, backends: int, choices: int) -> float:
    """The chance that `choices` reach at most `hit` of `backends`.

    Exact, by a recurrence for small and inclusion-exclusion for large samples. Only where both fail
    (hundreds of backends and few RPCs for each) the normal approximation of the number of silent
    backends is used.
    """
    if hit >= min(backends, choices):
        return 1.0
    if hit < 1:
        return 0.0
    if hit == 1:
        return math.exp((1 - choices) * math.log(backends))
    if choices * (hit + 1) <= _DIRECT_WORK:
        return _recurrence(hit, backends, choices)
    total = _inclusion_exclusion(backends - hit, backends, choices)
    return _normal(hit, backends, choices) if total is None else total


def _recurrence(hit: int, backends: int, choices: int) -> float:
    """Choice by choice: the next one reaches a new backend or one of those already reached."""
    chance = [0.0] * (hit + 1)
    chance[0] = 1.0
    stay = [h / backends for h in range(hit + 1)]
    fresh = [1 - s for s in stay]
    for _ in range(choices):
        for h in range(hit, 0, -1):
            chance[h] = chance[h] * stay[h] + chance[h - 1] * fresh[h - 1]
        chance[0] = 0.0
    return min(math.fsum(chance), 1.0)


def _inclusion_exclusion(silent: int, backends: int, choices: int) -> float | None:
    """P(at least `silent` backends get nothing) = Σ (-1)^(i-m) C(i-1, m-1) C(k, i) (1 - i/k)^n, i from m on.

    None where the terms cancel too much for floating point.
    """
    total = size = 0.0
    for i in range(silent, backends):
        log = (
            _log_choose(i - 1, silent - 1)
            + _log_choose(backends, i)
            + choices * math.log1p(-i / backends)
        )  # fmt: skip
        if log > 20:
            return None
        term = math.exp(log)
        total += -term if (i - silent) % 2 else term
        size += term
        if term < 1e-18 * size:
            break
    error = size * backends * 1e-14
    return min(max(total, 0.0), 1.0) if error < _SAFE_ERROR else None


def _normal(hit: int, backends: int, choices: int) -> float:
    """The number of silent backends is asymptotically normal (Rényi 1962)."""
    missed = (1 - 1 / backends) ** choices
    mean = backends * missed
    both = (1 - 2 / backends) ** choices
    variance = mean + backends * (backends - 1) * both - mean * mean
    z = (backends - hit - 0.5 - mean) / math.sqrt(max(variance, 1e-300))
    return 0.5 * math.erfc(z / math.sqrt(2))


def _log_choose(n: int, k: int) -> float:
    return math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1)
