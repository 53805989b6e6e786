"""Tables whose figures are never cut, however narrow the terminal."""

from __future__ import annotations

from collections.abc import Callable

from rich.console import Console
from rich.measure import Measurement
from rich.table import Table

_WIDE = 10_000


def print_whole(console: Console, *made: Callable[[], Table]) -> None:
    """Prints the first of the tables that fits, else the last as wide as it is: the terminal breaks its lines
    then, where rich would cut figures."""
    table = made[0]()
    for make in made:
        table = make()
        if _least(console, table) <= console.width:
            console.print(table)
            return
    table.width = _least(console, table)
    console.print(table, crop=False)


def _least(console: Console, table: Table) -> int:
    """Characters that it takes with nothing cut. rich takes a cell to be as narrow as its longest word, also
    where it may not wrap."""
    wide = console.options.update(width=_WIDE)
    for column in table.columns:
        if column.no_wrap and column.width is None:
            cells = (column.header, *column.cells)
            column.min_width = max(Measurement.get(console, wide, cell).maximum for cell in cells)
    return Measurement.get(console, wide, table).minimum
