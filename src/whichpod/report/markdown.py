"""The matrix as Markdown, for a pull request or a wiki."""

from __future__ import annotations

from whichpod.model.report import Matrix
from whichpod.report.matrix_table import MARKS, balancing, distribution, summary


def matrix_markdown(matrix: Matrix) -> str:
    """A heading, what it ran on, the table, and a section per row."""
    lines = ["# gRPC load balancing, measured", "", summary(matrix), ""]
    lines += [f"- {name}: {value}" for name, value in matrix.environment.items()]
    lines += [
        "",
        "| Configuration | Balancing | Servers hit | Distribution | Result |",
        "|---|---|---|---|---|",
    ]
    for row in matrix.rows:
        hit = f"{row.backends_hit} of {row.backends_known}" if row.backends_known else ""
        cells = (f"[{row.name}](#{row.name})", balancing(row), hit, distribution(row), MARKS[row.outcome])
        lines.append("| " + " | ".join(map(table_cell, cells)) + " |")
    for row in matrix.rows:
        lines += ["", f"## {row.name}", "", f"{row.title}.", "", row.why]
        if row.reason:
            lines += ["", f"{MARKS[row.outcome].capitalize()}: {row.reason}"]
        if row.verdict:
            lines += ["", row.verdict.sentence, *(f"- {reason}" for reason in row.verdict.reasons)]
        if row.guide:
            lines += ["", f"The guide: {row.guide}"]
    return "\n".join(lines) + "\n"


def table_cell(text: str) -> str:
    """Text as a cell of a table holds it."""
    return text.replace("|", "\\|").replace("\n", " ")
