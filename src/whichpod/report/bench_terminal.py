"""A load run's report for a person at a terminal."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table
from rich.text import Text

from whichpod.model.report import Report
from whichpod.model.units import format_ns
from whichpod.report.bench_rows import (
    PERCENTILES,
    Group,
    ServerRow,
    groups,
    header,
    latencies,
    many,
    outcome,
    rate,
    said,
    server_rows,
    summary,
    target_of,
    time_of,
)
from whichpod.report.console import block
from whichpod.report.terminal import BAR, print_diagnosis, print_verdict
from whichpod.report.whole import print_whole

_SAID = {"FAILED": "bold red", "ok": "green", "can't tell": "bold yellow"}


def print_bench(console: Console, report: Report) -> None:
    """Writes the whole report: servers, totals, latencies, the client's own load, verdict, conditions."""
    console.print(Text.assemble((target_of(report), "bold"), f"\n{header(report)}"))
    console.print()
    rows = server_rows(report)
    if rows:
        for group in groups(rows):
            if group.heading:
                console.print(Text(group.heading, "dim"))
            print_whole(
                console,
                lambda group=group: _servers(group, rows, block(console)),  # type: ignore[misc]
                lambda group=group: _servers(group, rows, ""),  # type: ignore[misc]
            )
        if line := summary(rows):
            console.print(Text(line))
        console.print()
    console.print(Text(outcome(report)))
    if report.tally.latency.count:
        print_whole(console, lambda: _times(report), lambda: _times_below(report))
    console.print(_client(report))
    if report.evidence.first_error:
        console.print(Text(f"first error: {report.evidence.first_error}"))
    if report.verdict:
        console.print()
        print_verdict(console, report.verdict)
    if report.diagnosis:
        print_diagnosis(console, report.diagnosis)
    if report.thresholds:
        console.print()
        console.print(_thresholds(report))
    if report.end_reason == "interrupted":
        console.print(Text("Interrupted: this is what was measured so far.", "yellow"))


def _servers(group: Group, rows: list[ServerRow], mark: str) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim")
    # The groups' tables stand below one another, so they have the same widths.
    widths = [max(len(cells[i]) for cells in map(_cells, [*rows])) for i in range(len(_HEADS))]
    table.add_column("server", no_wrap=True, min_width=widths[0])
    if mark:
        table.add_column("", no_wrap=True, width=BAR)
    for head, width in zip(_HEADS[1:], widths[1:], strict=True):
        table.add_column(head, justify="right", no_wrap=True, min_width=width)
    most = max(row.count for row in rows) or 1
    for row in group.rows:
        bar = mark * max(round(BAR * row.count / most), 1 if row.count else 0)
        label, *cells = _cells(row)
        table.add_row(label, *([Text(bar, "cyan")] if mark else []), *cells)
    return table


_HEADS = ("server", "share", "RPCs", "rps", "errors", "p50", "p90", "p99", "max")


def _cells(row: ServerRow) -> list[str]:
    errors = f"{row.failed:,} ({row.error_share:.2%})" if row.failed else "0"
    times = [time_of(row.latency, p) for p in (50, 90, 99, 100)]
    return [row.label, f"{row.share:.1%}", f"{row.count:,}", rate(row.rps), errors, *times]


def _times(report: Report) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim")
    table.add_column("", no_wrap=True)
    for name in (*(f"p{p:g}" for p in PERCENTILES), "max", "mean"):
        table.add_column(name, justify="right", no_wrap=True)
    for name, histogram in latencies(report):
        cells = [time_of(histogram, p) for p in PERCENTILES]
        table.add_row(name, *cells, format_ns(histogram.maximum), format_ns(histogram.mean))
    return table


def _times_below(report: Report) -> Table:
    """The same where that is too wide: a line for each percentile."""
    table = Table(box=None, pad_edge=False, header_style="dim")
    found = latencies(report)
    table.add_column("", no_wrap=True)
    for name, _ in found:
        table.add_column(name, justify="right", min_width=len("123.4 µs"))
    for p in PERCENTILES:
        table.add_row(f"p{p:g}", *(time_of(histogram, p) for _, histogram in found))
    table.add_row("max", *(format_ns(histogram.maximum) for _, histogram in found))
    table.add_row("mean", *(format_ns(histogram.mean) for _, histogram in found))
    return table


def _client(report: Report) -> Text:
    """The client's own load: each process's, where there are several."""
    saturation, evidence = report.saturation, report.evidence
    connections = (
        f"{many(evidence.connections_open, 'connection')} open, {evidence.connections_opened:,} in all"
    )
    lines = []
    for i, worker in enumerate(saturation.workers):
        name = f"worker {i + 1}" if len(saturation.workers) > 1 else "client"
        each = f", {1e6 * worker.cpu_s / worker.rpcs:.2f} µs per RPC" if worker.rpcs else ""
        late = f", {many(worker.late_sends, 'late send')}" if report.plan.open_loop else ""
        lost = ", died" if worker.lost else ""
        lines.append(
            f"{name}: {worker.cpu_share:.0%} of a core{each}, loop lag p99 {format_ns(worker.lag_p99_ns)}"
            f" max {format_ns(worker.lag_max_ns)}{late}{lost}"
        )
    text = Text("\n".join([*lines, connections]))
    if saturation.saturated:
        text.append("\nTHE CLIENT WAS THE LIMIT", "bold yellow")
        text.append(
            "  so what it measured is partly its own. More --workers, or cores with less to do, help."
        )
        for reason in saturation.reasons:
            text.append(f"\n  - {reason}", "yellow")
    return text


def _thresholds(report: Report) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim")
    for name in ("fail if", "", "measured", ""):
        table.add_column(name, no_wrap=name == "fail if", overflow="fold")
    for result in report.thresholds:
        word = said(result)
        table.add_row(result.text, Text(word, _SAID[word]), result.measured or "-", result.reason)
    return table
