"""A probe's report for a person at a terminal."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table
from rich.text import Text

from whichpod.model.report import Report
from whichpod.model.units import format_ns
from whichpod.model.verdict import Diagnosis, Verdict
from whichpod.report.console import block
from whichpod.report.whole import print_whole

BAR = 24
STYLES = {
    "balanced": "green", "single server": "green", "partly balanced": "yellow", "inconclusive": "yellow",
    "not balanced": "red",
    "passed": "green", "refused": "green", "failed": "red", "skipped": "dim",
}  # fmt: skip


def print_report(console: Console, report: Report) -> None:
    """Writes the whole report: backends, totals, verdict, diagnosis."""
    verdict = report.verdict
    console.print(_header(report))
    console.print()
    if verdict:
        print_whole(
            console,
            lambda: _backends(report, verdict, block(console)),
            lambda: _backends(report, verdict, ""),
        )
        console.print()
    console.print(_totals(report))
    if verdict:
        console.print()
        print_verdict(console, verdict)
    if report.diagnosis:
        print_diagnosis(console, report.diagnosis)
    if report.end_reason == "interrupted":
        console.print(Text("Interrupted: this is what was measured so far.", "yellow"))


def _header(report: Report) -> Text:
    plan = report.plan
    how = (
        f"open loop at {plan.rate:g} RPCs/s"
        if plan.rate
        else f"closed loop, {plan.concurrency} in flight per channel"
    )
    channels = f"{plan.channels} channel{'s' * (plan.channels > 1)}"
    kind = f"{plan.stream} streams of {plan.messages} messages" if plan.stream != "unary" else "unary RPCs"
    return Text.assemble(
        (report.target.address, "bold"),
        f"\n{kind} over {channels}, {report.evidence.policy or 'default policy'}, {how}",
    )


def _backends(report: Report, verdict: Verdict, mark: str) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim")
    table.add_column("server", no_wrap=True)
    if mark:
        table.add_column("", no_wrap=True, width=BAR)
    for name in (
        "share",
        "messages" if verdict.unit == "message" else "RPCs",
        "first",
        "last",
        "p50",
        "p90",
        "p99",
    ):
        table.add_column(name, justify="right", no_wrap=True)
    total, most = sum(verdict.counts.values()) or 1, max(verdict.counts.values(), default=0) or 1
    seen = report.tally.by_label()
    for label, count in sorted(verdict.counts.items()):
        bar = mark * max(round(BAR * count / most), 1 if count else 0)
        cells: list[str | Text] = [label, *([Text(bar, "cyan")] if mark else [])]
        cells += [f"{count / total:.1%}", str(count)]
        tally = seen.get(label)
        if tally is None or not tally.done:
            table.add_row(*cells, *["-"] * 5)
            continue
        times = [f"{ns / 1e9:.2f} s" for ns in (tally.first_ns, tally.last_ns)]
        table.add_row(*cells, *times, *(format_ns(tally.latency.percentile(p)) for p in (50, 90, 99)))
    return table


def _totals(report: Report) -> Text:
    tally, duration = report.tally, report.duration_s
    failed = ", ".join(f"{n} {s}" for s, n in sorted(tally.statuses.items()) if s != "OK")
    rps = tally.done / duration if duration > 0 else 0.0
    parts = [f"{tally.done} of {tally.scheduled} RPCs done in {duration:.2f} s ({rps:.0f} per second)"]
    parts.append(f"{tally.failed} failed" + (f" ({failed})" if failed else ""))
    if tally.dropped:
        parts.append(f"{tally.dropped} dropped (too many in flight)")
    if tally.in_flight:
        parts.append(f"{tally.in_flight} still in flight")
    if tally.unattributed:
        parts.append(f"{tally.unattributed} of unknown origin")
    loop = "from the scheduled time" if report.plan.open_loop else "closed loop"
    latency = "  ".join(f"p{p:g} {format_ns(tally.latency.percentile(p))}" for p in (50, 90, 99))
    ev = report.evidence
    lines = [
        ", ".join(parts),
        f"latency ({loop}): {latency}  max {format_ns(tally.latency.maximum)}",
        f"connections: {ev.connections_open} open at one time, {ev.connections_opened} in all, "
        f"counted for {report.plan.channels} channel{'s' * (report.plan.channels > 1)}",
    ]
    if ev.first_error:
        lines.append(f"first error: {ev.first_error}")
    if report.saturation.saturated:
        lines.append(f"The client was the limit: {report.saturation.cpu_share:.0%} of a core used.")
    return Text("\n".join(lines))


def print_diagnosis(console: Console, diagnosis: Diagnosis) -> None:
    """Writes why it is so, and what to change."""
    console.print()
    console.print(Text.assemble(("Why: ", "bold"), diagnosis.cause))
    for line in diagnosis.evidence:
        console.print(Text(f"  - {line}"))
    console.print(Text.assemble(("What to change: ", "bold"), diagnosis.fix))


def print_verdict(console: Console, verdict: Verdict) -> None:
    """Writes the verdict with its numbers, whether it was expected, and the reasons."""
    style = STYLES.get(verdict.headline, "")
    console.print(Text.assemble((verdict.headline.upper(), f"bold {style}"), f"  {verdict.sentence}"))
    if verdict.spread.total:
        console.print(_numbers(verdict))
    if verdict.expectation is not None and verdict.outcome is not None:
        outcome = (verdict.outcome, f"bold {STYLES.get(verdict.outcome, '')}")
        console.print(Text.assemble(("expected ", "bold"), str(verdict.expectation), ": ", outcome))
    for reason in verdict.reasons:
        console.print(Text(f"  - {reason}"))
    if verdict.requests_needed:
        console.print(Text(f"  - About {verdict.requests_needed} RPCs would tell."))


def _numbers(verdict: Verdict) -> Text:
    s = verdict.spread
    guess = "" if verdict.known_by else " (only those that answered are known)"
    return Text(
        f"servers hit {s.hit} of {s.known}{guess}, class {verdict.balance}\n"
        f"variance {s.variance:.4g}, standard deviation {s.stdev:.4g}, coefficient of variation {s.cv:.3g}, "
        f"Jain's index {s.jain:.4g}\n"
        f"chi-square {s.chi_square:.4g} with {s.dof} degrees of freedom: p(skewed) {s.p_skewed:.3g}, "
        f"p(more even than chance) {s.p_even:.3g}"
    )
