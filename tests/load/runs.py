"""Load runs of tests."""

from __future__ import annotations

from typing import Any

from whichpod.load.call import Call
from whichpod.load.run import bench
from whichpod.model.plan import Plan
from whichpod.model.report import Report
from whichpod.model.target import Target, Tls


def run(
    *ports: int,
    call: Call | None = None,
    tls: Tls | None = None,
    addresses: list[str] | None = None,
    **plan: Any,
) -> Report:
    """A run against servers on 127.0.0.1, whose books must balance."""
    where = addresses or [f"127.0.0.1:{port}" for port in ports]
    if "duration_s" in plan:
        plan.setdefault("requests", None)
    report = bench(Target(where[0], tls=tls), Plan(**plan), call, addresses=where)
    assert report.tally.balanced_books
    return report


def by_pod(report: Report) -> dict[str, int]:
    """RPCs done per pod."""
    return {b.backend.label: b.done for b in report.tally.backends.values()}
