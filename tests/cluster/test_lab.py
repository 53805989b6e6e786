"""Labs that work: each path to the pods with the distribution that it must have."""

from __future__ import annotations

import asyncio
import json
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.cluster.conftest import eventually
from tests.cluster.manifests import ROUND_ROBIN, bundle, deployment, service
from whichpod.cluster.local.lab import LocalLab
from whichpod.cluster.loopback import LoopbackCluster
from whichpod.cluster.protocol import Client, Via
from whichpod.manifest.bundle import Bundle
from whichpod.model.errors import LabError, TargetError, UsageError
from whichpod.model.plan import Plan
from whichpod.model.report import Report
from whichpod.probe.run import Progress

PODS = ("echo-0", "echo-1", "echo-2")
THIRTY = Plan(requests=30)
EVENLY = Plan(requests=30, policy="round_robin", warmup=1)


class Running:
    """A lab with the loop that it runs in."""

    def __init__(self, runner: asyncio.Runner, lab: LocalLab) -> None:
        self.runner = runner
        self.lab = lab

    def probe(self, client: Client, plan: Plan = THIRTY) -> Report:
        return self.runner.run(self.lab.probe(client, plan))


@contextmanager
def running(what: Bundle, client: Client) -> Iterator[Running]:
    with asyncio.Runner() as runner:
        context = LoopbackCluster().lab(what, client=client)
        lab = runner.run(context.__aenter__())
        try:
            yield Running(runner, lab)
        finally:
            runner.run(context.__aexit__(None, None, None))


@pytest.fixture(scope="module")
def plain() -> Iterator[Running]:
    """Pods without sidecars behind a normal and a headless Service."""
    what = bundle(deployment(), service(), service("direct", headless=True))
    with running(what, Client("direct")) as lab:
        yield lab


@pytest.fixture(scope="module")
def meshed() -> Iterator[Running]:
    """Pods with sidecars, behind a Service whose port is gRPC and one whose port is TCP."""
    what = bundle(deployment(sidecar=True), service(), service("pinned", port="tcp-grpc"), ROUND_ROBIN)
    with running(what, Client("echo", meshed=True)) as lab:
        yield lab


def counts(report: Report) -> list[int]:
    """RPCs per pod, the most first."""
    assert report.tally.statuses == {"OK": report.plan.requests}
    return sorted((b.done for b in report.tally.backends.values()), reverse=True)


def test_a_headless_name_with_round_robin_is_even(plain: Running) -> None:
    report = plain.probe(Client("direct"), EVENLY)
    assert counts(report) == [10, 10, 10]
    assert report.target.known == PODS
    assert report.target.known_by == "lab"
    assert report.target.address.startswith("dns://127.")
    assert {b.backend.pod for b in report.tally.backends.values()} == set(PODS)


def test_a_cluster_ip_keeps_a_connection_on_one_pod_whatever_the_policy(plain: Running) -> None:
    assert counts(plain.probe(Client("echo"))) == [30]
    assert counts(plain.probe(Client("echo"), EVENLY)) == [30]


def test_a_cluster_ip_chooses_for_each_connection(plain: Running) -> None:
    spread = plain.probe(Client("echo"), Plan(requests=30, new_connection_per_request=True))
    assert len(counts(spread)) == 3, "30 choices leave a pod out once in 60,000 runs"


def test_a_static_list_and_a_single_pod(plain: Running) -> None:
    report = plain.probe(Client(deployment="echo", via=Via.ENDPOINTS), EVENLY)
    assert counts(report) == [10, 10, 10]
    assert report.target.address.startswith("ipv4:127.")
    report = plain.probe(Client(deployment="echo", via=Via.POD))
    assert counts(report) == [30]
    assert report.target.known == PODS


def test_proxyless_clients_are_even(plain: Running) -> None:
    report = plain.probe(Client("echo", via=Via.XDS), Plan(requests=30, warmup=1))
    assert report.target.address == "xds:///echo.default.svc.cluster.local:50051"
    assert counts(report) == [10, 10, 10]


