"""Measures the rows, interleaved: every row once, then every row again."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Protocol

from whichpod.cluster.protocol import Cluster
from whichpod.load.progress import LoadProgress
from whichpod.model.errors import LabError, TargetError
from whichpod.model.performance import Performance, PerformanceRow, Settings, Visit
from whichpod.probe.environment import environment
from whichpod.scenarios.environments import add
from whichpod.scenarios.performance.caveats import caveats
from whichpod.scenarios.performance.figures import conclude, low_rate, saturated
from whichpod.scenarios.performance.guide import guide
from whichpod.scenarios.performance.rows import Configuration, check

LOW, HIGH = "low rate", "saturation"


class Watcher(Protocol):
    """Who is told how a run goes on."""

    def visit_started(self, name: str, repetition: int, index: int, total: int) -> None:
        """A row's turn begins; `index` counts all rows' turns from 0."""

    def visit_says(self, text: str) -> None:
        """What it is doing."""

    def visit_loads(self, phase: str, progress: LoadProgress) -> None:
        """How the load goes on in a phase."""

    def visit_ended(self, visit: Visit) -> None:
        """It came to an end, whichever."""


class _Interrupted(Exception):  # noqa: N818
    pass


async def run_performance(
    cluster: Cluster,
    configurations: Sequence[Configuration],
    settings: Settings,
    watcher: Watcher | None = None,
    *,
    ready_timeout_s: float = 30.0,
) -> Performance:
    """The table. What the lab or a target fails at makes a failed row, not an exception.

    Cancelled, it returns what there is, with end reason "interrupted"; the visit that was under way is left
    out. Raises UsageError, before anything starts, for settings that make no sense.
    """
    began = time.monotonic()
    check(settings)
    known = guide()
    table = Performance(
        environment() | {"cluster": cluster.name},
        settings,
        [PerformanceRow(c.name, c.title, c.note, known.rows.get(c.name, "")) for c in configurations],
        started_at=datetime.now(UTC).isoformat(timespec="seconds"),
    )
    rows = {row.name: row for row in table.rows}
    able = []
    for c in configurations:
        if why := _missing(cluster, c, settings):
            rows[c.name].outcome, rows[c.name].reason = "skipped", why
        else:
            able.append(c)
    turns = [(n, c) for n in range(1, settings.repetitions + 1) for c in able]
    try:
        for index, (repetition, c) in enumerate(turns):
            if watcher:
                watcher.visit_started(c.name, repetition, index, len(turns))
            visit, parts = await _visit(cluster, c, settings, repetition, watcher, ready_timeout_s)
            add(table.environment, parts)
            rows[c.name].visits.append(visit)
            if watcher:
                watcher.visit_ended(visit)
    except (asyncio.CancelledError, _Interrupted):
        table.end_reason = "interrupted"
    conclude(table.rows)
    table.caveats = caveats(table, known)
    table.duration_s = time.monotonic() - began
    return table


def _missing(cluster: Cluster, configuration: Configuration, settings: Settings) -> str:
    if configuration.mutual_tls and not cluster.mutual_tls:
        return f"The {cluster.name} lab's sidecars have no mutual TLS."
    return cluster.missing(configuration.bundle(settings), configuration.reached) or ""


async def _visit(
    cluster: Cluster,
    configuration: Configuration,
    settings: Settings,
    repetition: int,
    watcher: Watcher | None,
    ready_timeout_s: float,
) -> tuple[Visit, dict[str, str]]:
    """One row, once, in a lab of its own. Returns the lab's environment too."""
    began = time.monotonic()
    client = configuration.reached
    low_plan, high_plan = configuration.plans(settings)
    parts: dict[str, str] = {}
    try:
        async with cluster.lab(
            configuration.bundle(settings),
            client=client,
            progress=watcher.visit_says if watcher else None,
            ready_timeout_s=ready_timeout_s,
        ) as lab:
            low = await lab.bench(client, low_plan, progress=_teller(watcher, LOW))
            if low.report.end_reason == "interrupted":
                raise _Interrupted
            high = await lab.bench(client, high_plan, progress=_teller(watcher, HIGH))
            if high.report.end_reason == "interrupted":
                raise _Interrupted
            parts = lab.environment()
        if not low.report.tally.done or not high.report.tally.done:
            error = low.report.evidence.first_error or high.report.evidence.first_error or "nothing answered"
            raise TargetError(f"No RPC was done: {error}.")
    except (LabError, TargetError) as error:
        return Visit(repetition, time.monotonic() - began, error=str(error).replace("\n", " ")), parts
    return Visit(repetition, time.monotonic() - began, low_rate(low), saturated(high)), parts


def _teller(watcher: Watcher | None, phase: str) -> Callable[[LoadProgress], None] | None:
    return (lambda progress: watcher.visit_loads(phase, progress)) if watcher else None
