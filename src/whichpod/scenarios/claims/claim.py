"""A claim, what it takes to settle it, and how what was run is looked at."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from whichpod.model.claims import Exhibit, Ruling
from whichpod.model.dynamic import Cell
from whichpod.model.performance import Performance, PerformanceRow
from whichpod.model.report import Report, Row
from whichpod.model.verdict import Balance

GUIDE = "the guide"


class UnsettledError(Exception):
    """What was run can't tell; the message says why."""


@dataclass(slots=True)
class Evidence:
    """What was run: rows of the matrix and trials by name, scenarios in time, the performance table."""

    rows: Mapping[str, Row] = field(default_factory=dict)
    cells: Mapping[str, Cell] = field(default_factory=dict)
    performance: Performance | None = None

    def row(self, name: str) -> Row:
        """A row that ran, whatever came of it. Raises UnsettledError where it has no report."""
        row = self.rows.get(name)
        if row is None:
            raise UnsettledError(f"{name} was not run.")
        if row.report is None or row.verdict is None:
            raise UnsettledError(f"{name}: {row.reason or 'it has no result.'}")
        return row

    def report(self, name: str) -> Report:
        """Its report."""
        report = self.row(name).report
        assert report is not None
        return report

    def balance(self, name: str) -> Balance:
        """How it was spread. Raises UnsettledError where the sample can't tell, or RPCs failed."""
        row = self.row(name)
        assert row.verdict is not None
        if row.verdict.balance is Balance.INCONCLUSIVE:
            raise UnsettledError(f"{name}: {row.verdict.sentence}")
        if self.report(name).tally.failed:
            raise UnsettledError(f"{name}: {self.report(name).tally.failed} RPCs failed.")
        return row.verdict.balance

    def answer(self, cell: str, name: str) -> float | None:
        """A number that a scenario in time came to; None where the thing never happened.

        Raises UnsettledError where it was not run, or can't tell.
        """
        found = self.cells.get(cell)
        if found is None or found.broken or not found.answers:
            raise UnsettledError(f"{cell}: {found.reason if found else 'it was not run.'}")
        if any(r.saturation.saturated for r in found.reports):
            raise UnsettledError(f"{cell}: the client was late, since the machine had too much to do.")
        answer = next((a for a in found.answers if a.name == name), None)
        if answer is None or answer.unknown or isinstance(answer.value, str):
            raise UnsettledError(f"{cell}: {answer.text if answer else f'it has no answer {name!r}.'}")
        return answer.value

    def number(self, cell: str, name: str) -> float:
        """The same, of something that has happened. Raises UnsettledError where it has not."""
        value = self.answer(cell, name)
        if value is None:
            raise UnsettledError(f"{cell}: {name} never happened.")
        return value

    def measured(self, name: str) -> PerformanceRow:
        """A row of the performance table. Raises UnsettledError where it was not measured."""
        rows = self.performance.rows if self.performance else ()
        row = next((r for r in rows if r.name == name), None)
        if row is None or row.outcome != "measured":
            raise UnsettledError(f"performance, {name}: {row.reason if row else 'it was not run.'}")
        return row


Settle = Callable[[Evidence], tuple[Ruling, str]]


@dataclass(frozen=True, slots=True)
class Claim:
    """A sentence that a run can confirm or refute."""

    name: str
    text: str
    settle: Settle
    """From the evidence to a ruling and its reason. Raises UnsettledError."""
    rows: tuple[str, ...] = ()
    """Rows of the matrix that it takes."""
    trials: tuple[str, ...] = ()
    """Rows of the claims' own, which are no configurations to recommend or to warn of."""
    cells: tuple[str, ...] = ()
    """Scenarios in time, each on a path."""
    performance: tuple[str, ...] = ()
    """Rows of the performance table."""
    told_by: str = GUIDE


def distribution(row: Row, most: int = 10) -> str:
    """The counts per pod, largest first: `50/0/0/0/0`."""
    counts = sorted(row.counts.values(), reverse=True)
    return "/".join(map(str, counts[:most])) + ("/…" if len(counts) > most else "")


def exhibit(name: str, row: Row) -> Exhibit:
    """A row, as an exhibit."""
    if row.report is None:
        return Exhibit(name, row.title, row.reason or "not run")
    tally = row.report.tally
    failed = f", {tally.failed} failed" if tally.failed else ""
    return Exhibit(name, row.title, f"{distribution(row)} ({row.report.tally.done} RPCs done{failed})")


def listed(names: Sequence[str]) -> str:
    """`a, b and c`."""
    return " and ".join(filter(None, (", ".join(names[:-1]), names[-1]))) if names else "none"