def test_port_forward_stays_on_the_first_pod(plain: Running) -> None:
    report = plain.probe(Client("echo", via=Via.PORT_FORWARD))
    assert counts(report) == [30]
    assert next(iter(report.tally.backends.values())).backend.pod == "echo-0"


def test_pods_and_environment_as_the_lab_tells_them(plain: Running) -> None:
    pods = plain.lab.pods
    assert tuple(p.name for p in pods) == PODS
    assert all(p.ready and p.deployment == "echo" and p.labels["app"] == "echo" for p in pods)
    assert len({p.ip for p in pods}) == 3
    plain.probe(Client("echo"))
    environment = plain.lab.environment()
    assert environment.items() <= plain.probe(Client("echo")).environment.items()
    assert environment["cluster"] == "loopback"
    assert environment["envoy"].count(".") == 2
    assert "kube-proxy" in environment["stand-ins"]


def test_a_peer_that_goes_does_not_end_a_pod(plain: Running) -> None:
    """Python ignores SIGPIPE, and programs that it starts get the default back; a pod is a fork."""
    for pid in (p.pid for pod in plain.lab._workloads.pods for p in pod.processes.values()):
        status = Path(f"/proc/{pid}/status").read_text()
        ignored = int(status.split("SigIgn:")[1].split()[0], 16)
        assert ignored >> (signal.SIGPIPE - 1) & 1


def test_progress_comes_while_the_client_runs(plain: Running) -> None:
    heard: list[Progress] = []
    plan = Plan(requests=None, duration_s=1.0)
    plain.runner.run(plain.lab.probe(Client("direct"), plan, progress=heard.append))
    assert heard
    assert all(isinstance(p, Progress) for p in heard)


def test_an_error_of_whom_progress_is_told_ends_the_client(plain: Running) -> None:
    def tell(_: Progress) -> None:
        raise ValueError("mine")

    plan = Plan(requests=None, duration_s=60)
    with pytest.raises(ValueError, match="mine"):
        plain.runner.run(plain.lab.probe(Client("direct"), plan, progress=tell))


def test_what_a_client_can_not_dial(plain: Running) -> None:
    with pytest.raises(UsageError, match="no Service 'nope'"):
        plain.probe(Client("nope"))
    with pytest.raises(LabError, match=r"test.yaml:\d+: the Service echo has no port 1"):
        plain.probe(Client("echo", port=1))
    with pytest.raises(UsageError, match="dials"):
        plain.probe(Client(deployment="echo"))
    with pytest.raises(LabError, match="no pod 'echo-9'"):
        plain.runner.run(plain.lab.kill("echo-9", signal.SIGTERM))


def test_a_cancelled_client_still_reports(plain: Running) -> None:
    async def run() -> Report:
        begun = asyncio.Event()
        plan = Plan(requests=None, duration_s=60)
        probe = plain.lab.probe(Client("direct"), plan, progress=lambda _: begun.set())
        task = asyncio.create_task(probe)
        await asyncio.wait_for(begun.wait(), 20)
        task.cancel()
        return await task

    report = plain.runner.run(run())
    assert report.end_reason == "interrupted"
    assert report.tally.done > 0
    assert report.duration_s < 50


def test_a_client_cancelled_twice_is_killed(plain: Running) -> None:
    async def run() -> None:
        begun = asyncio.Event()
        plan = Plan(requests=None, duration_s=60)
        probe = plain.lab.probe(Client("direct"), plan, progress=lambda _: begun.set())
        task = asyncio.create_task(probe)
        await asyncio.wait_for(begun.wait(), 20)
        task.cancel()
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    plain.runner.run(run())


def test_sidecars_give_each_pod_the_same_number(meshed: Running) -> None:
    for plan in (THIRTY, Plan(requests=30, connections=5)):
        report = meshed.probe(Client("echo", meshed=True), plan)
        assert counts(report) == [10, 10, 10]
        assert report.target.known == PODS


