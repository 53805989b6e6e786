"""A cell's timeline in columns, as all drawings want it: counts per pod, failures, latencies."""

from __future__ import annotations

import math
from dataclasses import dataclass

from whichpod.model.dynamic import Cell
from whichpod.model.histogram import Histogram
from whichpod.model.timeline import UNKNOWN, Line, Timeline


@dataclass(frozen=True, slots=True)
class Series:
    """Columns of equal width, from the beginning of the load to its end."""

    began_ns: int
    column_ns: int
    pods: dict[str, list[int]]
    """RPCs done per column, by pod, in order; UNKNOWN for answers of unknown origin."""
    failed: list[int]
    """RPCs failed, or not sent, per column."""
    totals: list[int]
    latency: list[Histogram]
    """Of those done."""

    @property
    def seconds(self) -> float:
        """How long it lasted."""
        return len(self.totals) * self.column_ns / 1e9

    def at(self, at_ns: int) -> float:
        """A time in seconds since the beginning."""
        return (at_ns - self.began_ns) / 1e9


def series(cell: Cell, most: int) -> Series | None:
    """The columns, `most` of them at most; None where nothing was measured."""
    timeline = cell.timeline()
    if timeline is None or not timeline.span:
        return None
    span = timeline.span
    per = max(1, math.ceil(len(span) / most))
    columns = [range(n, min(n + per, span.stop)) for n in range(span.start, span.stop, per)]
    lines = timeline.by_label()
    pods = {label: [_done(lines[label], c) for c in columns] for label in sorted(lines, key=order)}
    pods = {label: counts for label, counts in pods.items() if label != UNKNOWN or any(counts)}
    failed = [_failed(timeline, c) for c in columns]
    totals = [f + sum(counts[i] for counts in pods.values()) for i, f in enumerate(failed)]
    return Series(
        timeline.start_ns(span.start),
        per * timeline.interval_ns,
        pods,
        failed,
        totals,
        [_latency(lines, c) for c in columns],
    )


def order(label: str) -> tuple[str, int, str]:
    """echo-2 comes before echo-10."""
    name, _, number = label.rpartition("-")
    return (name, int(number), "") if number.isdigit() else (label, 0, label)


def shares(counts: list[int], totals: list[int]) -> list[float]:
    """Counts as parts of the totals; 0 where there was nothing."""
    return [n / total if total else 0.0 for n, total in zip(counts, totals, strict=True)]


def _done(line: Line, numbers: range) -> int:
    return sum(line.intervals[n].done for n in numbers if n in line.intervals)


def _failed(timeline: Timeline, numbers: range) -> int:
    return sum(
        line.intervals[n].failed for line in timeline.lines.values() for n in numbers if n in line.intervals
    ) + sum(timeline.dropped.get(n, 0) for n in numbers)


def _latency(lines: dict[str, Line], numbers: range) -> Histogram:
    found = Histogram()
    for line in lines.values():
        for n in numbers:
            if n in line.intervals:
                found.merge(line.intervals[n].latency)
    return found
