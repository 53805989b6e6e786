"""Runs scenarios on a cluster, one after another, and keeps what ran whatever ends the run."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from whichpod.cluster.protocol import Cluster
from whichpod.judge import judged
from whichpod.manifest.engines import GRPCIO
from whichpod.model.errors import ClusterError, LabError, TargetError, UsageError
from whichpod.model.report import Matrix, Report, Row
from whichpod.probe.environment import environment
from whichpod.scenarios.environments import add
from whichpod.scenarios.scenario import Scenario


class Watcher(Protocol):
    """Who is told how a run goes on."""

    def row_started(self, scenario: Scenario, index: int, total: int) -> None:
        """A row begins; `index` counts from 0."""

    def row_says(self, text: str) -> None:
        """What it is doing."""

    def row_ended(self, row: Row) -> None:
        """It came to an end, whichever."""


@dataclass(frozen=True, slots=True)
class Options:
    """What a run changes in the scenarios."""

    pods: int | None = None
    requests: int | None = None
    ready_timeout_s: float = 30.0
    engine: str = GRPCIO
    """The pods' server; rows about the behaviour of gRPC's own keep that."""


async def run_row(
    cluster: Cluster, scenario: Scenario, options: Options, says: Callable[[str], None] | None = None
) -> tuple[Row, dict[str, str]]:
    """Runs one scenario. What the lab or the target fails at makes a failed row, not an exception.

    Returns the row and the lab's environment.
    """
    began = time.monotonic()
    row = _row(scenario)
    environment: dict[str, str] = {}
    bundle = scenario.bundle(options.pods, options.engine)
    missing = scenario.elsewhere(cluster.name) or cluster.missing(bundle, scenario.client)
    if missing:
        row.reason = missing
        return row, environment
    plan = scenario.plan_for(options.pods, options.requests)
    try:
        async with cluster.lab(
            bundle, client=scenario.client, progress=says, ready_timeout_s=options.ready_timeout_s
        ) as lab:
            if says:
                says("sending")
            report = await lab.probe(scenario.client, plan)
            environment = lab.environment()
            _conclude(row, report)
    except asyncio.CancelledError:
        if row.verdict is None:
            raise
        # It was only being cleaned up: what was measured counts.
    except (ClusterError, LabError, TargetError, UsageError) as error:
        row.outcome, row.reason = "failed", str(error).replace("\n", " ")
    row.duration_s = time.monotonic() - began
    return row, environment


def _cancelled() -> bool:
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


def _row(scenario: Scenario) -> Row:
    return Row(
        scenario.name,
        scenario.title,
        "skipped",
        scenario.why,
        scenario.guide,
        scenario.expectation,
        because=scenario.because,
    )


def _not_run(scenario: Scenario) -> Row:
    row = _row(scenario)
    row.reason = "Not run: the cluster went away before."
    return row


def _conclude(row: Row, report: Report) -> None:
    verdict = judged(report, row.expectation).verdict
    assert verdict is not None
    row.report, row.verdict = report, verdict
    row.counts = verdict.counts
    row.backends_known, row.backends_hit = verdict.spread.known, verdict.spread.hit
    row.outcome = verdict.outcome or "inconclusive"
    if report.end_reason == "interrupted" and row.outcome == "passed":
        row.outcome = "inconclusive"
    if row.outcome != "passed":
        row.reason = " ".join((*verdict.reasons, report.evidence.first_error)).strip()


async def run_matrix(
    cluster: Cluster, chosen: Sequence[Scenario], options: Options, watcher: Watcher | None = None
) -> Matrix:
    """Runs `chosen` in order. Cancelled, it returns what there is, with end reason "interrupted"."""
    began = time.monotonic()
    for scenario in chosen:
        # All of the input is refused before anything starts.
        scenario.bundle(options.pods, options.engine)
        scenario.plan_for(options.pods, options.requests).check()
    matrix = Matrix(environment() | {"cluster": cluster.name, "engine": options.engine}, [])
    try:
        for index, scenario in enumerate(chosen):
            if cluster.lost:
                matrix.rows += map(_not_run, chosen[index:])
                matrix.end_reason = "target failed"
                break
            if watcher:
                watcher.row_started(scenario, index, len(chosen))
            row, parts = await run_row(cluster, scenario, options, watcher.row_says if watcher else None)
            add(matrix.environment, parts)
            matrix.rows.append(row)
            if watcher:
                watcher.row_ended(row)
            if _cancelled() or (row.report and row.report.end_reason == "interrupted"):
                # The cancellation ended the client, which had a report all the same.
                matrix.end_reason = "interrupted"
                break
    except asyncio.CancelledError:
        matrix.end_reason = "interrupted"
    matrix.duration_s = time.monotonic() - began
    return matrix
