"""The performance table as Markdown and as CSV."""

from __future__ import annotations

import csv
import io

from whichpod.model.performance import Performance, PerformanceRow, Visit
from whichpod.model.usage import Role
from whichpod.report.performance_cells import cells, headers, missing, notes, summary


def performance_markdown(table: Performance) -> str:
    """A heading, the table, how to read it, what it ran on, and a section per row."""
    titles = headers(table)
    lines = ["# What load balancing costs, measured", "", summary(table), ""]
    lines += [_line(titles), _line(["---"] * len(titles))]
    for row in table.rows:
        found = cells(row)
        lines.append(_line([row.name, *(f"{c.median}<br>{c.range}" if c.range else c.median for c in found)]))
    lines += ["", *(f"- {note}" for note in notes(table))]
    lines += ["", "## Ran on", "", f"- started: {table.started_at}"]
    lines += [f"- {name}: {value}" for name, value in table.environment.items()]
    for row in table.rows:
        lines += ["", f"## {row.name}", "", f"{row.title}. {row.note}".strip()]
        if why := missing(row):
            lines += ["", f"{why[0].upper()}{why[1:]}"]
    return "\n".join(lines) + "\n"


def performance_csv(table: Performance) -> str:
    """A line per row and repetition, raw; times in ns, CPU in µs per RPC. Of a failed one only why."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(
        [
            "row", "repetition", "rps", "low_p50_ns", "low_p99_ns", "low_done", "low_failed", "low_dropped",
            *(f"low_{role}_cpu_us" for role in _ROLES),
            "saturated_done", "saturated_failed", "saturated_p50_ns", "saturated_p99_ns",
            *(f"{role}_cpu_us" for role in _ROLES), "servers_hit", "servers_known", "spread", "limit",
            "elsewhere_cores", "error",
        ]
    )  # fmt: skip
    for row in table.rows:
        for visit in row.visits:
            writer.writerow(_fields(row, visit))
    return text.getvalue()


_ROLES = (*(role.value for role in Role), "all")


def _fields(row: PerformanceRow, visit: Visit) -> list[object]:
    low, high = visit.low, visit.saturated
    which: list[object] = [row.name, visit.repetition]
    if low is None or high is None:
        return [*which, *[""] * (2 * len(_ROLES) + 15), visit.error]
    return [
        *which, f"{high.rps:.1f}", low.p50_ns, low.p99_ns, low.done, low.failed, low.dropped,
        *(f"{low.cpu_us[role]:.2f}" if role in low.cpu_us else "" for role in _ROLES), high.done,
        high.failed, high.p50_ns, high.p99_ns,
        *(f"{high.cpu_us[role]:.2f}" if role in high.cpu_us else "" for role in _ROLES),
        high.hit, high.known, high.balance.value, high.limit, f"{high.usage.elsewhere_cores:.2f}", "",
    ]  # fmt: skip


def _line(texts: list[str] | tuple[str, ...]) -> str:
    return "| " + " | ".join(t.replace("|", "\\|").replace("\n", " ") for t in texts) + " |"
