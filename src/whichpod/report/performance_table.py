"""The performance table for a person at a terminal."""

from __future__ import annotations

from typing import Literal

from rich.console import Console
from rich.table import Table
from rich.text import Text

from whichpod.model.performance import Performance
from whichpod.report.performance_cells import cells, headers, missing, notes, summary

_FIGURES = range(1, 9)
"""Columns that are numbers."""


def print_performance(console: Console, table: Performance) -> None:
    """Writes the table, how to read it, and what is missing in it."""
    titles = headers(table)
    grid = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    for number, title in enumerate(titles):
        justify: Literal["right", "left"] = "right" if number in _FIGURES else "left"
        grid.add_column(title, justify=justify, no_wrap=number == 0, overflow="fold")
    for row in table.rows:
        found = cells(row)
        grid.add_row(
            row.name, *(Text.assemble(c.median, (f"\n{c.range}" * bool(c.range), "dim")) for c in found)
        )
    console.print(grid)
    console.print()
    for row in table.rows:
        if why := missing(row):
            console.print(Text(f"{row.name}: {why}", "yellow"))
    for note in notes(table):
        console.print(Text(note, "dim"))
    console.print()
    console.print(summary(table))
