"""Watching a Service, over real HTTP: pods are objects of the stand-in, and their counters are the test's."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.kubernetes.standin import ApiServer, Fault
from whichpod.cli.main import run
from whichpod.cluster.kubernetes.api import Api
from whichpod.cluster.kubernetes.errors import ForbiddenError
from whichpod.cluster.kubernetes.observe import Metrics, Observer, Round, observe
from whichpod.cluster.kubernetes.scrape import Scrape, scrape_of
from whichpod.cluster.kubernetes.service import FoundService, find_service
from whichpod.cluster.kubernetes.traffic import Source
from whichpod.judge import judge
from whichpod.model.errors import ClusterError, UsageError

ISTIO = """\
istio_requests_total{{reporter="destination",request_protocol="grpc",grpc_response_status="0",\
destination_service_name="echo"}} {count}
istio_requests_total{{reporter="source",request_protocol="grpc",grpc_response_status="0",\
destination_service_name="other"}} 99999
"""


ISTIOS = Scrape(15020, "/stats/prometheus", merged=True)
METRICS_PORT = {"name": "metrics", "containerPort": 9090}


class Shop:
    """A Service with pods that count."""

    def __init__(self, server: ApiServer, pods: int, *, sidecar: bool = True) -> None:
        self.server = server
        self.sidecar = sidecar
        self.counts: dict[str, int] = {}
        self.gains: dict[str, int] = {}
        """What a pod counts between two readings."""
        store = server.store
        store.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop"}})
        spec = {"selector": {"app": "echo"}, "ports": [{"name": "grpc", "port": 50051}]}
        metadata = {"name": "echo", "namespace": "shop"}
        store.create({"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": spec})
        for number in range(pods):
            self._make(f"echo-{number}", 1000)
        self.publish()

    def add(self, name: str, count: int) -> None:
        self._make(name, count)
        self.publish()

    def _make(self, name: str, count: int) -> None:
        self.counts[name], self.gains[name] = count, 10
        containers = [{"name": "main"}] + ([{"name": "istio-proxy"}] if self.sidecar else [])
        metadata = {"name": name, "namespace": "shop", "labels": {"app": "echo"}}
        self.server.store.create(
            {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": {"containers": containers}}
        )
        self.server.proxies(name, 15020, lambda path: self._answer(name, path))

    def remove(self, name: str) -> None:
        self.server.store.delete("Pod", "shop", name)
        del self.counts[name]
        self.publish()

    def publish(self) -> None:
        """In slices of three."""
        names = sorted(self.counts)
        for at in range(0, max(len(names), 1), 3):
            endpoints = [
                {
                    "addresses": [f"10.0.0.{names.index(n) + 1}"],
                    "conditions": {"ready": True},
                    "targetRef": {"kind": "Pod", "name": n},
                }
                for n in names[at : at + 3]
            ]
            name = f"echo-{at}"
            body = {"endpoints": endpoints, "ports": [{"name": "grpc", "port": 50051}], "addressType": "IPv4"}
            if self.server.store.get("EndpointSlice", "shop", name):
                self.server.store.update("EndpointSlice", "shop", name, lambda d, b=body: d.update(b))  # type: ignore[misc]
                continue
            labels = {"kubernetes.io/service-name": "echo"}
            metadata = {"name": name, "namespace": "shop", "labels": labels}
            kind = {"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "metadata": metadata}
            self.server.store.create(kind | body)

    def _answer(self, name: str, path: str) -> tuple[int, bytes]:
        assert path == "/stats/prometheus"
        text = ISTIO.format(count=self.counts.get(name, 0))
        if name in self.counts:
            self.counts[name] += self.gains[name]
        return 200, text.encode()


@pytest.fixture
def server() -> Iterator[ApiServer]:
    with ApiServer() as api:
        yield api


async def looked(server: ApiServer, tmp_path: Path, rounds: int, between: Any = None) -> Round:
    async with Api.open(str(server.kubeconfig(tmp_path)), patience_s=2.0) as api:
        service = await find_service(api, "echo", "shop")
        async with Observer.of(api, service, Metrics()) as observer:
            for number in range(rounds):
                last = await observer.look()
                if between and number < rounds - 1:
                    between(number)
            return last


def shares(found: Round) -> dict[str, int]:
    return {b.backend.pod: b.done for b in found.report.tally.backends.values()}


@pytest.mark.anyio
async def test_production_traffic_is_judged_without_sending_any(server: ApiServer, tmp_path: Path) -> None:
    shop = Shop(server, 5)
    shop.gains = dict.fromkeys(shop.counts, 40)
    found = await looked(server, tmp_path, 3)
    assert shares(found) == {f"echo-{n}": 80 for n in range(5)}
    assert found.source is Source.SIDECAR
    report = found.report
    assert report.target.known == tuple(f"echo-{n}" for n in range(5))
    assert judge(report.tally, report.target, report.plan, None).headline == "balanced"
    assert not [r for r in server.requests if r.method not in ("GET",)]


@pytest.mark.anyio
async def test_one_pod_that_has_it_all_is_seen(server: ApiServer, tmp_path: Path) -> None:
    shop = Shop(server, 4)
    shop.gains = dict.fromkeys(shop.counts, 0) | {"echo-2": 500}
    found = await looked(server, tmp_path, 2)
    verdict = judge(found.report.tally, found.report.target, found.report.plan, None)
    assert verdict.headline == "not balanced"
    assert verdict.spread.known == 4
    assert "echo-2" in verdict.sentence


@pytest.mark.anyio
async def test_pods_come_and_go(server: ApiServer, tmp_path: Path) -> None:
    shop = Shop(server, 3)

    def between(number: int) -> None:
        if number == 0:
            shop.remove("echo-0")
            shop.add("echo-9", count=7)

    found = await looked(server, tmp_path, 6, between)
    counted = shares(found)
    assert counted["echo-1"] == 50
    assert counted["echo-0"] <= 50
    # What the new pod had when it was first seen came since the watch began.
    assert counted.get("echo-9", 0) > 0


@pytest.mark.anyio
async def test_a_pod_that_cant_be_read_is_named(server: ApiServer, tmp_path: Path) -> None:
    Shop(server, 3)
    server.proxies("echo-1", 15020, lambda _: (404, b"nothing here"))
    found = await looked(server, tmp_path, 2)
    assert list(found.unread) == ["echo-1"]
    assert "15020" in found.unread["echo-1"]
    assert shares(found) == {"echo-0": 10, "echo-2": 10}


@pytest.mark.anyio
async def test_nobody_counts(server: ApiServer, tmp_path: Path) -> None:
    Shop(server, 2, sidecar=False)
    with pytest.raises(ClusterError, match="does not say where its metrics are") as caught:
        await looked(server, tmp_path, 1)
    assert "--metrics-port" in caught.value.fix


@pytest.mark.anyio
async def test_who_may_not_read_pods_is_told_the_rule(server: ApiServer, tmp_path: Path) -> None:
    Shop(server, 2)
    server.rules = [
        {
            "verbs": ["get", "list", "watch"],
            "apiGroups": ["*"],
            "resources": ["services", "pods", "endpointslices"],
        }
    ]
    with pytest.raises(ForbiddenError, match="pods/proxy") as caught:
        await looked(server, tmp_path, 1)
    assert 'resources: ["pods/proxy"], verbs: ["get"]' in caught.value.fix


@pytest.mark.anyio
async def test_services_that_arent_there(server: ApiServer, tmp_path: Path) -> None:
    shop = Shop(server, 1)

    async def find(name: str, namespace: str = "shop", port: str = "") -> FoundService:
        async with Api.open(str(server.kubeconfig(tmp_path))) as api:
            return await find_service(api, name, namespace, port)

    found = await find("echo", port="grpc")
    assert (found.port, found.target_port) == (50051, 50051)
    with pytest.raises(UsageError, match="no Service ech in shop") as caught:
        await find("ech")
    assert caught.value.fix == "There is echo."
    with pytest.raises(UsageError, match="no namespace shops"):
        await find("echo", "shops")
    with pytest.raises(UsageError, match="no TCP port 80"):
        await find("echo", port="80")
    shop.remove("echo-0")
    with pytest.raises(ClusterError, match="no ready endpoint"):
        await find("echo")


@pytest.mark.anyio
async def test_a_hundred_pods_are_read_a_few_at_a_time(
    server: ApiServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # However busy this machine is.
    monkeypatch.setattr("whichpod.cluster.kubernetes.scrape.WITHIN_S", 60.0)
    monkeypatch.setattr("whichpod.cluster.kubernetes.scrape.PATIENCE_S", 60.0)
    Shop(server, 100)
    server.faults.append(Fault(".*/proxy/.*", status=429, reason="TooManyRequests", retry_after=0, times=20))
    found = await looked(server, tmp_path, 2)
    assert len(shares(found)) == 100
    assert set(shares(found).values()) == {10}
    assert found.unread == {}


@pytest.mark.anyio
async def test_cancelled_it_tells_what_there_is(server: ApiServer, tmp_path: Path) -> None:
    Shop(server, 2)
    async with Api.open(str(server.kubeconfig(tmp_path))) as api:
        service = await find_service(api, "echo", "shop")
        for for_s, reason in ((60.0, "interrupted"), (0.0, "completed")):
            twice = asyncio.Event()

            def each(now: Round, twice: asyncio.Event = twice) -> None:
                if now.number == 2:
                    twice.set()

            task = asyncio.create_task(observe(api, service, Metrics(), for_s=for_s, every_s=0.01, each=each))
            await twice.wait()
            task.cancel()
            last = await task
            assert last.report.end_reason == reason
            assert last.report.tally.done >= 20


@pytest.mark.parametrize(
    ("pod", "metrics", "where"),
    [
        ({"containers": [{"name": "istio-proxy"}]}, Metrics(), ISTIOS),
        ({"containers": [{"name": "istio-proxy"}]}, Metrics(9, "/m"), Scrape(9, "/m", merged=True)),
        ({"containers": [{"name": "x", "ports": [METRICS_PORT]}]}, Metrics(), Scrape(9090)),
        ({"containers": [{"name": "x"}]}, Metrics(), None),
    ],
)  # fmt: skip
def test_where_metrics_are(pod: dict[str, Any], metrics: Metrics, where: Scrape | None) -> None:
    assert scrape_of({"metadata": {}, "spec": pod}, metrics) == where


def test_annotations_say_where_metrics_are() -> None:
    annotations = {"prometheus.io/port": "8000", "prometheus.io/path": "/prom"}
    pod = {"metadata": {"annotations": annotations}, "spec": {"containers": [{"name": "x"}]}}
    assert scrape_of(pod, Metrics()) == Scrape(8000, "/prom")
    annotations["prometheus.io/scheme"] = "https"
    assert scrape_of(pod, Metrics()) == Scrape(8000, "/prom", https=True)
    annotations["prometheus.io/port"] = "many"
    assert scrape_of(pod, Metrics()) is None


def test_the_command(server: ApiServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shop = Shop(server, 3)
    shop.gains = dict.fromkeys(shop.counts, 100)
    # It takes two rounds to tell anything, and there are two however short the time.
    where = ["--kubeconfig", str(server.kubeconfig(tmp_path)), "-n", "shop", "--for", "1ms", "--every", "1ms"]
    assert run(["k8s", "watch", "echo", *where, "--expect", "even"]) == 0
    shown = capsys.readouterr()
    assert "echo-1" in shown.out
    assert "istio_requests_total" in shown.out
    assert "passed" in shown.out
    assert "round 1: 0 RPCs, nothing came yet" in shown.err
    shop.gains["echo-0"] = 1000
    assert run(["k8s", "watch", "echo", *where, "--expect", "even", "--json"]) == 1
    data = json.loads(capsys.readouterr().out)
    assert data["tool"] == "watch"
    assert data["started_at"]
    assert data["environment"]["counters"].startswith("the sidecar")
    shop.gains = dict.fromkeys(shop.counts, 0)
    assert run(["k8s", "watch", "echo", *where]) == 3
    assert run(["k8s", "watch", "ecko", *where]) == 2
    assert "There is echo." in capsys.readouterr().err
