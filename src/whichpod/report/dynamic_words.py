"""What all reports of scenarios in time say in the same words."""

from __future__ import annotations

from whichpod.model.dynamic import Cell, CellOutcome, Dynamic, StepDone
from whichpod.model.events import LabEvent

MARKS: dict[CellOutcome, str] = {
    "passed": "as expected",
    "failed": "NOT AS EXPECTED",
    "inconclusive": "can't tell",
    "skipped": "skipped",
    "measured": "measured",
}


def said(cell: Cell) -> list[tuple[str, str]]:
    """(question, answer) of all answers that say something of their own."""
    return [(a.label, a.text) for a in cell.answers if not a.minor]


def in_short(cell: Cell) -> str:
    """Answers in one line, or why there are none."""
    if not cell.answers:
        return cell.reason
    return "; ".join(f"{question}: {answer}" for question, answer in said(cell))


def summary(result: Dynamic) -> str:
    """One line: how many cells came to what, and how long it took."""
    counts = result.outcomes()
    words = {**MARKS, "failed": "not as expected"}
    parts = [f"{n} {words[outcome]}" for outcome, n in counts.items() if n or outcome == "passed"]
    ended = " (interrupted)" if result.end_reason == "interrupted" else ""
    return f"{len(result.cells)} cells in {result.duration_s:.0f} s{ended}: {', '.join(parts)}."


def by_scenario(result: Dynamic) -> dict[str, list[Cell]]:
    """The cells of each scenario, in order."""
    found: dict[str, list[Cell]] = {}
    for cell in result.cells:
        found.setdefault(cell.scenario, []).append(cell)
    return found


def seconds(at_ns: int, cell: Cell) -> float:
    """A time as seconds since the load began."""
    return (at_ns - cell.began_ns) / 1e9


def step_line(step: StepDone, cell: Cell) -> str:
    """A step with when it was taken."""
    took = (step.ended_ns - step.began_ns) / 1e9
    lasted = f", done {took:.1f} s later" if took >= 0.1 else ""
    return f"{seconds(step.began_ns, cell):.1f} s: {step.what}{lasted}"


def notable(event: LabEvent) -> bool:
    """Whether an event is of a pod, and tells more than the steps do."""
    return event.kind in ("ready", "unready", "died", "restarted", "gone")
