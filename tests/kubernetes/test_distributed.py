"""The load engine in several pods: the API is a stand-in over real HTTP, workers and servers are real."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.kubernetes.standin.fixture import IMAGE, StandIn, cluster
from whichpod.cluster.kubernetes.cluster import KubernetesCluster
from whichpod.cluster.kubernetes.distributed import GATE, Load, bench
from whichpod.cluster.kubernetes.service import find_service
from whichpod.cluster.kubernetes.settings import Settings
from whichpod.cluster.kubernetes.task import Task
from whichpod.judge import judged
from whichpod.load.call import echo_call
from whichpod.load.progress import LoadProgress
from whichpod.model.errors import ClusterError, UsageError
from whichpod.model.plan import Plan
from whichpod.model.report import Report
from whichpod.model.target import Target, Tls
from whichpod.scenarios.scenario import scenarios, selected

pytestmark = pytest.mark.anyio


@pytest.fixture
def here(tmp_path: Path) -> Iterator[StandIn]:
    with cluster(tmp_path, istio=False) as found:
        yield found
        assert found.kubelet.processes == []


@asynccontextmanager
async def served(here: StandIn, row: str = "headless-round-robin") -> AsyncIterator[KubernetesCluster]:
    """A Service of two pods, in the namespace whichpod-r1-1."""
    (chosen,) = selected(scenarios(), [row], [])
    async with KubernetesCluster.open(Settings(IMAGE, run="r1"), kubeconfig=str(here.kubeconfig)) as found:
        found.api.connection.patience_s = 2.0
        async with found.lab(chosen.bundle(2, "fast"), client=chosen.client, ready_timeout_s=20.0):
            yield found


async def loaded(
    found: KubernetesCluster, plan: Plan, workers: int, **more: Any
) -> tuple[Report, list[LoadProgress]]:
    service = await find_service(found.api, "echo-headless", "whichpod-r1-1")
    heard: list[LoadProgress] = []
    load = Load(service, Target("echo"), plan, echo_call(b"x"), workers, ready_timeout_s=20.0, **more)
    report = await bench(found, load, says=lambda _: None, progress=heard.append)
    return report, heard


async def test_workers_share_the_work_exactly_and_are_one_report(here: StandIn) -> None:
    async with served(here) as found:
        report, _ = await loaded(found, Plan(requests=1001, concurrency=10), 3)
    assert report.tally.done == 1001
    assert report.tally.balanced_books
    assert {b.backend.pod for b in report.tally.backends.values()} == set(report.target.known)
    # Three workers with a connection to each of two pods.
    assert report.evidence.connections_opened == 6
    assert len(report.tally.channels) == 6
    assert len(report.saturation.workers) == 3
    assert report.tally.latency.count == 1001
    verdict = judged(report, None).verdict
    assert verdict is not None
    assert verdict.headline == "balanced"
    assert report.environment["client"] == "3 pods of a Job"


async def test_they_begin_together_and_only_when_all_are_there(here: StandIn) -> None:
    async with served(here) as found:
        report, heard = await loaded(found, Plan(requests=None, duration_s=1.5, rate=200.0), 2)
    posts = [r for r in here.server.requests if f":{GATE}/proxy/go/" in r.path]
    assert len(posts) == 2
    assert abs(report.tally.scheduled - 300) <= 2
    assert heard
    # Each sends half of the rate; the second is half a beat behind.
    spans = sorted(float(r.path.rpartition("/")[2]) for r in posts)
    assert 0 < spans[0] <= spans[1] < 3


@pytest.mark.parametrize(("trouble", "cause"), [("evict", "Evicted"), ("oom", "OOMKilled")])
async def test_a_lost_worker_is_reported_and_not_hidden(here: StandIn, trouble: Any, cause: str) -> None:
    here.troubles.add(
        lambda pod: pod["metadata"]["annotations"].get("batch.kubernetes.io/job-completion-index") == "1",
        trouble,
    )
    async with served(here) as found:
        report, _ = await loaded(found, Plan(requests=400, concurrency=4), 2)
    assert report.tally.done == 200
    lost = [worker for worker in report.saturation.workers if worker.lost]
    assert len(lost) == 1
    assert cause in lost[0].cause
    assert report.saturation.saturated
    assert any(cause in reason for reason in report.saturation.reasons)


async def test_all_of_them_lost_is_an_error(here: StandIn) -> None:
    here.troubles.add(lambda pod: "job-name" in pod["metadata"]["labels"], "evict")
    async with served(here) as found:
        with pytest.raises(ClusterError, match="Evicted"):
            await loaded(found, Plan(requests=100), 2)


async def test_cancelled_the_workers_report_what_they_have(here: StandIn) -> None:
    async with served(here) as found:
        service = await find_service(found.api, "echo-headless", "whichpod-r1-1")
        load = Load(service, Target("echo"), Plan(requests=None, duration_s=60.0, rate=100.0), None, 2)
        sending = asyncio.Event()

        def told(progress: LoadProgress) -> None:
            if progress.done:
                sending.set()

        task = asyncio.create_task(bench(found, load, says=lambda _: None, progress=told))
        await asyncio.wait_for(sending.wait(), 20)
        task.cancel()
        report = await task
    assert report.end_reason == "interrupted"
    assert report.tally.done > 0
    assert len(report.saturation.workers) == 2


async def test_what_cant_be_divided_is_refused_before_anything_starts(here: StandIn) -> None:
    async with served(here) as found:
        asked = len([r for r in here.server.requests if r.method == "POST"])
        for plan, workers, more, said in (
            (Plan(requests=2), 3, {}, "can't be divided"),
            (Plan(requests=2000), 501, {}, "makes no sense"),
            (Plan(requests=20), 2, {"mesh": "inside"}, "no Istio"),
        ):
            with pytest.raises(UsageError, match=said):
                await loaded(found, plan, workers, **more)
        service = await find_service(found.api, "echo-headless", "whichpod-r1-1")
        secret = Target("echo", tls=Tls("ca.pem"))
        with pytest.raises(UsageError, match="files"):
            await bench(found, Load(service, secret, Plan(), None, 1), says=lambda _: None)
        assert len([r for r in here.server.requests if r.method == "POST"]) == asked


def test_parts_of_a_task() -> None:
    task = Task("bench", Target("x:1"), Plan(requests=10, rate=9.0, seed=5), workers=3)
    parts = [task.part(i) for i in range(3)]
    assert [p.plan.requests for p in parts] == [4, 3, 3]
    assert [p.plan.rate for p in parts] == [3.0] * 3
    assert [p.plan.seed for p in parts] == [5, 6, 7]
    assert Task.of_env(task.env()).workers == 3
    alone = Task("probe", Target("x:1"), Plan(requests=10))
    assert alone.part(0) == alone
