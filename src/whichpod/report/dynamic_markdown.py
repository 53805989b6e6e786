"""Scenarios in time as Markdown, for a pull request or a wiki."""

from __future__ import annotations

from whichpod.model.dynamic import Cell, Dynamic
from whichpod.report.dynamic_words import MARKS, by_scenario, said, step_line, summary
from whichpod.report.heat import heat
from whichpod.report.markdown import table_cell

WIDTH = 72
"""Columns of the drawings."""


def dynamic_markdown(result: Dynamic) -> str:
    """A heading, what it ran on, and per scenario the answers and who had the load when."""
    lines = ["# gRPC load balancing over time, measured", "", summary(result), ""]
    lines += [f"- {name}: {value}" for name, value in result.environment.items()]
    for cells in by_scenario(result).values():
        lines += ["", f"## {cells[0].title}", ""]
        lines += _table(cells)
        for cell in cells:
            lines += _section(cell)
    return "\n".join(lines) + "\n"


def _table(cells: list[Cell]) -> list[str]:
    questions = list(dict.fromkeys(q for c in cells for q, _ in said(c)))
    lines = [
        _row(["Path", *questions, "Result"]),
        _row(["---"] * (len(questions) + 2)),
    ]
    for cell in cells:
        answers = dict(said(cell))
        path = cell.name.partition("/")[2]
        lines.append(_row([path, *(answers.get(q, "") for q in questions), MARKS[cell.outcome]]))
    return lines


def _row(cells: list[str]) -> str:
    return f"| {' | '.join(map(table_cell, cells))} |"


def _section(cell: Cell) -> list[str]:
    lines = ["", f"### {cell.name}", "", f"{cell.path_title}. {cell.because}".strip(), ""]
    if cell.reason:
        lines += [f"{MARKS[cell.outcome].capitalize()}: {cell.reason}", ""]
    drawn = heat(cell, WIDTH)
    if drawn:
        width = max(len(label) for label, _ in drawn.rows) + 2
        lines.append("```text")
        lines += [f"{label:<{width}}{cells}".rstrip() for label, cells in drawn.rows]
        lines += [f"{'':<{width}}{drawn.marks}".rstrip(), f"{'':<{width}}{drawn.scale}", "```", ""]
    lines += [f"{n}. {step_line(step, cell)}" for n, step in enumerate(cell.steps, 1)]
    return lines
