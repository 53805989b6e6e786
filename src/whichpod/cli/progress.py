"""Progress on stderr: a bar on a terminal once a run takes over two seconds, nothing in a pipe."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from whichpod.model.plan import Plan

if TYPE_CHECKING:
    from whichpod.probe.run import Progress

SHOW_AFTER_S = 2.0


@contextmanager
def probe_progress(plan: Plan, *, quiet: bool) -> Iterator[Callable[[Progress], None] | None]:
    """A callback for a probe's progress, or None where there is nobody to look at it."""
    from whichpod.report.console import err

    console = err()
    if quiet or not console.is_terminal:
        yield None
        return
    from rich import progress as bars

    said = bars.TextColumn("{task.fields[said]}")
    columns = (bars.TextColumn("{task.description}"), bars.BarColumn(), said, bars.TimeElapsedColumn())
    bar = bars.Progress(*columns, console=console, transient=True)
    total = plan.requests if plan.duration_s is None else plan.duration_s
    task = bar.add_task("probing", total=total, said="")
    began = time.monotonic()

    def show(now: Progress) -> None:
        if time.monotonic() - began > SHOW_AFTER_S and not bar.live.is_started:
            bar.start()
        at = now.elapsed_s if plan.duration_s is not None else now.done + now.failed
        bar.update(task, completed=at, said=f"{now.done} done, {now.failed} failed")

    try:
        yield show
    finally:
        if bar.live.is_started:
            bar.stop()
