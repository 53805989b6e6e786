"""Runs during which something happens to the peer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from whichpod.load.call import Call
from whichpod.load.progress import LoadProgress
from whichpod.load.run import bench
from whichpod.model.plan import Plan
from whichpod.model.report import Report
from whichpod.model.target import Target

SOME = 20
"""RPCs after which it happens."""


def disturbed(*addresses: str, by: Callable[[], object], call: Call | None = None, **plan: Any) -> Report:
    """A run in which `by` is called once, as soon as some RPCs are done. Its books must balance."""
    called: list[object] = []

    def look(progress: LoadProgress) -> None:
        if progress.done >= SOME and not called:
            called.append(by)
            by()

    report = bench(Target(addresses[0]), Plan(**plan), call, addresses=addresses, progress=look)
    assert called
    assert report.tally.balanced_books
    return report
