"""How the performance table goes on, on stderr: a live line on a terminal, a line per visit in a pipe."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from whichpod.load.progress import LoadProgress
from whichpod.model.performance import Visit
from whichpod.model.units import format_ns
from whichpod.report.console import err

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress, TaskID

    from whichpod.scenarios.performance.run import Watcher


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


def outcome(visit: Visit) -> str:
    """A visit in a line."""
    if visit.low is None or visit.saturated is None:
        return f"failed: {visit.error}"
    low, high = visit.low, visit.saturated
    return (
        f"{high.rps:,.0f} RPC/s, p50 {format_ns(low.p50_ns)}, p99 {format_ns(low.p99_ns)}, "
        f"{high.hit} of {high.known} servers"
    )


class _Lines:
    """A line per visit that ended."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._of = ""

    def visit_started(self, name: str, repetition: int, index: int, total: int) -> None:
        self._of = f"[{index + 1}/{total}] {name}, repetition {repetition}"

    def visit_says(self, text: str) -> None:
        pass

    def visit_loads(self, phase: str, progress: LoadProgress) -> None:
        pass

    def visit_ended(self, visit: Visit) -> None:
        self._console.print(f"{self._of}: {outcome(visit)} ({visit.duration_s:.1f} s)")


class _Bar:
    """A bar over the visits, with what the present one is doing."""

    def __init__(self, bar: Progress, task: TaskID) -> None:
        self._bar = bar
        self._task = task
        self._name = ""

    def visit_started(self, name: str, repetition: int, index: int, total: int) -> None:
        self._name = f"{name}, repetition {repetition}"
        self._bar.update(self._task, completed=index, total=total, said=self._name)

    def visit_says(self, text: str) -> None:
        self._bar.update(self._task, said=f"{self._name}: {text}")

    def visit_loads(self, phase: str, progress: LoadProgress) -> None:
        failed = f", {progress.failed} failed" if progress.failed else ""
        self.visit_says(f"{phase}, {progress.rps:,.0f} RPC/s{failed}")

    def visit_ended(self, visit: Visit) -> None:
        self._bar.console.print(f"{self._name}: {outcome(visit)}")
        self._bar.update(self._task, advance=1)
