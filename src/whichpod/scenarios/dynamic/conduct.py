"""Runs one scenario on one path: the lab, its clients, the steps, and the answers."""

from __future__ import annotations

import asyncio
import time
import traceback
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from whichpod.cluster.protocol import LiveCluster, LiveLab
from whichpod.judge.answers import Scene, answers
from whichpod.manifest.bundle import Bundle
from whichpod.manifest.engines import GRPCIO
from whichpod.model.dynamic import Cell
from whichpod.model.errors import ClusterError, LabError, TargetError, UsageError
from whichpod.model.question import Finding, check
from whichpod.model.report import Report
from whichpod.probe.run import Progress
from whichpod.scenarios.dynamic.scenario import DynamicCell
from whichpod.scenarios.dynamic.steps import NEWCOMERS, take

_FAILURES = (ClusterError, LabError, TargetError, UsageError)


def blank(cell: DynamicCell) -> Cell:
    """The cell as it is before it has run."""
    return Cell(
        cell.name,
        cell.scenario.name,
        cell.way.name,
        cell.scenario.title,
        cell.title,
        why=cell.scenario.why,
        because=cell.because,
    )


async def run_cell(
    cluster: LiveCluster,
    cell: DynamicCell,
    says: Callable[[str], None] | None = None,
    *,
    ready_timeout_s: float = 30.0,
    engine: str = GRPCIO,
) -> tuple[Cell, dict[str, str]]:
    """What came of it, and the lab's environment. What the lab or the target fails at makes a failed cell.

    Cancelled, it ends its clients and answers what can be answered of what they saw.
    """
    began = time.monotonic()
    found = blank(cell)
    environment: dict[str, str] = {}
    bundle = cell.bundle(engine)
    found.serving = _serving(bundle, cell)
    stage = _Stage(cell, found, says or (lambda _: None))
    try:
        async with cluster.live(
            bundle, clients=[cell.client], progress=says, ready_timeout_s=ready_timeout_s
        ) as lab:
            try:
                await stage.play(lab)
            finally:
                found.events = list(lab.events)
            environment = lab.environment()
    except asyncio.CancelledError:
        if not found.reports:
            raise
    except _FAILURES as error:
        found.outcome, found.reason, found.broken = "failed", str(error).replace("\n", " "), True
    except Exception as error:  # a bug of ours; what other cells have measured is not to be lost for it
        at = traceback.extract_tb(error.__traceback__)[-1]
        found.outcome, found.broken = "failed", True
        found.reason = f"A bug in whichpod: {error!r}, at {Path(at.filename).name}:{at.lineno}."
    if found.reports and not found.broken:
        conclude(found, cell)
    found.duration_s = time.monotonic() - began
    return found, environment


def _serving(bundle: Bundle, cell: DynamicCell) -> tuple[str, ...]:
    service = bundle.service(cell.client.backends or cell.client.service)
    return tuple(d.meta.name for d in bundle.behind(service))


class _Stage:
    """The clients and the steps, side by side."""

    def __init__(self, cell: DynamicCell, found: Cell, says: Callable[[str], None]) -> None:
        self._cell = cell
        self._found = found
        self._says = says
        self._begun = asyncio.Event()
        self._began_ns = 0
        self._last = ""

    async def play(self, lab: LiveLab) -> None:
        self._says("sending")
        clients = [
            asyncio.create_task(lab.probe(self._cell.client, plan, progress=self._heard))
            for plan in self._cell.plans()
        ]
        steps = asyncio.create_task(self._steps(lab))
        try:
            await self._all(clients, steps)
        finally:
            for task in (steps, *clients):
                task.cancel()
            ended = await asyncio.gather(*clients, return_exceptions=True)
            await asyncio.gather(steps, return_exceptions=True)
            self._found.reports = [r for r in ended if isinstance(r, Report)]

    async def _all(self, clients: list[asyncio.Task[Report]], steps: asyncio.Task[None]) -> None:
        """Waits for all clients. What the steps fail at ends the run, and so does a client that fails; steps
        that aren't done when the load is over are given up."""
        waiting: set[asyncio.Task[Report] | asyncio.Task[None]] = {*clients, steps}
        while any(c in waiting for c in clients):
            done, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()

    def _heard(self, progress: Progress) -> None:
        self._last = progress.last or self._last
        if not self._begun.is_set():
            self._began_ns = time.monotonic_ns() - round(progress.elapsed_s * 1e9)
            self._begun.set()

    async def _steps(self, lab: LiveLab) -> None:
        newcomer = replace(
            self._cell.plan, requests=NEWCOMERS, duration_s=None, rate=None, timeline_s=0.0, warmup=0
        )
        await self._begun.wait()
        for step in self._cell.scenario.steps:
            due_ns = self._began_ns + round(step.at_s * 1e9)
            await asyncio.sleep(max(0, due_ns - time.monotonic_ns()) / 1e9)
            self._says(step.words("a pod"))
            before = self._found.steps
            before.append(await take(lab, step, self._cell.client, newcomer, before, lambda: self._last))


def conclude(found: Cell, cell: DynamicCell) -> None:
    """Fills in answers, findings and the outcome."""
    timeline = found.timeline()
    if timeline is None or not timeline.span:
        found.outcome, found.reason = "inconclusive", "Nothing was measured."
        return
    found.began_ns = timeline.start_ns(timeline.span.start)
    clients = [r.timeline for r in found.reports if r.timeline]
    scene = Scene(
        timeline,
        clients,
        found.steps,
        found.events,
        found.serving,
        found.began_ns,
        timeline.start_ns(timeline.span.stop),
    )
    interrupted = any(r.end_reason == "interrupted" for r in found.reports)
    if len(found.steps) < len(cell.scenario.steps):
        found.outcome = "inconclusive"
        found.reason = (
            "Interrupted before all steps were taken."
            if interrupted
            else "The load was over before all steps had come to their end: the machine had too much to do."
        )
        return
    try:
        found.answers = answers(scene, cell.scenario.questions)
        found.findings = [check(c, found.answers) for c in cell.expect]
    except UsageError as error:
        found.outcome, found.reason, found.broken = "failed", str(error).replace("\n", " "), True
        return
    late = any(r.saturation.saturated or r.tally.dropped for r in found.reports)
    found.findings = [_softened(f) for f in found.findings] if late or interrupted else found.findings
    outcomes = {f.outcome for f in found.findings}
    if not outcomes:
        found.outcome = "measured"
    else:
        found.outcome = next(o for o in ("failed", "inconclusive", "passed") if o in outcomes)
    found.reason = " ".join(
        f"Expected {f.text}: {f.measured}." for f in found.findings if f.outcome != "passed"
    )
    if late and found.outcome == "inconclusive":
        found.reason += " The client itself was late: the machine had too much to do."
    if interrupted:
        found.reason += " The run was interrupted."
        found.outcome = "inconclusive" if found.outcome == "passed" else found.outcome


def _softened(finding: Finding) -> Finding:
    """A condition that is not met where the schedule was not kept says nothing of the pods."""
    return replace(finding, outcome="inconclusive") if finding.outcome == "failed" else finding
