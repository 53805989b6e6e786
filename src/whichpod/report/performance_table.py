"""The performance table for a person at a terminal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from rich.console import Console
from rich.table import Table
from rich.text import Text

from whichpod.model.performance import Performance
from whichpod.report.performance_cells import cells, headers, missing, notes, summary

_FIGURES = range(1, 10)
"""Columns that are numbers."""
_WIDE = 190
"""Columns of a console that one table fits in; on a narrower one it is written in parts."""
_PARTS = (range(1, 5), range(5, 10), range(10, 13))
"""Speed; CPU; the rest."""


def print_performance(console: Console, table: Performance) -> None:
    """Writes the table, how to read it, and what is missing in it."""
    for part in _PARTS if console.width < _WIDE else (range(1, 13),):
        console.print(_grid(table, part))
        console.print()
    for row in table.rows:
        if why := missing(row):
            console.print(Text(f"{row.name}: {why}", "yellow"))
    for note in notes(table):
        console.print(Text(note, "dim"))
    console.print()
    console.print(summary(table))


def _grid(table: Performance, columns: Sequence[int]) -> Table:
    """The row's name and these columns."""
    titles = headers(table)
    grid = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    grid.add_column(titles[0], no_wrap=True)
    for number in columns:
        justify: Literal["right", "left"] = "right" if number in _FIGURES else "left"
        grid.add_column(titles[number], justify=justify, overflow="fold")
    for row in table.rows:
        found = cells(row)
        shown = [found[number - 1] for number in columns]
        grid.add_row(
            row.name, *(Text.assemble(c.median, (f"\n{c.range}" * bool(c.range), "dim")) for c in shown)
        )
    return grid
