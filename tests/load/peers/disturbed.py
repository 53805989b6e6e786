"""Runs during which something happens to the peer."""

from __future__ import annotations

import threading
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


LONG_S = 60.0


def disturbed(
    *addresses: str,
    by: Callable[[], object],
    lasting_s: float | None = None,
    call: Call | None = None,
    **plan: Any,
) -> Report:
    """A run in which `by` is called once, as soon as some RPCs are done. Its books must balance.

    It goes on for `lasting_s` from then on, however late that was, and is interrupted; without, it has an end
    of its own.
    """
    called: list[float] = []
    stop = threading.Event()

    def look(progress: LoadProgress) -> None:
        if progress.done >= SOME and not called:
            by()
            called.append(progress.elapsed_s)
        elif called and lasting_s is not None and progress.elapsed_s > called[0] + lasting_s:
            stop.set()

    if lasting_s is not None:
        plan |= {"requests": None, "duration_s": LONG_S}
    report = bench(Target(addresses[0]), Plan(**plan), call, addresses=addresses, progress=look, stop=stop)
    assert called
    assert report.tally.balanced_books
    return report
