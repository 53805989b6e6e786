"""A load run as Markdown, for a pull request or a job's summary."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from whichpod.model.report import Report
from whichpod.model.units import format_ns
from whichpod.report.bench_rows import (
    PERCENTILES,
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


def bench_markdown(report: Report) -> str:
    """A heading, what came of it, the conditions, and tables of servers, latencies and the client."""
    lines = [f"# Load on {_text(target_of(report))}", "", f"{_text(header(report))}.", ""]
    lines += [f"{_text(outcome(report))}."]
    if report.end_reason == "interrupted":
        lines += ["", "**Interrupted**: this is what was measured so far."]
    if report.saturation.saturated:
        lines += ["", "**The client was the limit.** " + _text(" ".join(report.saturation.reasons))]
    if report.thresholds:
        lines += ["", "## Conditions that fail the run", ""]
        lines += _table(
            ("Fail if", "Result", "Measured"),
            [(f"`{t.text}`", said(t), _cell(f"{t.measured} {t.reason}".strip())) for t in report.thresholds],
            left=3,
        )
    if report.verdict:
        lines += ["", "## Spread", "", *_verdict(report)]
    lines += ["", "## Latency", "", *_latency(report)]
    rows = server_rows(report)
    if rows:
        lines += ["", "## Servers", ""]
        for group in groups(rows):
            if group.heading:
                lines += [f"{group.heading.capitalize()}:", ""]
            lines += [*_servers(group.rows), ""]
        if line := summary(rows):
            lines += [f"{line}.", ""]
    else:
        lines.append("")
    lines += ["## Client", "", *_client(report), ""]
    lines += [f"- {name}: {_text(value)}" for name, value in report.environment.items()]
    return "\n".join(lines).rstrip() + "\n"


def _verdict(report: Report) -> list[str]:
    verdict = report.verdict
    assert verdict is not None
    lines = [f"**{verdict.headline.capitalize()}**: {_text(verdict.sentence)}"]
    if verdict.expectation is not None:
        lines += ["", f"Expected `{verdict.expectation}`: **{verdict.outcome}**."]
    lines += [f"- {_text(reason)}" for reason in verdict.reasons]
    if report.diagnosis:
        lines += ["", f"Why: {_text(report.diagnosis.cause)}"]
        lines += [f"- {_text(line)}" for line in report.diagnosis.evidence]
        lines += ["", f"What to change: {_text(report.diagnosis.fix)}"]
    return lines


def _latency(report: Report) -> list[str]:
    heads = ("", *(f"p{p:g}" for p in PERCENTILES), "max", "mean")
    rows = [
        (
            name.capitalize(),
            *(time_of(histogram, p) for p in PERCENTILES),
            *((format_ns(histogram.maximum), format_ns(histogram.mean)) if histogram.count else "--"),
        )
        for name, histogram in latencies(report)
    ]
    return _table(heads, rows)


def _servers(rows: Iterable[ServerRow]) -> list[str]:
    heads = ("Server", "Share", "RPCs", "rps", "Errors", "p50", "p90", "p99", "max")
    return _table(
        heads,
        [
            (
                _cell(row.label), f"{row.share:.1%}", f"{row.count:,}", rate(row.rps), f"{row.failed:,}",
                *(time_of(row.latency, p) for p in (50, 90, 99, 100)),
            )
            for row in rows
        ],
    )  # fmt: skip


def _client(report: Report) -> list[str]:
    heads = ("Worker", "CPU", "µs per RPC", "Loop lag p99", "Loop lag max", "Late sends")
    rows = [
        (
            f"{i + 1}{' (died)' if worker.lost else ''}", f"{worker.cpu_share:.0%}",
            f"{1e6 * worker.cpu_s / worker.rpcs:.2f}" if worker.rpcs else "-",
            format_ns(worker.lag_p99_ns), format_ns(worker.lag_max_ns), f"{worker.late_sends:,}",
        )
        for i, worker in enumerate(report.saturation.workers)
    ]  # fmt: skip
    evidence = report.evidence
    open_ = f"{many(evidence.connections_open, 'connection')} open, {evidence.connections_opened:,} in all."
    return [*_table(heads, rows), "", open_] if rows else [open_]


def _table(heads: Sequence[str], rows: Iterable[Sequence[str]], *, left: int = 1) -> list[str]:
    rule = ["---"] * left + ["---:"] * (len(heads) - left)
    return [f"| {' | '.join(cells)} |" for cells in (heads, rule, *rows)]


def _text(text: str) -> str:
    """Text in which nothing is taken for markup: parts of it came over the wire."""
    for mark in "\\`*_<>[]":
        text = text.replace(mark, "\\" + mark)
    return " ".join(text.split())


def _cell(text: str) -> str:
    return _text(text).replace("|", "\\|")
