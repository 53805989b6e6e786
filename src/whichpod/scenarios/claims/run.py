"""Runs what the chosen claims take, each thing once, and settles them."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from typing import Protocol

from whichpod.cluster.protocol import Cluster, LiveCluster
from whichpod.model.claims import ClaimResult, Claims, Exhibit, Ruling
from whichpod.model.dynamic import Cell
from whichpod.model.performance import Settings
from whichpod.probe.environment import environment
from whichpod.scenarios.claims.catalogue import TRIALS
from whichpod.scenarios.claims.claim import Claim, Evidence, UnsettledError, exhibit
from whichpod.scenarios.dynamic.run import DynamicOptions, run_dynamic
from whichpod.scenarios.dynamic.run import Watcher as DynamicWatcher
from whichpod.scenarios.dynamic.scenario import chosen_cells, dynamic_scenarios
from whichpod.scenarios.environments import add
from whichpod.scenarios.performance.rows import chosen
from whichpod.scenarios.performance.run import Watcher as PerformanceWatcher
from whichpod.scenarios.performance.run import run_performance
from whichpod.scenarios.run import Options, run_matrix
from whichpod.scenarios.run import Watcher as RowWatcher
from whichpod.scenarios.scenario import Scenario, scenarios

BRIEF = Settings(repetitions=2, duration_s=2.0)
"""The performance table, as short as tells an order of magnitude."""


class Place(Cluster, LiveCluster, Protocol):
    """A cluster that has labs of both kinds."""

    name: str


class Watcher(RowWatcher, PerformanceWatcher, DynamicWatcher, Protocol):
    """Who is told how a run goes on."""


def needed(claims: Sequence[Claim]) -> list[Scenario]:
    """The rows of the matrix and the trials that the claims take, each once, in their order."""
    rows = {name for c in claims for name in c.rows}
    trials = {name for c in claims for name in c.trials}
    return [s for s in scenarios() if s.name in rows] + [s for s in scenarios(TRIALS) if s.name in trials]


async def run_claims(
    cluster: Place,
    claims: Sequence[Claim],
    watcher: Watcher | None = None,
    *,
    ready_timeout_s: float = 30.0,
) -> Claims:
    """What a run makes of the claims. Cancelled, it settles what it can; the end reason says so."""
    began = time.monotonic()
    found = Claims(environment() | {"cluster": cluster.name})
    evidence = Evidence()
    matrix = await run_matrix(cluster, needed(claims), Options(ready_timeout_s=ready_timeout_s), watcher)
    found.end_reason = matrix.end_reason
    add(found.environment, matrix.environment)
    evidence.rows = {row.name: row for row in matrix.rows}
    cells = list(dict.fromkeys(name for c in claims for name in c.cells))
    if cells and found.end_reason == "completed":
        options = DynamicOptions(at_once=2, ready_timeout_s=ready_timeout_s)
        living = await run_dynamic(cluster, chosen_cells(dynamic_scenarios(), cells, []), options, watcher)
        evidence.cells = {cell.name: cell for cell in living.cells}
        found.end_reason = living.end_reason
        add(found.environment, living.environment)
    names = list(dict.fromkeys(name for c in claims for name in c.performance))
    if names and found.end_reason == "completed":
        table = await run_performance(
            cluster, chosen(names, []), BRIEF, watcher, ready_timeout_s=ready_timeout_s
        )
        evidence.performance = table
        found.end_reason = table.end_reason
        add(found.environment, table.environment)
    found.results = [settled(claim, evidence) for claim in claims]
    found.duration_s = time.monotonic() - began
    return found


def settled(claim: Claim, evidence: Evidence) -> ClaimResult:
    """A claim, held against what was run."""
    try:
        ruling, said = claim.settle(evidence)
    except UnsettledError as why:
        ruling, said = Ruling.UNSETTLED, str(why)
    return ClaimResult(claim.name, claim.text, claim.told_by, ruling, said, tuple(_exhibits(claim, evidence)))


def told(cell: Cell) -> str:
    """A cell's answers in a line, or why it has none."""
    return "; ".join(f"{a.label}: {a.text}" for a in cell.answers) or cell.reason or "not run"


def _exhibits(claim: Claim, evidence: Evidence) -> Iterator[Exhibit]:
    for kind, names in (("matrix", claim.rows), ("trial", claim.trials)):
        for name in names:
            if row := evidence.rows.get(name):
                yield exhibit(f"{kind}:{name}", row)
    for name in claim.cells:
        if cell := evidence.cells.get(name):
            yield Exhibit(f"dynamic:{name}", f"{cell.title}; {cell.path_title}", told(cell))
    for cost in evidence.performance.rows if evidence.performance else ():
        if cost.name in claim.performance and cost.figures:
            rps, p50_ms = cost.figures.rps.median, cost.figures.p50_ns.median / 1e6
            said = f"{rps:,.0f} RPCs per second, p50 {p50_ms:.2f} ms"
            yield Exhibit(f"performance:{cost.name}", cost.title, said)
