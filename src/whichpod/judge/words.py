"""The sentence of a verdict, and other words for people."""

from __future__ import annotations

from collections.abc import Mapping

from whichpod.judge.classes import Finding
from whichpod.judge.sample import Sample
from whichpod.model.tally import OK, Tally
from whichpod.model.verdict import Balance, Headline, Spread

_NAMED = 6
"""Most servers to name in a sentence."""
_LISTED = 10
"""And in a list of numbers per server."""


def sentence(sample: Sample, spread: Spread, finding: Finding, headline: Headline) -> str:
    """What happened, with numbers, ending in the headline."""
    ending = {"single server": "nothing to balance", "inconclusive": "too few to tell"}.get(
        headline, headline
    )
    return f"{_said(sample, spread, finding.balance)}: {ending}."


def _said(sample: Sample, spread: Spread, balance: Balance) -> str:
    amount = sample.quantity(spread.total)
    servers = f"{spread.known} servers"
    if balance is Balance.SINGLE:
        return _single(sample, amount)
    if spread.hit == 1:
        return f"{_all(spread.total, amount)} went to {sample.hit[0]}, one of {servers}"
    reached = servers if spread.hit == spread.known else f"{spread.hit} of {servers}"
    if balance is Balance.EVEN:
        return f"{amount} went to {reached} evenly, {_each(sample)} each"
    if balance is Balance.RANDOM:
        return f"{amount} went to {reached} as chance spreads them, {_each(sample)} each"
    if balance is Balance.SKEWED:
        return f"{amount} went to {reached}, but not in even shares: {_furthest(sample, spread)}"
    return f"{amount} went to {reached} ({_listed(sample)})"


def _single(sample: Sample, amount: str) -> str:
    who = sample.hit[0]
    everything = _all(sample.total, amount)
    if sample.known_by:
        return f"{everything} went to {who}, the only server"
    return (
        f"{everything} went to {who}, and no other server is known (--backends N says how many should answer)"
    )


def _all(total: int, amount: str) -> str:
    return amount if total == 1 else f"All {amount}"


def _each(sample: Sample) -> str:
    low, high = min(sample.counts.values()), max(sample.counts.values())
    return str(low) if low == high else f"{low} to {high}"


def _furthest(sample: Sample, spread: Spread) -> str:
    label = max(sample.counts, key=lambda x: (abs(sample.counts[x] - spread.mean), x))
    count = sample.counts[label]
    times = count / spread.mean
    size = f"{times:.1f} times" if times >= 1.5 else f"{times:.0%} of"
    return f"{label} got {count}, {size} its even share of {spread.mean:.4g}"


def _listed(sample: Sample) -> str:
    shown = [f"{label} {sample.counts[label]}" for label in sample.hit[:_NAMED]]
    more = len(sample.hit) - _NAMED
    return ", ".join(shown) + (f" and {more} more" if more > 0 else "")


def per_server(counts: Mapping[str, int]) -> str:
    """`echo-0 3, echo-1 2`, by name; of many servers the first."""
    named = sorted(counts.items())
    listed = ", ".join(f"{label} {n}" for label, n in named[:_LISTED])
    return f"{listed} and {len(named) - _LISTED} more" if len(named) > _LISTED else listed


def failures(tally: Tally) -> str:
    """`3 of 50 RPCs failed (UNAVAILABLE 2, CANCELLED 1)`."""
    listed = ", ".join(f"{s} {n}" for s, n in sorted(tally.statuses.items()) if s != OK)
    ended = tally.done + tally.failed
    return f"{tally.failed} of {ended} RPCs failed" + (f" ({listed})" if listed else "")


def _rpcs(n: int) -> str:
    return f"{n} RPC{'s' * (n != 1)}"


def nothing(tally: Tally) -> str:
    """The sentence where no RPC was answered."""
    why = f"{failures(tally)}, so" if tally.failed else "No RPC was answered, so"
    return f"{why} there is no distribution to judge."


def refused(tally: Tally) -> str:
    """The sentence where nobody took an RPC."""
    return f"{_all(tally.failed, _rpcs(tally.failed))} failed with UNAVAILABLE, and none reached a server."


def untold(tally: Tally) -> str:
    """The sentence where answers don't say who gave them."""
    return (
        f"{tally.unattributed} of {tally.done} answers don't tell which server they came from, "
        "so there is no distribution to judge."
    )
