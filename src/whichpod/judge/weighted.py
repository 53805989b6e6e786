"""The expectation of given weights, `weights=NAME:W,…`."""

from __future__ import annotations

from whichpod.judge.case import Case, Result
from whichpod.judge.sample import Sample
from whichpod.stats import samples
from whichpod.stats.weights import COCHRAN, against


def weighted(case: Case) -> Result:
    """Counts must fit the weights; a server that no name means, or with weight zero, must get nothing.

    A name means the server that `Backend.matches` it; else all pods whose name begins with it and a
    hyphen, as a Deployment's do, the longest such name first. These share the weight in any way.
    """
    weights = dict(case.expectation.weights)
    counts, strangers = shares(case.sample, list(weights))
    reasons = []
    if strangers:
        listed = ", ".join(f"{label} {n}" for label, n in sorted(strangers.items()))
        reasons.append(f"Servers without a weight got RPCs: {listed}.")
    for name, weight in weights.items():
        if not weight and counts[name]:
            reasons.append(f"{name} has weight 0 and got {counts[name]}.")
    if reasons:
        return Result("failed", tuple(reasons))
    fit = against(list(counts.values()), list(weights.values()))
    confidence, tolerance = case.expectation.confidence, case.expectation.tolerance
    summary = (
        f"Shares are {_shares(counts)}; by the weights {_shares(weights)}. "
        f"The largest deviation is {fit.max_deviation:.1%} of a due share (p = {fit.p:.2g})."
    )
    if fit.p < 1 - confidence and fit.max_deviation > tolerance:
        return Result("failed", (summary,))
    if fit.least_expected < COCHRAN and sum(w > 0 for w in weights.values()) > 1:
        needed = samples.for_weights(list(weights.values()))
        return Result("inconclusive", (summary, "The smallest weight is due too few RPCs to tell."), needed)
    return Result("passed", (summary,))


def shares(sample: Sample, names: list[str]) -> tuple[dict[str, int], dict[str, int]]:
    """(count per name, count per label that no name means and that got something)."""
    counts, strangers = dict.fromkeys(names, 0), {}
    longest_first = sorted(names, key=len, reverse=True)
    for label, n in sample.counts.items():
        name = _name_of(label, sample, longest_first)
        if name is not None:
            counts[name] += n
        elif n:
            strangers[label] = n
    return counts, strangers


def _name_of(label: str, sample: Sample, names: list[str]) -> str | None:
    members = sample.members.get(label, ())
    for name in names:
        if name == label or any(b.matches(name) for b in members):
            return name
    return next((name for name in names if label.startswith(f"{name}-")), None)


def _shares(amounts: dict[str, int] | dict[str, float]) -> str:
    whole = sum(amounts.values())
    return ", ".join(f"{name} {amount / whole:.1%}" for name, amount in amounts.items())
