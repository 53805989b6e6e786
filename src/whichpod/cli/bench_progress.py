"""A load run's progress on stderr: rate and spread on a terminal, nothing in a pipe."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from whichpod.model.plan import Plan
from whichpod.report.console import block, err

if TYPE_CHECKING:
    from whichpod.load.progress import LoadProgress


@contextmanager
def bench_progress(plan: Plan) -> Iterator[Callable[[LoadProgress], None] | None]:
    """A callback for a load run's progress, or None where there is nobody to look at it."""
    console = err()
    if not console.is_terminal:
        yield None
        return
    from rich.live import Live

    from whichpod.report.bench_live import live_view

    mark = block(console)
    # Drawn when there is something new, without a thread that would take the client's time.
    with Live(console=console, transient=True, auto_refresh=False) as live:
        yield lambda now: live.update(
            live_view(now, plan, height=console.height - 1, mark=mark), refresh=True
        )