def test_sidecars_speak_mutual_tls_to_one_another(meshed: Running) -> None:
    meshed.probe(Client("echo", meshed=True))
    answer = meshed.runner.run(meshed.lab.sidecar("client", "/stats?format=json"))
    stats = {s["name"]: s["value"] for s in json.loads(answer)["stats"] if "name" in s}
    cluster = "cluster.outbound|50051||echo.default.svc.cluster.local"
    assert stats[f"{cluster}.ssl.handshake"] == stats[f"{cluster}.upstream_cx_total"] >= 3


def test_a_tcp_port_pins_the_connection(meshed: Running) -> None:
    assert counts(meshed.probe(Client("pinned", meshed=True))) == [30]


def inbound_requests(meshed: Running) -> list[int]:
    """Requests that each pod's sidecar has passed on, by Envoy's own count."""
    found = []
    for pod in meshed.lab.pods:
        answer = meshed.runner.run(meshed.lab.sidecar(pod.name, "/stats?format=json"))
        stats = json.loads(answer)["stats"]
        name = "cluster.inbound|50051||.upstream_rq_total"
        found += [s["value"] for s in stats if s.get("name") == name]
    return found


def test_port_forward_passes_by_the_sidecars(meshed: Running) -> None:
    meshed.probe(Client("echo", meshed=True))
    before = inbound_requests(meshed)
    assert len(before) == 3
    assert all(before)
    assert counts(meshed.probe(Client("echo", via=Via.PORT_FORWARD))) == [30]
    assert inbound_requests(meshed) == before


def test_a_client_without_a_sidecar_meets_those_of_the_pods(meshed: Running) -> None:
    before = sum(inbound_requests(meshed))
    assert counts(meshed.probe(Client("echo"))) == [30]
    assert sum(inbound_requests(meshed)) == before + 30


def test_a_pod_that_ends_is_forgotten_by_dns_and_proxies() -> None:
    what = bundle(deployment(), service(), service("direct", headless=True))
    with running(what, Client("direct")) as lab:
        lab.probe(Client("echo", via=Via.XDS), Plan(requests=3))

        async def kill() -> None:
            await lab.lab.kill("echo-1", signal.SIGKILL)
            await eventually(lambda: not lab.lab.pods[1].ready, "the end of echo-1")

        lab.runner.run(kill())
        for client in (Client("direct"), Client("echo", via=Via.XDS)):
            report = lab.probe(client, EVENLY if client.via is Via.DNS else Plan(requests=30, warmup=1))
            assert report.target.known == ("echo-0", "echo-2")
            assert counts(report) == [15, 15]
        lab.runner.run(lab.lab.kill("echo-0", signal.SIGKILL))
        lab.runner.run(lab.lab.kill("echo-2", signal.SIGKILL))
        lab.runner.run(eventually_none_ready(lab.lab))
        with pytest.raises(TargetError):
            lab.probe(Client("direct"), Plan(requests=1))
        with pytest.raises(LabError, match="No pod"):
            lab.probe(Client("echo", via=Via.PORT_FORWARD), Plan(requests=1))


def test_labs_side_by_side_don_t_meet() -> None:
    async def one() -> set[str]:
        client = Client(deployment="echo", via=Via.ENDPOINTS)
        async with LoopbackCluster().lab(bundle(deployment(replicas=2)), client=client) as lab:
            report = await lab.probe(client, Plan(requests=20, policy="round_robin", warmup=1))
            assert counts(report) == [10, 10]
            return {p.ip for p in lab.pods}

    async def run() -> list[set[str]]:
        return list(await asyncio.gather(one(), one()))

    first, second = asyncio.run(run())
    assert not first & second


async def eventually_none_ready(lab: LocalLab) -> None:
    await eventually(lambda: not any(p.ready for p in lab.pods), "the end of all pods")
