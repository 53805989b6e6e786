"""Who had the load when, drawn with characters: a row per pod, a column per span of time."""

from __future__ import annotations

import math
from dataclasses import dataclass

from whichpod.model.dynamic import Cell
from whichpod.model.timeline import UNKNOWN, Line, Timeline
from whichpod.report.dynamic_words import seconds

BLOCKS, ASCII = " ▁▂▃▄▅▆▇█", " .:-=+*#@"
FAILED = "failed"
MOST_ROWS = 16


@dataclass(frozen=True, slots=True)
class Heat:
    """A drawing: rows of (label, characters), below them the steps, and the time."""

    rows: list[tuple[str, str]]
    marks: str
    scale: str
    failed: str = FAILED
    """Label of the row of failures."""


def heat(cell: Cell, width: int, *, ascii_only: bool = False) -> Heat | None:
    """The drawing; None where nothing was measured. A full block is the largest share that a pod ever had."""
    timeline = cell.timeline()
    if timeline is None or not timeline.span:
        return None
    ramp = ASCII if ascii_only else BLOCKS
    per = max(1, math.ceil(len(timeline.span) / width))
    columns = [
        range(n, min(n + per, timeline.span.stop))
        for n in range(timeline.span.start, timeline.span.stop, per)
    ]
    lines = timeline.by_label()
    totals = [_failed(timeline, c) + sum(_done(line, c) for line in lines.values()) for c in columns]
    shares = {label: _shares([_done(lines[label], c) for c in columns], totals) for label in lines}
    full = max((s for found in shares.values() for s in found), default=0.0) or 1.0
    rows = [
        (label or "unknown", _row(shares[label], full, ramp))
        for label in sorted(lines, key=order)
        if label != UNKNOWN or any(shares[label])
    ]
    if len(rows) > MOST_ROWS:
        rows = [*rows[: MOST_ROWS - 1], (f"… {len(rows) - MOST_ROWS + 1} more", "")]
    failures = _shares([_failed(timeline, c) for c in columns], totals)
    if any(failures):
        rows.append((FAILED, _row(failures, 1.0, ramp)))
    marks = [" "] * len(columns)
    for number, step in enumerate(cell.steps, 1):
        at = step.began_ns // timeline.interval_ns - timeline.span.start
        if 0 <= at // per < len(columns):
            marks[at // per] = str(number % 10)
    end = f"{seconds(timeline.start_ns(timeline.span.stop), cell):.0f} s"
    scale = f"0{end:>{max(2, len(columns) - 1)}}   {ramp[-1]} is {full:.0%} of the RPCs"
    return Heat(rows, "".join(marks).rstrip(), scale)


def order(label: str) -> tuple[str, int, str]:
    """echo-2 comes before echo-10."""
    name, _, number = label.rpartition("-")
    return (name, int(number), "") if number.isdigit() else (label, 0, label)


def _done(line: Line, numbers: range) -> int:
    return sum(line.intervals[n].done for n in numbers if n in line.intervals)


def _failed(timeline: Timeline, numbers: range) -> int:
    return sum(
        line.intervals[n].failed for line in timeline.lines.values() for n in numbers if n in line.intervals
    ) + sum(timeline.dropped.get(n, 0) for n in numbers)


def _shares(counts: list[int], totals: list[int]) -> list[float]:
    return [n / total if total else 0.0 for n, total in zip(counts, totals, strict=True)]


def _row(shares: list[float], full: float, ramp: str) -> str:
    top = len(ramp) - 1
    return "".join(ramp[max(1, round(top * share / full)) if share else 0] for share in shares)
