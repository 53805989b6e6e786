"""Many pods behind one Service: all are there, all are reached, evenly."""

from __future__ import annotations

import asyncio
import itertools

import pytest

from tests.cluster.manifests import ROUND_ROBIN, bundle, deployment, service
from whichpod.cluster.local.kubelet import Pace
from whichpod.cluster.loopback import LoopbackCluster
from whichpod.cluster.protocol import Client
from whichpod.judge import judged
from whichpod.model.expectation import parse_expectation
from whichpod.model.plan import Plan

PODS = 120


def test_a_hundred_and_twenty_pods_by_a_sidecar_and_by_the_client() -> None:
    meshed, headless = Client("echo", meshed=True), Client("direct")

    async def run() -> None:
        what = bundle(
            deployment(replicas=PODS, args="[serve, --engine, fast]"),
            service(),
            service("direct", headless=True),
            ROUND_ROBIN,
        )
        async with LoopbackCluster().live(what, clients=[meshed, headless]) as lab:
            assert sum(p.ready for p in lab.pods) == PODS
            by_sidecar = await lab.probe(meshed, Plan(requests=2 * PODS))
            counts = [b.done for b in by_sidecar.tally.backends.values()]
            assert counts == [2] * PODS
            by_client = await lab.probe(headless, Plan(requests=4 * PODS, policy="round_robin", warmup=1))
            assert len(by_client.evidence.resolved) == PODS
            verdict = judged(by_client, parse_expectation("even")).verdict
            assert verdict is not None
            assert verdict.spread.hit == PODS
            assert verdict.outcome == "passed"

    asyncio.run(run())


def test_probes_keep_their_distance() -> None:
    async def run() -> list[float]:
        loop, pace, times = asyncio.get_running_loop(), Pace(100), []

        async def one() -> None:
            await pace.turn()
            times.append(loop.time())

        await asyncio.gather(*(one() for _ in range(6)))
        return [b - a for a, b in itertools.pairwise(times)]

    gaps = asyncio.run(run())
    assert sum(gaps) >= 5 / 100 - 0.002
    assert all(gap >= 0 for gap in gaps)


@pytest.mark.parametrize("per_s", [1.0])
def test_one_that_comes_alone_does_not_wait(per_s: float) -> None:
    async def run() -> bool:
        waiting = asyncio.ensure_future(Pace(per_s).turn())
        await asyncio.sleep(0)
        return waiting.done()

    assert asyncio.run(run())
