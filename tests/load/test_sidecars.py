"""The load engine through sidecars, as the lab runs them: what it counts per pod is what they do."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from whichpod.cluster.loopback import LoopbackCluster
from whichpod.cluster.protocol import LoadRun
from whichpod.manifest.bundle import Bundle
from whichpod.manifest.kinds import Container
from whichpod.model.plan import Plan
from whichpod.scenarios.scenario import Scenario, scenarios

pytestmark = pytest.mark.usefixtures("forking")

ROWS = {s.name: s for s in scenarios()}
MESHED = ["istio", "istio-least-request"]
SMALL = Plan(requests=2_000, connections=3, concurrency=10)
LARGE = Plan(requests=60, connections=2, concurrency=5, payload_size=200_000)
RATED = Plan(requests=None, duration_s=0.4, rate=500, connections=2)


def ran(scenario: Scenario, *plans: Plan, engine: str = "fast", args: tuple[str, ...] = ()) -> list[LoadRun]:
    """A load run for each plan, in one lab, whose servers have these arguments more."""
    cluster = LoopbackCluster()
    bundle = _serving(scenario.bundle(engine=engine), args)
    missing = cluster.missing(bundle, scenario.client)
    if missing:
        pytest.skip(missing)

    async def run() -> list[LoadRun]:
        async with cluster.lab(bundle, client=scenario.client) as lab:
            return [await lab.bench(scenario.client, plan) for plan in plans]

    return asyncio.run(run())


def _serving(bundle: Bundle, args: tuple[str, ...]) -> Bundle:
    def changed(container: Container) -> Container:
        serves = container.args[:1] == ("serve",)
        return replace(container, args=(*container.args, *args)) if serves else container

    return replace(
        bundle,
        deployments=tuple(
            replace(d, containers=tuple(map(changed, d.containers))) for d in bundle.deployments
        ),
    )


@pytest.mark.parametrize("name", MESHED)
def test_through_a_sidecar(name: str) -> None:
    small, large, rated = ran(ROWS[name], SMALL, LARGE, RATED)
    for run, count in ((small, 2_000), (large, 60), (rated, 200)):
        tally = run.report.tally
        assert tally.statuses == {"OK": count}, run.report.evidence.first_error
        assert tally.balanced_books
        assert tally.unattributed == 0
    counts = sorted(b.done for b in small.report.tally.backends.values())
    assert len(counts) == 5
    # Two choices by load, which are as good as chance here.
    assert counts == [400] * 5 if name == "istio" else counts[0] > 0.5 * 400


@pytest.mark.parametrize("name", MESHED)
def test_a_deadline_that_is_too_short(name: str) -> None:
    """Whatever a proxy makes of it, each RPC is counted, and the run ends."""
    (run,) = ran(ROWS[name], Plan(requests=50, concurrency=10, deadline_s=0.2), args=("--delay", "30s"))
    assert run.report.tally.statuses == {"DEADLINE_EXCEEDED": 50}
    assert run.report.tally.balanced_books
