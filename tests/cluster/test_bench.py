"""The load engine as a lab's client: the path that it takes, and whose CPU time is told."""

from __future__ import annotations

import asyncio

import pytest

from tests.cluster.manifests import ROUND_ROBIN, bundle, deployment, service
from whichpod.cluster.loopback import LoopbackCluster
from whichpod.cluster.protocol import Client, LoadRun, Via
from whichpod.load.progress import LoadProgress
from whichpod.manifest.bundle import Bundle
from whichpod.model.errors import TargetError, UsageError
from whichpod.model.plan import Plan
from whichpod.model.usage import Role

PLAN = Plan(requests=90, connections=2, concurrency=3)
PLAIN = bundle(deployment(), service(), service("direct", headless=True))


def ran(what: Bundle, *clients: Client) -> list[LoadRun]:
    async def run() -> list[LoadRun]:
        async with LoopbackCluster().lab(what, client=clients[0]) as lab:
            return [await lab.bench(client, PLAN) for client in clients]

    return asyncio.run(run())


def roles(run: LoadRun) -> dict[str, Role]:
    return {p.name: p.role for p in run.usage.processes}


PODS = {f"pod echo-{n}": Role.SERVER for n in range(3)}
CLIENT = {"client": Role.CLIENT}


def test_addresses_come_from_the_labs_dns_or_its_list_and_every_process_is_in_the_account() -> None:
    headless, cluster_ip, listed, pod = ran(
        PLAIN,
        Client("direct"),
        Client("echo"),
        Client(deployment="echo", via=Via.ENDPOINTS),
        Client(deployment="echo", via=Via.POD),
    )
    for run in (headless, cluster_ip, listed, pod):
        tally = run.report.tally
        assert tally.statuses == {"OK": 90}
        assert run.report.target.known == ("echo-0", "echo-1", "echo-2")
        assert run.report.target.known_by == "lab"
        assert run.report.environment["cluster"] == "loopback"
        assert run.report.tool == "bench"
        assert all(p.cpu_s > 0 for p in run.usage.processes)
        assert run.usage.wall_s == run.report.duration_s
    for run in (headless, listed):
        assert sorted(b.done for b in run.report.tally.backends.values()) == [30, 30, 30]
        assert run.report.evidence.connections_open == 6
    assert headless.report.target.authority == "direct.default.svc.cluster.local:50051"
    assert cluster_ip.report.evidence.connections_open == 2
    assert len(pod.report.tally.backends) == 1
    assert roles(headless) == CLIENT | PODS
    assert roles(cluster_ip) == CLIENT | PODS | {"kube-proxy": Role.STAND_IN}


def test_sidecars_are_proxies_and_route_by_the_name() -> None:
    (run,) = ran(bundle(deployment(sidecar=True), service(), ROUND_ROBIN), Client("echo", meshed=True))
    assert sorted(b.done for b in run.report.tally.backends.values()) == [30, 30, 30]
    sidecars = {f"sidecar of {name}": Role.PROXY for name in PODS}
    assert roles(run) == CLIENT | PODS | sidecars | {"sidecar of the client": Role.PROXY}


def test_what_a_load_client_can_not_do() -> None:
    with pytest.raises(UsageError, match="does not speak xDS"):
        ran(PLAIN, Client("echo", via=Via.XDS))
    nobody = bundle(deployment(replicas=0), service("direct", headless=True))
    with pytest.raises(TargetError, match="does not resolve"):
        ran(nobody, Client("direct"))


def test_a_cancelled_load_client_reports_what_there_is() -> None:
    async def run() -> LoadRun:
        async with LoopbackCluster().lab(PLAIN, client=Client("direct")) as lab:
            begun = asyncio.Event()

            def heard(progress: LoadProgress) -> None:
                if progress.done:
                    begun.set()

            plan = Plan(requests=None, duration_s=60)
            task = asyncio.create_task(lab.bench(Client("direct"), plan, progress=heard))
            await asyncio.wait_for(begun.wait(), 20)
            task.cancel()
            return await task

    done = asyncio.run(run())
    assert done.report.end_reason == "interrupted"
    assert done.report.tally.done > 0
    assert done.report.tally.balanced_books
    assert done.usage.wall_s < 50
