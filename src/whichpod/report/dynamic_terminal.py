"""Scenarios in time for a person at a terminal: the answers, and who had the load when."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table
from rich.text import Text

from whichpod.model.dynamic import Cell, Dynamic
from whichpod.report.dynamic_words import MARKS, by_scenario, said, step_line, summary
from whichpod.report.heat import FAILED, Heat, heat
from whichpod.report.terminal import STYLES

WIDTH = 60
"""Columns of the drawing."""
_STYLES = {**STYLES, "measured": "cyan"}


def print_dynamic(console: Console, result: Dynamic, *, verbose: bool = False) -> None:
    """Writes a table per scenario, with `verbose` every cell's load over time too, and the summary."""
    for cells in by_scenario(result).values():
        console.print(Text(cells[0].title, "bold"))
        console.print(_table(cells))
        if verbose:
            for cell in cells:
                print_cell(console, cell)
        console.print()
    console.print(summary(result))


def _table(cells: list[Cell]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim", padding=(0, 2, 0, 0))
    table.add_column("cell", no_wrap=True)
    table.add_column("result", no_wrap=True)
    table.add_column("answers", overflow="fold")
    for cell in cells:
        answers = Text()
        for question, answer in said(cell):
            answers.append(f"{question}: ", "dim").append(f"{answer}; ")
        answers = answers[:-2] if answers else Text(cell.reason, "yellow")
        table.add_row(cell.name, Text(MARKS[cell.outcome], _STYLES.get(cell.outcome, "")), answers)
    return table


def print_cell(console: Console, cell: Cell) -> None:
    """Writes one cell: who had the load when, the steps, the answers, and what was expected."""
    console.print()
    console.print(Text.assemble((cell.name, "bold"), f"  {cell.path_title}"))
    drawn = heat(cell, WIDTH, ascii_only=_ascii(console))
    if drawn:
        _print_heat(console, drawn)
    for step in cell.steps:
        console.print(Text(f"  {step_line(step, cell)}"))
    for question, answer in said(cell):
        console.print(Text.assemble((f"  {question}: ", "dim"), answer))
    for finding in cell.findings:
        style = _STYLES.get(finding.outcome, "")
        console.print(Text.assemble(f"  expected {finding.text}: ", (finding.outcome, style)))
    if cell.reason:
        console.print(Text(f"  {cell.reason}", "yellow"))
    if cell.because:
        console.print(Text(f"  Why: {cell.because}"))


def _print_heat(console: Console, drawn: Heat) -> None:
    width = max(len(label) for label, _ in drawn.rows) + 2
    for label, cells in drawn.rows:
        style = "red" if label == FAILED else "cyan"
        console.print(Text.assemble(f"  {label:<{width}}", (cells, style)))
    console.print(Text(f"  {'':<{width}}{drawn.marks}"))
    console.print(Text(f"  {'':<{width}}{drawn.scale}", "dim"))


def _ascii(console: Console) -> bool:
    return not console.is_terminal or not (console.encoding or "").lower().startswith("utf")
