"""How a matrix goes on, on stderr: a live line on a terminal, a line per row in a pipe."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from whichpod.model.report import Row
from whichpod.report.console import err
from whichpod.report.matrix_table import MARKS, balancing, distribution

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress, TaskID

    from whichpod.scenarios.run import Watcher
    from whichpod.scenarios.scenario import Scenario


@contextmanager
def watcher(*, quiet: bool) -> Iterator[Watcher | None]:
    """Something to tell a run's progress to; None where nobody would look at it."""
    console = err()
    if not console.is_terminal:
        yield None if quiet else _Lines(console)
        return
    from rich import progress as bars

    said = bars.TextColumn("{task.fields[said]}")
    columns = (bars.BarColumn(), bars.MofNCompleteColumn(), said, bars.TimeElapsedColumn())
    with bars.Progress(*columns, console=console, transient=True) as bar:
        yield _Bar(bar, bar.add_task("", total=None, said=""))


class _Lines:
    """A line per row that ended."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._of = ""

    def row_started(self, scenario: Scenario, index: int, total: int) -> None:
        self._of = f"[{index + 1}/{total}] {scenario.name}"

    def row_says(self, text: str) -> None:
        pass

    def row_ended(self, row: Row) -> None:
        what = f"{balancing(row)} {distribution(row)}" if row.verdict else row.reason
        self._console.print(f"{self._of}: {MARKS[row.outcome]}, {what} ({row.duration_s:.1f} s)")


class _Bar:
    """A bar over the rows, with what the present one is doing."""

    def __init__(self, bar: Progress, task: TaskID) -> None:
        self._bar = bar
        self._task = task
        self._name = ""

    def row_started(self, scenario: Scenario, index: int, total: int) -> None:
        self._name = scenario.name
        self._bar.update(self._task, completed=index, total=total, said=scenario.name)

    def row_says(self, text: str) -> None:
        self._bar.update(self._task, said=f"{self._name}: {text}")

    def row_ended(self, row: Row) -> None:
        self._bar.update(self._task, advance=1, said=f"{row.name}: {MARKS[row.outcome]}")
