"""A load run as CSV: a row per server and one of the whole, for a spreadsheet or a data frame."""

from __future__ import annotations

import csv
import io

from whichpod.model.histogram import Histogram
from whichpod.model.report import Report
from whichpod.model.text import printable
from whichpod.report.bench_rows import PERCENTILES, server_rows

_NAMES = ("min", "mean", *(f"p{p:g}" for p in PERCENTILES), "max")
COLUMNS = (
    "scope", "server", "id", "ip", "done", "failed", "share", "rps",
    *(f"latency_{name}_ms" for name in _NAMES),
    *(f"service_{name}_ms" for name in _NAMES),
)  # fmt: skip


def bench_csv(report: Report) -> str:
    """A header, the servers (`scope` is backend) by name, and the whole run (`scope` is total).

    Times are in ms, empty where there is none; the share is 0 to 1. Service times are empty in closed loop,
    where the latency is counted from the sending as well.
    """
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(COLUMNS)
    service = report.plan.open_loop
    rows = server_rows(report)
    for row in rows:
        who = map(printable, (row.backend.id, row.backend.ip)) if row.backend else ("", "")
        figures = (row.done, row.failed, f"{row.share:.6f}", f"{row.rps:.3f}")
        times = (*_times(row.latency), *_times(row.service if service else Histogram()))
        writer.writerow([_cell(text) for text in ("backend", row.label, *who)] + [*figures, *times])
    tally = report.tally
    told = sum(row.count for row in rows)
    share = told / (tally.done + tally.failed) if tally.done + tally.failed else 0.0
    figures = (tally.done, tally.failed, f"{share:.6f}", f"{report.rps:.3f}")
    times = (*_times(tally.latency), *_times(tally.service if service else Histogram()))
    writer.writerow(["total", "", "", "", *figures, *times])
    return out.getvalue()


def _cell(text: str) -> str:
    # A spreadsheet takes what begins so for a formula, and names come over the wire.
    return "'" + text if text[:1] in ("=", "+", "-", "@", "\t", "\r") else text


def _times(histogram: Histogram) -> list[str]:
    if not histogram.count:
        return [""] * len(_NAMES)
    values = [
        histogram.minimum,
        histogram.mean,
        *(histogram.percentile(p) for p in PERCENTILES),
        histogram.maximum,
    ]
    return [f"{value / 1e6:.6f}" for value in values]
