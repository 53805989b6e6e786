"""Who had the load when, drawn with characters: a row per pod, a column per span of time."""

from __future__ import annotations

from dataclasses import dataclass

from whichpod.model.dynamic import Cell
from whichpod.report.series import series, shares

BLOCKS, ASCII = " ▁▂▃▄▅▆▇█", " .:-=+*#@"
FAILED = "failed"
MOST_ROWS = 16


@dataclass(frozen=True, slots=True)
class Heat:
    """A drawing: rows of (label, characters), below them the steps, and the time."""

    rows: list[tuple[str, str]]
    marks: str
    scale: str


def heat(cell: Cell, width: int, *, ascii_only: bool = False) -> Heat | None:
    """The drawing; None where nothing was measured. A full block is the largest share that a pod ever had."""
    found = series(cell, width)
    if found is None:
        return None
    ramp = ASCII if ascii_only else BLOCKS
    parts = {label: shares(counts, found.totals) for label, counts in found.pods.items()}
    full = max((s for part in parts.values() for s in part), default=0.0) or 1.0
    rows = [(label or "unknown", _row(part, full, ramp)) for label, part in parts.items()]
    if len(rows) > MOST_ROWS:
        rows = [*rows[: MOST_ROWS - 1], (f"… {len(rows) - MOST_ROWS + 1} more", "")]
    failures = shares(found.failed, found.totals)
    if any(failures):
        rows.append((FAILED, _row(failures, 1.0, ramp)))
    columns = len(found.totals)
    marks = [" "] * columns
    for number, step in enumerate(cell.steps, 1):
        at = (step.began_ns - found.began_ns) // found.column_ns
        if 0 <= at < columns:
            marks[at] = str(number % 10)
    end = f"{found.seconds:.0f} s"
    scale = f"0{end:>{max(2, columns - 1)}}   {ramp[-1]} is {full:.0%} of the RPCs"
    return Heat(rows, "".join(marks).rstrip(), scale)


def _row(parts: list[float], full: float, ramp: str) -> str:
    top = len(ramp) - 1
    return "".join(ramp[max(1, round(top * part / full)) if part else 0] for part in parts)
