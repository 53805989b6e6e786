"""The start of a load from several pods, and what becomes of it where workers or the way to them fail."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.kubernetes.standin import Fault
from tests.kubernetes.standin.fixture import IMAGE, StandIn, cluster
from tests.kubernetes.test_distributed import loaded, served
from tests.kubernetes.test_inside import closed_port, ran
from whichpod.cli.main import run
from whichpod.cluster.kubernetes.clients import Outcome
from whichpod.cluster.kubernetes.distributed import GATE, Heard, merged
from whichpod.cluster.kubernetes.result import read_progress, read_result
from whichpod.cluster.kubernetes.task import Task
from whichpod.model.errors import ClusterError, TargetError
from whichpod.model.plan import Plan
from whichpod.model.report import Report, Saturation, WorkerLoad
from whichpod.model.tally import BackendTally, Tally
from whichpod.model.target import Backend, Target


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("whichpod.cluster.kubernetes.clients.LOOK_S", 0.2)
    monkeypatch.setattr("whichpod.cluster.kubernetes.distributed.LEAD_S", 0.2)


@pytest.fixture
def here(tmp_path: Path) -> Iterator[StandIn]:
    with cluster(tmp_path, istio=False) as found:
        yield found
        assert found.kubelet.processes == []


def told(here: StandIn) -> list[float]:
    """Seconds that workers were told, in the order of the requests."""
    return [float(r.path.rpartition("/")[2]) for r in here.server.requests if f":{GATE}/proxy/go/" in r.path]


@pytest.mark.anyio
async def test_a_worker_that_is_told_again_is_told_what_is_left(here: StandIn) -> None:
    here.server.faults.append(Fault(f".*:{GATE}/proxy/go/.*", status=503, reason="ServiceUnavailable"))
    async with served(here) as found:
        report, _ = await loaded(found, Plan(requests=40), 1)
    assert report.tally.done == 40
    first, second = told(here)
    assert second < first


@pytest.mark.anyio
async def test_a_worker_that_cant_be_told_ends_the_run_before_anything_is_sent(here: StandIn) -> None:
    here.server.rules = [
        {"verbs": ["*"], "apiGroups": ["*"], "resources": [resource]}
        for resource in ("services", "pods", "pods/log", "endpointslices", "jobs", "namespaces", "events",
                         "configmaps", "deployments", "poddisruptionbudgets", "serviceaccounts")
    ]  # fmt: skip
    async with served(here) as found:
        with pytest.raises(ClusterError, match="get pods/proxy") as caught:
            await loaded(found, Plan(requests=40), 2)
    assert 'resources: ["pods/proxy"], verbs: ["get"]' in caught.value.fix
    assert told(here) == []


@pytest.mark.anyio
async def test_a_target_by_its_address(
    here: StandIn, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    where = ["--kubeconfig", str(here.kubeconfig), "--image", IMAGE]
    async with served(here):
        (pod, *_) = here.server.store.objects("Pod", "whichpod-r1-1")
        ip = pod["status"]["podIP"]
        port = here.kubelet.network.pods("echo-headless", "whichpod-r1-1", 50051)[0][1]
        code = await asyncio.to_thread(_in_thread, ["k8s", "bench", f"{ip}:{port}", "-c", "60", *where])
    shown = capsys.readouterr()
    assert code == 0, shown.err
    assert "60 of 60 RPCs done" in shown.out
    assert "2 workers" in " ".join(shown.out.split())


def _in_thread(argv: list[str]) -> int:
    """As a user's shell would: signals belong to the main thread of a process of its own."""
    done = subprocess.run(
        [sys.executable, "-m", "whichpod", *argv], capture_output=True, text=True, timeout=60, check=False
    )
    print(done.stdout)
    print(done.stderr, file=sys.stderr)
    return done.returncode


def test_an_address_has_no_namespace(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["k8s", "bench", "dns:///echo:50051", "-n", "shop"]) == 2
    assert "belong to a Service" in capsys.readouterr().err
    assert run(["k8s", "bench", "xds:///echo:50051"]) == 2
    assert "no xDS client" in capsys.readouterr().err


def test_who_can_connect_to_nothing_does_not_wait_at_the_gate() -> None:
    task = Task("bench", Target(f"127.0.0.1:{closed_port()}"), Plan(requests=1), gate=closed_port())
    code, log = ran(task)
    assert code == TargetError.exit_code
    assert not any("waits_at" in (read_progress(line) or {}) for line in log)
    with pytest.raises(TargetError, match="Nothing listens"):
        read_result(log)


def reported(index: int, done: int) -> Outcome:
    backend = Backend("id-1", "echo-1")
    tally = Tally(scheduled=done, done=done, statuses={"OK": done})
    tally.backends["id-1"] = BackendTally(backend, done=done)
    tally.channels[0] = {"id-1": done}
    tally.connections["10.0.0.9:4000"] = {"id-1": done}
    load = Saturation(workers=(WorkerLoad(rpcs=done),))
    report = Report(Target("echo:1"), Plan(requests=done), tally, saturation=load, duration_s=1.0 + index)
    report.environment = {"client node": f"node-{index}", "client pod": f"bench-{index}"}
    return Outcome(index, f"bench-{index}", report=report)


def test_one_report_of_several_with_the_lost_ones_in_their_place() -> None:
    lost = Outcome(
        1, "bench-1", error=ClusterError("The client in pod bench-1 was lost: Evicted (low on memory).")
    )
    found = merged(
        Target("echo:1"), Plan(requests=90), [reported(0, 30), lost, reported(2, 20)], 4, {1: 1234}
    )
    assert (found.tally.done, found.tally.scheduled, found.plan.workers) == (50, 50, 4)
    assert found.tally.backends["id-1"].done == 50
    assert len(found.tally.channels) == len(found.tally.connections) == 2
    assert [load.lost for load in found.saturation.workers] == [False, True, False, True]
    assert found.saturation.workers[1].cause == (
        "bench-1: Evicted (low on memory); 1,234 RPCs that it had done aren't counted"
    )
    assert "Worker 2 died (bench-1: Evicted" in found.saturation.reasons[0]
    assert found.saturation.workers[3].cause == "its pod never ran"
    assert found.environment == {"client node": "node-0, node-2"}
    assert found.duration_s == 3.0


def test_all_workers_progress_is_one() -> None:
    heard = Heard(None)
    heard.heard(0, {"elapsed_s": 1.0, "done": 5, "failed": 1, "rps": 5.0, "total": 10, "counts": {"a": 5}})
    heard.heard(1, {"elapsed_s": 1.0, "done": 7, "failed": 0, "rps": 7.0, "total": 10, "counts": {"a": 7}})
    heard.heard(1, {"done": "as another version says it"})
    assert heard.ended == {0: 6, 1: 7}
