"""The verdict on a tally."""

from __future__ import annotations

from dataclasses import replace

from whichpod.judge import words
from whichpod.judge.case import Case, Result
from whichpod.judge.classes import Finding, classify, headline
from whichpod.judge.diagnosis import diagnose
from whichpod.judge.expectations import met
from whichpod.judge.sample import Sample, sample
from whichpod.model.expectation import Expect, Expectation
from whichpod.model.plan import Plan
from whichpod.model.report import Report
from whichpod.model.tally import Tally
from whichpod.model.target import Target
from whichpod.model.verdict import Balance, Verdict
from whichpod.stats.spread import spread

_DEFAULTS = Expectation(Expect.RANDOM)
"""Whose tolerance and confidence hold where nothing is expected."""


def judge(
    tally: Tally,
    target: Target,
    plan: Plan,
    expectation: Expectation | None,
    *,
    saturated: bool = False,
    interrupted: bool = False,
    way: str = "channel",
    takes_turns: bool = False,
) -> Verdict:
    """How the RPCs of `tally` were spread and whether that is what was expected.

    `saturated`: the client itself was the limit. In open loop that makes the outcome inconclusive, since
    the schedule was not kept (AT_LEAST, once met, stands at any pace). In closed loop some part always is
    the limit, and who answers doesn't depend on it. `interrupted`: the run ended early. `way` and
    `takes_turns`: see Case. Raises nothing: too little is a verdict as well.
    """
    seen = sample(tally, target, plan)
    numbers = spread(list(seen.counts.values()))
    limits = expectation or _DEFAULTS
    silence = _silence(tally, seen, limits.tolerance)
    if silence:
        finding = Finding(Balance.INCONCLUSIVE)
    else:
        finding = classify(seen, numbers, tolerance=limits.tolerance, confidence=limits.confidence)
    head = headline(finding.balance, numbers)
    verdict = Verdict(
        balance=finding.balance,
        headline=head,
        sentence=silence or words.sentence(seen, numbers, finding, head),
        spread=numbers,
        counts=seen.counts,
        unit=seen.unit,
        known_by=seen.known_by,
        reasons=(*finding.reasons, *seen.notes, *_conditions(tally, plan, saturated, interrupted)),
        requests_needed=finding.requests_needed,
    )
    if expectation is None:
        return verdict
    case = Case(expectation, seen, numbers, finding, tally, plan, way, takes_turns)
    result = _outcome(case, bool(silence), saturated and plan.open_loop, interrupted)
    if expectation.kind is Expect.REFUSED and result.outcome == "passed":
        verdict = replace(verdict, headline="refused", sentence=words.refused(tally))
    needed = max(finding.requests_needed, result.requests_needed)
    return replace(
        verdict,
        expectation=expectation,
        outcome=result.outcome,
        reasons=tuple(dict.fromkeys((*result.reasons, *verdict.reasons))),
        requests_needed=needed if "inconclusive" in (result.outcome, finding.balance) else 0,
    )


def _silence(tally: Tally, seen: Sample, tolerance: float) -> str:
    """The sentence where the answers can't be judged at all, else nothing."""
    if not tally.done:
        return words.nothing(tally)
    if not seen.total or tally.unattributed > tolerance * tally.done:
        return words.untold(tally)
    return ""


def _outcome(case: Case, silent: bool, late: bool, interrupted: bool) -> Result:
    tally = case.tally
    if case.expectation.kind is Expect.REFUSED:
        return met(case)
    if not tally.done:
        return Result("failed", ("No RPC was answered.",))
    if tally.failed and not case.expectation.allow_failed:
        return Result("failed", (words.failures(tally) + ".",))
    if silent:
        return Result("inconclusive")
    result = met(case)
    if late and not result.at_any_pace:
        return Result("inconclusive", ("The client itself was the limit, so the schedule was not kept.",))
    if interrupted and result.outcome == "failed" and result.more_may_help:
        return replace(result, outcome="inconclusive")
    return result


def _conditions(tally: Tally, plan: Plan, saturated: bool, interrupted: bool) -> list[str]:
    found = []
    if interrupted:
        found.append(f"The run was interrupted after {tally.done} RPCs.")
    if tally.dropped:
        found.append(f"{tally.dropped} of {tally.scheduled} RPCs were due but not sent: too many in flight.")
    if saturated and not plan.open_loop:
        found.append("The client itself was the limit, so its latencies are too high; the counts hold.")
    return found


def judged(report: Report, expectation: Expectation | None) -> Report:
    """Fills verdict and diagnosis of `report` in place, and returns it."""
    report.verdict = judge(
        report.tally,
        report.target,
        report.plan,
        expectation,
        saturated=report.saturation.saturated,
        interrupted=report.end_reason == "interrupted",
        way="connection" if report.tool == "bench" else "channel",
        takes_turns=report.tool == "bench" and len(set(report.evidence.resolved)) > 1,
    )
    if report.verdict.headline == "refused":
        report.verdict = _refused(report, report.verdict)
    report.diagnosis = diagnose(report)
    return report


def _refused(report: Report, verdict: Verdict) -> Verdict:
    """With the evidence: who could not be found could not refuse."""
    evidence = report.evidence
    if not evidence.resolved:
        reasons = ("The name had no address, so there was nobody who could have refused.", *verdict.reasons)
        return replace(verdict, headline="inconclusive", outcome="inconclusive", reasons=reasons)
    return replace(verdict, reasons=(*verdict.reasons, f"The first said: {evidence.first_error}"))
