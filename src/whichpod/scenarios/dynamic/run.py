"""Runs cells, some at a time, and keeps what ran whatever ends the run."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Protocol

from whichpod.cluster.protocol import Client, LiveCluster
from whichpod.manifest.bundle import Bundle
from whichpod.manifest.engines import GRPCIO, check_engine
from whichpod.model.dynamic import Cell, Dynamic
from whichpod.probe.environment import environment
from whichpod.scenarios.dynamic.conduct import blank, run_cell
from whichpod.scenarios.dynamic.scenario import DynamicCell
from whichpod.scenarios.environments import add

AT_ONCE = 3
"""Cells that run at a time: they mostly wait."""


class Place(LiveCluster, Protocol):
    """A cluster of live labs that can say what it lacks."""

    def missing(self, bundle: Bundle, client: Client) -> str | None:
        """Why this can't run here; None where it can."""


class Watcher(Protocol):
    """Who is told how a run goes on."""

    def began(self, cells: int, seconds: float) -> None:
        """So many cells are to run, which takes about so long."""

    def cell_started(self, cell: DynamicCell) -> None:
        """One begins."""

    def cell_says(self, cell: DynamicCell, text: str) -> None:
        """What it is doing."""

    def cell_ended(self, found: Cell) -> None:
        """It came to an end, whichever."""


@dataclass(frozen=True, slots=True)
class DynamicOptions:
    """How cells are run."""

    at_once: int = AT_ONCE
    ready_timeout_s: float = 30.0
    engine: str = GRPCIO
    """The pods' server."""


def budget_s(cells: Sequence[DynamicCell], at_once: int) -> float:
    """About how long they take: those that must run alone one after another, the rest side by side."""
    shared = [c.seconds for c in cells if not c.scenario.alone]
    return sum(c.seconds for c in cells if c.scenario.alone) + max(
        [sum(shared) / at_once, *shared], default=0.0
    )


async def run_dynamic(
    cluster: Place,
    cells: Sequence[DynamicCell],
    options: DynamicOptions | None = None,
    watcher: Watcher | None = None,
) -> Dynamic:
    """Runs the cells. Cancelled, it returns what there is, with end reason "interrupted".

    Raises UsageError or ManifestError, before anything starts, for cells that can't be run as written.
    """
    options = options or DynamicOptions()
    check_engine(options.engine)
    began = time.monotonic()
    run = _Run(cluster, options, watcher)
    bundles = {
        c.name: c.bundle(options.engine) for c in cells
    }  # all of the input is refused before anything starts
    found = {c.name: blank(c) for c in cells}
    able = []
    for cell in cells:
        found[cell.name].reason = cluster.missing(bundles[cell.name], cell.client) or ""
        if not found[cell.name].reason:
            found[cell.name].reason = "Not run."
            able.append(cell)
    if watcher:
        watcher.began(len(able), budget_s(able, options.at_once))
    result = Dynamic(
        environment() | {"cluster": cluster.name, "engine": options.engine},
        [],
        datetime.now(UTC).isoformat(timespec="seconds"),
        at_once=options.at_once,
    )
    try:
        # The long ones first, so that none is left to run by itself at the end.
        shared = sorted((c for c in able if not c.scenario.alone), key=lambda c: -c.seconds)
        await run.all(shared, options.at_once)
        await run.all([c for c in able if c.scenario.alone], 1)
    except asyncio.CancelledError:
        result.end_reason = "interrupted"
    result.cells = [run.found.get(c.name, found[c.name]) for c in cells]
    for parts in run.environments:
        add(result.environment, parts)
    result.duration_s = time.monotonic() - began
    return result


class _Run:
    def __init__(self, cluster: LiveCluster, options: DynamicOptions, watcher: Watcher | None) -> None:
        self._cluster = cluster
        self._options = options
        self._watcher = watcher
        self.found: dict[str, Cell] = {}
        self.environments: list[dict[str, str]] = []

    async def all(self, cells: Sequence[DynamicCell], at_once: int) -> None:
        """Runs cells, so many at a time. Cancelled, those that run end in order, and no other begins."""
        left = iter(cells)
        workers = [asyncio.create_task(self._work(left)) for _ in range(min(at_once, len(cells)))]
        try:
            await asyncio.gather(*workers)
        finally:
            for worker in workers:
                worker.cancel()
            await asyncio.gather(*workers, return_exceptions=True)

    async def _work(self, left: Iterator[DynamicCell]) -> None:
        for cell in left:
            if self._watcher:
                self._watcher.cell_started(cell)
            found, environment = await run_cell(
                self._cluster,
                cell,
                self._teller(cell),
                ready_timeout_s=self._options.ready_timeout_s,
                engine=self._options.engine,
            )
            self.found[cell.name] = found
            self.environments.append(environment)
            if self._watcher:
                self._watcher.cell_ended(found)
            task = asyncio.current_task()
            if task and task.cancelling():
                return

    def _teller(self, cell: DynamicCell) -> Callable[[str], None] | None:
        watcher = self._watcher
        return (lambda text: watcher.cell_says(cell, text)) if watcher else None
