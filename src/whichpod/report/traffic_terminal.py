"""A Service's own traffic on the terminal."""

from __future__ import annotations

from collections.abc import Mapping

from rich.console import Console, Group
from rich.table import Table
from rich.text import Text

from whichpod.model.report import Report
from whichpod.report.console import block
from whichpod.report.terminal import BAR, print_diagnosis, print_verdict

MOST_ROWS = 40
"""Pods that a table shows; the busiest of them."""


def print_traffic(console: Console, report: Report, source: str, unread: Mapping[str, str]) -> None:
    """Writes the pods with their RPCs, what was read, and the verdict."""
    console.print(traffic_table(report, source, unread, block(console)))
    if report.verdict:
        console.print()
        print_verdict(console, report.verdict)
    if report.diagnosis:
        print_diagnosis(console, report.diagnosis)
    if report.end_reason == "interrupted":
        console.print(Text("Interrupted: this is what came so far.", "yellow"))


def traffic_table(report: Report, source: str, unread: Mapping[str, str], mark: str) -> Group:
    """The pods by RPCs, and a line on what they are."""
    tally = report.tally
    table = Table(box=None, pad_edge=False, header_style="dim")
    table.add_column("pod", no_wrap=True)
    table.add_column("", no_wrap=True, width=BAR)
    for name in ("share", "RPCs", "failed"):
        table.add_column(name, justify="right")
    by_name = {b.backend.label: b for b in tally.backends.values()}
    rows = [(name, by_name.get(name)) for name in dict.fromkeys((*report.target.known, *by_name))]
    rows.sort(key=lambda row: (-(row[1].done if row[1] else 0), row[0]))
    most = max((b.done for _, b in rows if b), default=0)
    for name, backend in rows[:MOST_ROWS]:
        if backend is None:
            table.add_row(name, "", "-", unread.get(name, "not read"), "")
            continue
        share = backend.done / tally.done if tally.done else 0.0
        bar = mark * round(BAR * backend.done / most) if most else ""
        table.add_row(name, bar, f"{share:.1%}", str(backend.done), str(backend.failed))
    counted = f"{tally.done} RPCs in {report.duration_s:.0f} s"
    lines = [f"{report.target.address}: {counted}, by {source or 'nobody yet'}"]
    if len(rows) > MOST_ROWS:
        lines.append(f"{len(rows) - MOST_ROWS} more pods, with less than those, aren't shown.")
    if tally.failed:
        statuses = ", ".join(f"{n} {s}" for s, n in sorted(tally.statuses.items()) if s != "OK")
        lines.append(f"{tally.failed} failed: {statuses}")
    if unread:
        name, why = next(iter(unread.items()))
        lines.append(f"{len(unread)} pods could not be read; {name}: {why}")
    return Group(table, Text("\n".join(lines)))
