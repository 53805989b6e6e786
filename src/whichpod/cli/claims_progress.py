"""How a run of claims goes on: rows first, then the performance table."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from whichpod.cli import matrix_progress

if TYPE_CHECKING:
    from whichpod.load.progress import LoadProgress
    from whichpod.model.dynamic import Cell
    from whichpod.model.performance import Visit
    from whichpod.model.report import Row
    from whichpod.scenarios.claims.run import Watcher
    from whichpod.scenarios.dynamic.scenario import DynamicCell
    from whichpod.scenarios.run import Watcher as RowWatcher
    from whichpod.scenarios.scenario import Scenario


@contextmanager
def watcher(*, quiet: bool) -> Iterator[Watcher | None]:
    """Something to tell a run's progress to; None where nobody would look at it."""
    with matrix_progress.watcher(quiet=quiet) as rows:
        yield _Watcher(rows) if rows else None


class _Watcher:
    def __init__(self, rows: RowWatcher) -> None:
        self._rows = rows

    def row_started(self, scenario: Scenario, index: int, total: int) -> None:
        self._rows.row_started(scenario, index, total)

    def row_says(self, text: str) -> None:
        self._rows.row_says(text)

    def row_ended(self, row: Row) -> None:
        self._rows.row_ended(row)

    def began(self, cells: int, seconds: float) -> None:
        self._rows.row_says(f"{cells} scenarios in time, about {seconds:.0f} s")

    def cell_started(self, cell: DynamicCell) -> None:
        self._rows.row_says(cell.name)

    def cell_says(self, cell: DynamicCell, text: str) -> None:
        self._rows.row_says(f"{cell.name}: {text}")

    def cell_ended(self, found: Cell) -> None:
        pass

    def visit_started(self, name: str, repetition: int, index: int, total: int) -> None:
        self._rows.row_says(f"what it costs, {name}, repetition {repetition}: {index + 1} of {total}")

    def visit_says(self, text: str) -> None:
        pass

    def visit_loads(self, phase: str, progress: LoadProgress) -> None:
        self._rows.row_says(f"what it costs, {phase}, {progress.rps:,.0f} RPC/s")

    def visit_ended(self, visit: Visit) -> None:
        pass
