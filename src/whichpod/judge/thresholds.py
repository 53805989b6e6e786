"""The conditions of --fail-if, held against a run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from whichpod.model.histogram import Histogram
from whichpod.model.report import Report, ThresholdResult
from whichpod.model.tally import BackendTally
from whichpod.model.threshold import Threshold
from whichpod.model.units import format_ns
from whichpod.model.verdict import Balance, Spread

_UNTOLD = 0.05
"""Part of the answers that may not say who gave them before shares mean nothing."""
_BUSY = "The client itself was the limit, so a faster one may have measured otherwise."


@dataclass(frozen=True, slots=True)
class _Value:
    """A measured value in the condition's unit, and in words; or why there is none."""

    value: float | None
    words: str


def check_thresholds(report: Report, thresholds: Sequence[Threshold]) -> tuple[ThresholdResult, ...]:
    """Each condition's result, in order. The report must have its verdict for those about the spread.

    What a saturated client can't tell is not told: it makes latencies longer and rates lower, so only what
    holds of those all the same is concluded from them.
    """
    return tuple(_check(report, threshold) for threshold in thresholds)


def _check(report: Report, threshold: Threshold) -> ThresholdResult:
    if threshold.unit == "class":
        return _balance(report, threshold)
    found = _each(report, threshold) if threshold.per_backend else [_whole(report, threshold)]
    told = [(v.value, v.words) for v in found if v.value is not None]
    if not told:
        return ThresholdResult(threshold.text, "", None, found[0].words if found else _nobody(report))
    value, words = _worst(told, threshold)
    failed = threshold.holds(value)
    if report.saturation.saturated and _client_may_have_done_it(report, threshold, failed):
        return ThresholdResult(threshold.text, words, None, _BUSY)
    return ThresholdResult(threshold.text, words, failed)


def _worst(told: list[tuple[float, str]], threshold: Threshold) -> tuple[float, str]:
    """The value that meets the condition first, if any does."""
    if threshold.operator in (">", ">="):
        return max(told, key=lambda found: found[0])
    if threshold.operator in ("<", "<="):
        return min(told, key=lambda found: found[0])
    return next((found for found in told if threshold.holds(found[0])), told[0])


def _client_may_have_done_it(report: Report, threshold: Threshold, failed: bool) -> bool:
    """Whether a faster client, with shorter latencies, less dropped and higher rates, may turn the result."""
    paced = threshold.metric == "rps" or (threshold.metric == "done" and report.plan.requests is None)
    if not paced and threshold.unit != "ns" and threshold.metric != "dropped":
        return False
    upward = threshold.operator in (">", ">=")
    if not upward and threshold.operator not in ("<", "<="):
        return True
    return failed == (upward != paced)


def _whole(report: Report, threshold: Threshold) -> _Value:
    tally, verdict = report.tally, report.verdict
    if threshold.unit == "ns":
        return _time(tally.service if threshold.service else tally.latency, threshold, "No RPC was answered.")
    match threshold.metric:
        case "done":
            return _Value(tally.done, f"{tally.done} RPCs")
        case "rps":
            return _Value(report.rps, f"{report.rps:.6g} per second")
        case "errors":
            return _part(threshold, tally.failed, tally.done + tally.failed)
        case "dropped":
            return _part(threshold, tally.dropped, tally.scheduled)
    if verdict is None or not verdict.spread.total or tally.unattributed > _UNTOLD * tally.done:
        return _Value(None, _nobody(report))
    return _spread(verdict.spread, threshold.metric, verdict.counts)


def _spread(spread: Spread, metric: str, counts: dict[str, int]) -> _Value:
    match metric:
        case "backends":
            return _Value(spread.hit, f"{spread.hit} answered")
        case "cv":
            return _Value(spread.cv, f"{spread.cv:.4g}")
        case "jain":
            return _Value(spread.jain, f"{spread.jain:.4g}")
    label = (max if metric == "share.max" else min)(counts, key=lambda x: (counts[x], x))
    share = 100 * counts[label] / spread.total
    return _Value(share, f"{share:.4g} % ({label})")


def _each(report: Report, threshold: Threshold) -> list[_Value]:
    """Of each backend, those included that should have answered and did not, where they count."""
    found = [
        (label, _of(entry, report, threshold)) for label, entry in sorted(report.tally.by_label().items())
    ]
    if threshold.metric in ("done", "rps") and report.verdict:
        seen = {label for label, _ in found}
        found += [(label, _Value(0, "nothing")) for label in report.verdict.counts if label not in seen]
    return [_Value(v.value, f"{label}: {v.words}") for label, v in found if v.value is not None]


def _of(entry: BackendTally, report: Report, threshold: Threshold) -> _Value:
    if threshold.unit == "ns":
        return _time(entry.service if threshold.service else entry.latency, threshold, "")
    if threshold.metric == "errors":
        return _part(threshold, entry.failed, entry.done + entry.failed)
    if threshold.metric == "done":
        return _Value(entry.done, f"{entry.done} RPCs")
    rate = entry.done / report.duration_s if report.duration_s else 0.0
    return _Value(rate, f"{rate:.6g} per second")


def _time(histogram: Histogram, threshold: Threshold, otherwise: str) -> _Value:
    if not histogram.count:
        return _Value(None, otherwise)
    percent = threshold.percentile
    if percent is not None:
        value: float = histogram.percentile(percent)
    else:
        value = histogram.maximum if threshold.metric == "max" else histogram.mean
    return _Value(value, format_ns(value))


def _part(threshold: Threshold, count: int, whole: int) -> _Value:
    percent = 100 * count / whole if whole else 0.0
    words = f"{count} of {whole} ({percent:.3g} %)"
    if threshold.unit == "percent":
        return _Value(percent, words) if whole else _Value(None, "There was no RPC.")
    return _Value(count, words)


def _nobody(report: Report) -> str:
    tally = report.tally
    if not tally.done and not tally.failed:
        return "No RPC was answered."
    if not tally.unattributed:
        return "No answer tells which server it came from."
    return f"{tally.unattributed} of {tally.done} answers don't tell which server they came from."


def _balance(report: Report, threshold: Threshold) -> ThresholdResult:
    verdict = report.verdict
    if verdict is None:
        return ThresholdResult(threshold.text, "", None, _nobody(report))
    balance = verdict.balance
    if balance is Balance.INCONCLUSIVE:
        return ThresholdResult(threshold.text, balance.value, None, (*verdict.reasons, verdict.sentence)[0])
    if balance is Balance.SINGLE and threshold.balance is not Balance.SINGLE:
        reason = "There is one server, so there is nothing to spread."
        if verdict.known_by is None:
            reason = "Only one server is known: say how many there are with --backends N."
        return ThresholdResult(threshold.text, balance.value, None, reason)
    equal = balance is threshold.balance
    return ThresholdResult(threshold.text, balance.value, equal == (threshold.operator == "=="))
