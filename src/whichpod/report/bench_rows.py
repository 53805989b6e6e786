"""What a load run's renderers show: a row per server, bounded in number, and figures in words."""

from __future__ import annotations

import re
import statistics
from dataclasses import dataclass, field

from whichpod.model.histogram import Histogram
from whichpod.model.report import Report, ThresholdResult
from whichpod.model.tally import OK, BackendTally
from whichpod.model.target import Backend
from whichpod.model.text import printable
from whichpod.model.units import format_ns

MOST_ROWS = 20
"""Servers that are all shown; of more, the extremes and a summary are."""
EXTREMES = 5
_LISTED = 5
"""Addresses of a list that are shown."""
PERCENTILES = (50.0, 90.0, 95.0, 99.0, 99.9, 99.99)
_LONGEST = 63
"""Characters of a server's name that are shown; a Kubernetes name has no more (RFC 1123 label)."""
_NUMBER = re.compile(r"([0-9]+)")


@dataclass(frozen=True, slots=True)
class ServerRow:
    """A server that answered, or should have."""

    label: str
    backend: Backend | None
    """None where it is known by name only, because it did not answer."""
    done: int
    failed: int
    share: float
    """Of the RPCs that are known to be some server's, done and failed; 0 to 1."""
    rps: float
    """RPCs done per second."""
    latency: Histogram = field(default_factory=Histogram)
    service: Histogram = field(default_factory=Histogram)

    @property
    def count(self) -> int:
        """RPCs done and failed."""
        return self.done + self.failed

    @property
    def error_share(self) -> float:
        """Part of its RPCs that failed; 0 to 1."""
        return self.failed / self.count if self.count else 0.0


@dataclass(frozen=True, slots=True)
class Group:
    """Rows to show under a heading."""

    heading: str
    """Empty where all are shown."""
    rows: tuple[ServerRow, ...]


def server_rows(report: Report) -> list[ServerRow]:
    """Every server, by name, with numbers in names by their size; silent ones that are known included."""
    seen = report.tally.by_label()
    labels = dict.fromkeys([*seen, *(report.verdict.counts if report.verdict else ())])
    whole = sum(entry.done + entry.failed for entry in seen.values()) or 1
    return [_row(label, seen.get(label), whole, report.duration_s) for label in sorted(labels, key=natural)]


def _row(label: str, entry: BackendTally | None, whole: int, duration_s: float) -> ServerRow:
    if entry is None:
        return ServerRow(printable(label, _LONGEST), None, 0, 0, 0.0, 0.0)
    rps = entry.done / duration_s if duration_s else 0.0
    share = (entry.done + entry.failed) / whole
    return ServerRow(
        printable(label, _LONGEST),
        entry.backend,
        entry.done,
        entry.failed,
        share,
        rps,
        entry.latency,
        entry.service,
    )


def natural(name: str) -> list[tuple[int, int, str]]:
    """A sorting key by which echo-2 comes before echo-10."""
    return [(0, int(part), "") if part.isdigit() else (1, 0, part) for part in _NUMBER.split(name) if part]


def groups(rows: list[ServerRow]) -> list[Group]:
    """All rows, or of many the busiest, the quietest, the slowest and those that failed most."""
    if len(rows) <= MOST_ROWS:
        return [Group("", tuple(rows))]
    busiest = sorted(rows, key=lambda row: -row.count)
    timed = [row for row in rows if row.latency.count]
    slowest = sorted(timed, key=lambda row: -row.latency.percentile(99))
    failing = sorted((row for row in rows if row.failed), key=lambda row: -row.error_share)
    found = [
        Group("most RPCs", tuple(busiest[:EXTREMES])),
        Group("fewest RPCs", tuple(busiest[: -EXTREMES - 1 : -1])),
        Group("slowest (p99)", tuple(slowest[:EXTREMES])),
        Group("most errors", tuple(failing[:EXTREMES])),
    ]
    return [group for group in found if group.rows]


def summary(rows: list[ServerRow]) -> str:
    """Many servers in a line: the range of their counts and latencies; empty where all rows are shown."""
    if len(rows) <= MOST_ROWS:
        return ""
    counts = sorted(row.count for row in rows)
    parts = [
        f"{len(rows)} servers: RPCs {counts[0]:,} to {counts[-1]:,}, median {statistics.median(counts):,.6g}"
    ]
    for percent in (50, 99):
        times = sorted(row.latency.percentile(percent) for row in rows if row.latency.count)
        if times:
            low, middle, high = (format_ns(t) for t in (times[0], statistics.median(times), times[-1]))
            parts.append(f"p{percent} {low} to {high}, median of the p{percent}s {middle}")
    silent = sum(1 for row in rows if not row.count)
    if silent:
        parts.append(f"{silent} got nothing")
    return "; ".join(parts)


def target_of(report: Report) -> str:
    """The target's name; of a long list the beginning."""
    listed = report.target.address.split(",")
    if len(listed) <= _LISTED:
        return report.target.address
    return f"{','.join(listed[:_LISTED])},… {len(listed):,} addresses"


def header(report: Report) -> str:
    """What was done, in a line."""
    plan = report.plan
    method = plan.method or "the echo service"
    loop = f"open loop, {plan.rate:,.6g} RPCs/s {plan.arrivals}" if plan.open_loop else "closed loop"
    addresses = len(report.evidence.resolved)
    each = f" to each of {addresses} addresses" if addresses > 1 else ""
    parts = [
        f"unary RPCs to {method}, {loop}",
        f"{many(plan.connections, 'connection')}{each} x {many(plan.concurrency, 'stream')}",
    ]
    if plan.workers > 1:
        parts.append(f"{plan.workers} workers")
    if plan.payload_size:
        parts.append(f"{plan.payload_size:,} bytes of payload")
    return ", ".join(parts)


def outcome(report: Report) -> str:
    """How many RPCs came to what, in a line."""
    tally = report.tally
    failed = ", ".join(f"{n:,} {status}" for status, n in sorted(tally.statuses.items()) if status != OK)
    speed = f"in {report.duration_s:.2f} s ({rate(report.rps)} per second)"
    parts = [
        f"{tally.done:,} of {tally.scheduled:,} RPCs done {speed}",
        f"{tally.failed:,} failed" + (f" ({failed})" if failed else ""),
    ]
    if tally.dropped:
        parts.append(f"{tally.dropped:,} dropped (too many were waiting)")
    if tally.in_flight:
        parts.append(f"{tally.in_flight:,} still in flight")
    if tally.unattributed:
        parts.append(f"{tally.unattributed:,} of unknown origin")
    if tally.warmup:
        parts.append(f"{tally.warmup:,} more to warm up")
    return ", ".join(parts)


def latencies(report: Report) -> list[tuple[str, Histogram]]:
    """What is timed, with its name: in open loop the service time stands beside the latency."""
    if report.plan.open_loop:
        return [
            ("latency, from the scheduled time", report.tally.latency),
            ("service time, from the sending", report.tally.service),
        ]
    return [("latency (closed loop, from the sending)", report.tally.latency)]


def rate(value: float) -> str:
    """RPCs per second."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def time_of(histogram: Histogram, percent: float) -> str:
    """A percentile in words; a dash where there is nothing."""
    return format_ns(histogram.percentile(percent)) if histogram.count else "-"


def said(result: ThresholdResult) -> str:
    """What became of a condition."""
    return {True: "FAILED", False: "ok", None: "can't tell"}[result.failed]


def many(n: int, what: str) -> str:
    """`1 stream`, `1,000 streams`."""
    return f"{n:,} {what}" if n == 1 else f"{n:,} {what}s"
