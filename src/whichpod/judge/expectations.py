"""Whether an expectation is met: one small function a kind."""

from __future__ import annotations

from collections.abc import Callable

from whichpod.judge import words
from whichpod.judge.case import Case, Result
from whichpod.judge.pinned import pinned
from whichpod.judge.weighted import weighted
from whichpod.model.expectation import Expect
from whichpod.model.verdict import Balance
from whichpod.stats import samples

_HOW_MANY = "Only one server is known: say how many there are with --backends N."
_NOT_SEVERAL = "There is one server, so there is nothing to spread."


def met(case: Case) -> Result:
    """Holds the expectation against the run. Failed RPCs and the like are the caller's matter."""
    return _RULES[case.expectation.kind](case)


def _single(case: Case) -> Result:
    if case.balance is not Balance.SINGLE:
        return Result("failed", (f"{case.spread.known} servers are known, and one was expected.",))
    note = "One server answered; that there is no other can't be seen from its answers."
    return Result("passed", (note,) if case.alone else ())


def _none(case: Case) -> Result:
    if case.balance is Balance.NONE:
        return Result("passed")
    if case.balance is Balance.SINGLE:
        return Result("inconclusive", (_HOW_MANY if case.alone else _NOT_SEVERAL,))
    if case.spread.hit > 1:
        return Result("failed", (f"{case.spread.hit} servers answered, and one was expected to take all.",))
    return Result("inconclusive")


def _partial(case: Case) -> Result:
    if case.balance is Balance.PARTIAL:
        return Result("passed")
    if case.balance is Balance.SINGLE:
        return Result("inconclusive", (_HOW_MANY if case.alone else _NOT_SEVERAL,))
    if case.spread.hit == case.spread.known:
        return Result("failed", (f"All {case.spread.known} servers answered, and a subset was expected.",))
    if case.balance is Balance.INCONCLUSIVE:
        return Result("inconclusive")
    return Result("failed", (_is(case, "a subset of the servers"),))


def _random(case: Case) -> Result:
    if case.balance in (Balance.RANDOM, Balance.EVEN):
        return Result("passed", _caveats(case))
    if case.balance is Balance.SINGLE:
        return Result("inconclusive", (_HOW_MANY if case.alone else _NOT_SEVERAL,))
    if case.balance is Balance.INCONCLUSIVE:
        return Result("inconclusive")
    return Result("failed", (_is(case, "shares that an even random choice gives"),))


def _even(case: Case) -> Result:
    if case.balance is Balance.EVEN:
        return Result("passed", _caveats(case))
    if case.balance is not Balance.RANDOM:
        return _random(case)
    spread = case.spread
    furthest = max(abs(n - spread.mean) for n in case.sample.counts.values())
    # A balancer that takes turns stays within one RPC per picker; a picker rebuilt on the way adds one.
    if spread.p_even < 0.5 and furthest <= 1 + max(len(case.tally.channels), 1):
        needed = samples.to_tell_even_within(spread.known, spread.variance * spread.known)
        needed = max(needed, samples.to_settle(spread.known, case.expectation.confidence))
        reason = (
            f"Counts this even come about by chance with p = {spread.p_even:.2g}, so taking turns can't be "
            "told from a random choice by them."
        )
        return Result("inconclusive", (reason,), needed)
    reason = (
        f"The counts are no more even than a random choice makes them (p = {spread.p_even:.2g}); "
        f"taking turns would keep them closer than {furthest:.3g} off."
    )
    return Result("failed", (reason,))


def _exact(case: Case) -> Result:
    if case.balance is Balance.SINGLE:
        return Result("inconclusive", (_HOW_MANY if case.alone else _NOT_SEVERAL,))
    low, high = min(case.sample.counts.values()), max(case.sample.counts.values())
    if high - low > 1:
        return Result("failed", (f"Counts go from {low} to {high}, and should differ by at most 1.",),
                      more_may_help=True)  # fmt: skip
    if case.spread.total < case.spread.known:
        reason = f"{case.sample.quantity(case.spread.total)} can't reach {case.spread.known} servers."
        return Result("inconclusive", (reason,), case.spread.known)
    return Result("passed", _caveats(case))


def _at_least(case: Case) -> Result:
    wanted, hit = case.expectation.at_least, case.spread.hit
    if hit >= wanted:
        return Result("passed", at_any_pace=True)
    reason = f"{hit} server{'s' * (hit != 1)} answered, and at least {wanted} should have."
    if case.spread.total < wanted:
        return Result("inconclusive", (reason,), wanted)
    return Result("failed", (reason,), more_may_help=True)


def _refused(case: Case) -> Result:
    tally = case.tally
    if tally.done:
        reason = f"{tally.done} of {tally.done + tally.failed} RPCs were answered, and none should have been."
        return Result("failed", (reason,), at_any_pace=True)
    if case.spread.total:
        reason = f"{case.spread.total} RPCs were failed by a server, and none should have reached one."
        return Result("failed", (reason,), at_any_pace=True)
    if not tally.failed:
        return Result("inconclusive", ("No RPC came to an end.",))
    if set(tally.statuses) != {"UNAVAILABLE"}:
        return Result("failed", (f"{words.failures(tally)}, and all should fail with UNAVAILABLE.",))
    return Result("passed", at_any_pace=True)


def _is(case: Case, expected: str) -> str:
    return f"The spread is {case.balance}, and {expected} were expected."


def _caveats(case: Case) -> tuple[str, ...]:
    """What a passed expectation about evenness leaves open."""
    found = []
    if case.sample.known_by is None:
        found.append("Only the servers that answered are known; silent ones would go unnoticed.")
    if case.pinned and not case.takes_turns and len(case.tally.channels) < case.spread.total:
        found.append(
            f"Each of the {len(case.tally.channels)} {case.way}s stayed with one server: "
            "the choice was made per connection, not per RPC."
        )
    return tuple(found)


_RULES: dict[Expect, Callable[[Case], Result]] = {
    Expect.SINGLE: _single,
    Expect.NONE: _none,
    Expect.PARTIAL: _partial,
    Expect.RANDOM: _random,
    Expect.EVEN: _even,
    Expect.EXACT: _exact,
    Expect.AT_LEAST: _at_least,
    Expect.WEIGHTS: weighted,
    Expect.PINNED: pinned,
    Expect.REFUSED: _refused,
}
