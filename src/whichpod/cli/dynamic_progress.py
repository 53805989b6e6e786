"""How a run of scenarios in time goes on, on stderr: a bar on a terminal, a line per cell in a pipe."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from whichpod.model.dynamic import Cell
from whichpod.report.console import err
from whichpod.report.dynamic_words import MARKS, in_short

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress, TaskID

    from whichpod.scenarios.dynamic.run import Watcher
    from whichpod.scenarios.dynamic.scenario import DynamicCell


@contextmanager
def watcher(*, quiet: bool) -> Iterator[Watcher | None]:
    """Something to tell a run's progress to; None where nobody would look at it."""
    console = err()
    if not console.is_terminal:
        yield None if quiet else _Lines(console)
        return
    from rich import progress as bars

    columns = (
        bars.BarColumn(),
        bars.TextColumn("{task.fields[said]}"),
        bars.TimeElapsedColumn(),
        bars.TextColumn("{task.fields[budget]}"),
    )
    with bars.Progress(*columns, console=console, transient=True) as bar:
        yield _Bar(bar, bar.add_task("", total=None, said="", budget=""))


class _Lines:
    """A line per cell that ended."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._total = self._ended = 0

    def began(self, cells: int, seconds: float) -> None:
        self._total = cells
        self._console.print(f"{cells} cells, about {seconds:.0f} s")

    def cell_started(self, cell: DynamicCell) -> None:
        pass

    def cell_says(self, cell: DynamicCell, text: str) -> None:
        pass

    def cell_ended(self, found: Cell) -> None:
        self._ended += 1
        self._console.print(
            f"[{self._ended}/{self._total}] {found.name}: {MARKS[found.outcome]}, {in_short(found)} "
            f"({found.duration_s:.1f} s)",
            soft_wrap=True,
        )


class _Bar:
    """A bar over the seconds that the cells take, with what runs now."""

    def __init__(self, bar: Progress, task: TaskID) -> None:
        self._bar = bar
        self._task = task
        self._running: dict[str, str] = {}
        self._total = self._ended = 0

    def began(self, cells: int, seconds: float) -> None:
        self._total = cells
        self._bar.update(self._task, total=0.0, budget=f"of about {seconds:.0f} s")

    def cell_started(self, cell: DynamicCell) -> None:
        self._running[cell.name] = "starting"
        self._update()

    def cell_says(self, cell: DynamicCell, text: str) -> None:
        self._running[cell.name] = text
        self._update()

    def cell_ended(self, found: Cell) -> None:
        self._running.pop(found.name, None)
        self._ended += 1
        self._update()

    def _update(self) -> None:
        said = "  ".join(f"{name}: {text}" for name, text in self._running.items())
        self._bar.update(
            self._task, total=self._total, completed=self._ended, said=f"{self._ended}/{self._total}  {said}"
        )
