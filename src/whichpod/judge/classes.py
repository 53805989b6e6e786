"""The class of a spread: the rules of docs/verdict.md."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from whichpod.judge.sample import Sample
from whichpod.model.verdict import Balance, Headline, Spread
from whichpod.stats import occupancy, samples
from whichpod.stats.weights import COCHRAN


@dataclass(frozen=True, slots=True)
class Finding:
    """A class and what it rests on."""

    balance: Balance
    reasons: tuple[str, ...] = ()
    requests_needed: int = 0


def classify(sample: Sample, spread: Spread, *, tolerance: float, confidence: float) -> Finding:
    """The class of `sample`, whose numbers are `spread`. The first rule that decides, decides."""
    n, known, hit = spread.total, spread.known, spread.hit
    level = 1 - confidence
    if known == 1:
        return Finding(Balance.SINGLE)
    silent = occupancy.at_most(hit, known, n)
    if silent < level:
        return _subset(sample, spread, silent)
    if n >= known and spread.p_even < samples.EVEN_LEVEL:
        return Finding(Balance.EVEN) if hit == known else _even_but_silent(spread, confidence)
    # The exact test behind p_skewed holds for few RPCs too, so what it rejects is rejected.
    if n >= known and spread.p_skewed < level and spread.max_deviation > tolerance:
        return Finding(Balance.SKEWED, _outliers(sample.counts, spread.mean))
    if n < COCHRAN * known:
        needed = samples.to_settle(known, confidence)
        reason = f"{sample.quantity(n)} on {known} servers can't tell chance from a fault."
        return Finding(Balance.INCONCLUSIVE, (reason,), needed)
    if spread.p_skewed < level:
        reason = (
            f"The shares differ by more than chance (p = {spread.p_skewed:.2g}), but by at most "
            f"{spread.max_deviation:.1%} of the even share, within the tolerance of {tolerance:.1%}."
        )
        return Finding(Balance.RANDOM, (reason,))
    return Finding(Balance.RANDOM)


def _subset(sample: Sample, spread: Spread, chance: float) -> Finding:
    servers = f"{spread.hit} of {spread.known} servers"
    if sample.unit == "message":
        return Finding(Balance.NONE, ("A stream stays with its backend, so all of its messages do.",))
    reason = f"An even random choice would reach no more than {servers} with a chance of {chance:.2g}."
    return Finding(Balance.NONE if spread.hit == 1 else Balance.PARTIAL, (reason,))


def _even_but_silent(spread: Spread, confidence: float) -> Finding:
    silent = spread.known - spread.hit
    reason = (
        f"The counts are more even than chance, yet {silent} of {spread.known} servers got nothing, which "
        "chance alone would still explain."
    )
    return Finding(Balance.INCONCLUSIVE, (reason,), samples.to_settle(spread.known, confidence))


def _outliers(counts: Mapping[str, int], mean: float) -> tuple[str, ...]:
    label = max(counts, key=lambda x: (abs(counts[x] - mean), x))
    return (f"{label} got {counts[label]}, and an even share is {mean:.4g}.",)


def headline(balance: Balance, spread: Spread) -> Headline:
    """Three words for it.

    A subset or a skew is "partly balanced", until one server has so much that it is nearer to everything
    than to its even share: then it is "not balanced".
    """
    if balance in (Balance.EVEN, Balance.RANDOM):
        return "balanced"
    if balance is Balance.SINGLE:
        return "single server"
    if balance is Balance.INCONCLUSIVE:
        return "inconclusive"
    return "not balanced" if balance is Balance.NONE or dominated(spread) else "partly balanced"


def dominated(spread: Spread) -> bool:
    """Whether the largest share is more than halfway from 1/known to 1."""
    # A deviation that large can't be a starved server's: those end at 1 (with two, both deviate alike).
    return 1 + spread.max_deviation > (spread.known + 1) / 2
