"""The matrix for a person at a terminal."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table
from rich.text import Text

from whichpod.model.report import Matrix, Row
from whichpod.report.bench_rows import many
from whichpod.report.console import block
from whichpod.report.terminal import STYLES
from whichpod.report.whole import print_whole

MARKS = {
    "passed": "as expected",
    "failed": "NOT AS EXPECTED",
    "skipped": "skipped",
    "inconclusive": "can't tell",
}
MOST_SHOWN = 10


def distribution(row: Row, most: int = MOST_SHOWN) -> str:
    """The counts per backend, largest first, e.g. `50/0/0/0/0`."""
    counts = sorted(row.counts.values(), reverse=True)
    if len(counts) <= most:
        return "/".join(map(str, counts))
    return f"{'/'.join(map(str, counts[: most - 2]))}/… min {counts[-1]} of {len(counts)}"


def balancing(row: Row) -> str:
    """The verdict in a word or two, empty when the row did not run."""
    if row.verdict is None:
        return ""
    if row.verdict.headline == "refused":
        return "refused"
    return f"{row.verdict.headline} ({row.verdict.balance})"


def why(row: Row) -> str:
    """Why, in a few words, or the reason where the row did not do as expected."""
    return row.reason if row.outcome != "passed" and row.reason else row.because or row.why


def print_matrix(console: Console, matrix: Matrix, *, verbose: bool = False) -> None:
    """Writes the table, with `verbose` every row's distribution, and the summary."""
    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    table.add_column("configuration", no_wrap=True)
    table.add_column("balancing", no_wrap=True)
    table.add_column("servers", justify="right", no_wrap=True)
    table.add_column("distribution", no_wrap=True)
    table.add_column("result", no_wrap=True)
    table.add_column("why", overflow="fold")
    for row in matrix.rows:
        headline = row.verdict.headline if row.verdict else "skipped"
        table.add_row(
            row.name,
            Text(balancing(row), STYLES.get(headline, "")),
            f"{row.backends_hit} of {row.backends_known}" if row.backends_known else "",
            distribution(row),
            Text(MARKS[row.outcome], STYLES.get(row.outcome, "")),
            why(row),
        )
    print_whole(console, lambda: table)
    if verbose:
        for row in matrix.rows:
            _print_row(console, row)
    console.print()
    console.print(summary(matrix))


def _print_row(console: Console, row: Row) -> None:
    console.print()
    console.print(Text.assemble((row.name, "bold"), f"  {row.title}"))
    most, total = max(row.counts.values(), default=0) or 1, sum(row.counts.values()) or 1
    for label, count in sorted(row.counts.items()):
        bar = block(console) * max(round(24 * count / most), 1 if count else 0)
        console.print(
            Text.assemble(f"  {label:<24} ", (f"{bar:<24}", "cyan"), f" {count:>6} {count / total:6.1%}")
        )
    if row.verdict:
        console.print(Text(f"  {row.verdict.sentence}"))
        for reason in row.verdict.reasons:
            console.print(Text(f"  - {reason}"))
    if row.reason:
        console.print(Text(f"  {row.reason}", "yellow"))
    console.print(Text(f"  Why: {row.why}"))
    if row.guide:
        console.print(Text(f"  The guide: {row.guide}", "dim"))


def summary(matrix: Matrix) -> str:
    """One line: how many rows came to what, and how long it took."""
    counts = matrix.outcomes()
    said = {
        "passed": "as expected",
        "failed": "not as expected",
        "inconclusive": "can't tell",
        "skipped": "skipped",
    }
    parts = [f"{n} {said[outcome]}" for outcome, n in counts.items() if n or outcome == "passed"]
    ended = " (interrupted)" if matrix.end_reason == "interrupted" else ""
    return (
        f"{many(len(matrix.rows), 'configuration')} in {matrix.duration_s:.1f} s{ended}: {', '.join(parts)}."
    )
