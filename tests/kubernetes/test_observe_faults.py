"""Watching a Service whose pods and API server misbehave: what can't be compared is told apart."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.kubernetes.standin import ApiServer, Fault
from tests.kubernetes.test_observe import Shop, looked
from whichpod.cluster.kubernetes import behind
from whichpod.cluster.kubernetes.api import Api
from whichpod.cluster.kubernetes.observe import Metrics, Observer, Round, observe
from whichpod.cluster.kubernetes.observed import conclude
from whichpod.cluster.kubernetes.service import find_service
from whichpod.model.expectation import parse_expectation

pytestmark = pytest.mark.anyio
EVEN = parse_expectation("even")


@pytest.fixture
def server() -> Iterator[ApiServer]:
    with ApiServer() as api:
        yield api


def reasons(found: Round) -> str:
    verdict = found.report.verdict
    assert verdict is not None
    return " ".join(verdict.reasons)


def outcome(found: Round) -> str | None:
    verdict = conclude(found, EVEN).verdict
    assert verdict is not None
    return verdict.outcome


def failing(times: int, then: Callable[[str], tuple[int, bytes]]) -> Callable[[str], tuple[int, bytes]]:
    left = [times]

    def answer(path: str) -> tuple[int, bytes]:
        if left[0]:
            left[0] -= 1
            return 404, b"not yet"
        return then(path)

    return answer


async def test_a_pod_that_could_not_be_read_at_first_has_not_got_its_whole_life(
    server: ApiServer, tmp_path: Path
) -> None:
    shop = Shop(server, 4)
    shop.gains = dict.fromkeys(shop.counts, 50)
    answer = server.proxied("echo-1", 15020)
    assert answer is not None
    shop.counts["echo-1"] = 1_000_000
    server.proxies("echo-1", 15020, failing(1, answer))
    found = await looked(server, tmp_path, 4)
    assert found.report.tally.done == 3 * 150 + 100
    assert outcome(found) == "inconclusive"  # one of four is not judged: too many
    assert "Not judged: echo-1" in reasons(found)
    verdict = found.report.verdict
    assert verdict is not None
    assert verdict.headline == "balanced"
    assert set(verdict.counts) == {"echo-0", "echo-2", "echo-3"}


async def test_a_pod_that_came_late_is_no_reason_to_call_it_uneven(server: ApiServer, tmp_path: Path) -> None:
    shop = Shop(server, 3)
    shop.gains = dict.fromkeys(shop.counts, 100)

    async with Api.open(str(server.kubeconfig(tmp_path))) as api:
        service = await find_service(api, "echo", "shop")
        async with Observer.of(api, service, Metrics()) as observer:
            await observer.look()
            shop.add("echo-9", count=0)
            while "echo-9" not in observer.behind.ready:
                await observer.look()
            await observer.look()
            found = await observer.look()
    assert found.passing.keys() == {"echo-9"}
    assert 10 <= found.passing["echo-9"] <= 20  # from its own beginning, and it was read once more at most
    assert outcome(found) == "passed"
    assert f"echo-9 ({found.passing['echo-9']} RPCs)" in reasons(found)
    assert "echo-9" in found.report.target.known


async def test_a_pod_that_was_not_ready_for_a_while_is_told_apart(
    server: ApiServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(behind, "GAP_S", 0.0)
    shop = Shop(server, 3)
    shop.gains = dict.fromkeys(shop.counts, 100)
    async with Api.open(str(server.kubeconfig(tmp_path))) as api:
        service = await find_service(api, "echo", "shop")
        async with Observer.of(api, service, Metrics()) as observer:
            await observer.look()
            shop.remove("echo-0")
            while "echo-0" in observer.behind.ready:
                await observer.look()
            shop.add("echo-0", count=0)
            while "echo-0" not in observer.behind.ready:
                await observer.look()
            found = await observer.look()
    assert found.passing.keys() == {"echo-0"}
    assert outcome(found) == "passed"
    assert "Not judged, since it was not ready all the time: echo-0" in reasons(found)


async def test_pods_without_a_sidecar_among_others_that_have_one(server: ApiServer, tmp_path: Path) -> None:
    shop = Shop(server, 3)
    shop.gains = dict.fromkeys(shop.counts, 100)

    def bare(pod: dict[str, Any]) -> None:
        pod["spec"]["containers"] = [{"name": "main"}]
        pod["metadata"]["annotations"] = {"prometheus.io/port": "9090"}

    server.store.update("Pod", "shop", "echo-2", bare)
    text = b'grpc_server_handled_total{grpc_code="OK",grpc_service="a.B",grpc_method="C"} 5\n'
    server.proxies("echo-2", 9090, lambda _: (200, text))
    found = await looked(server, tmp_path, 3)
    assert "has no sidecar" in found.unread["echo-2"]
    assert outcome(found) == "inconclusive"


async def test_rpcs_that_fail_are_no_matter_of_the_spread(server: ApiServer, tmp_path: Path) -> None:
    Shop(server, 3)
    series = 'istio_requests_total{{reporter="destination",grpc_response_status="{status}"}} {n}\n'
    for number in range(3):
        seen = [0]

        def answer(_: str, seen: list[int] = seen) -> tuple[int, bytes]:
            seen[0] += 1
            text = series.format(status=0, n=500 * seen[0]) + series.format(status=5, n=20 * seen[0])
            return 200, text.encode()

        server.proxies(f"echo-{number}", 15020, answer)
    found = await looked(server, tmp_path, 3)
    assert found.report.tally.statuses == {"OK": 3000, "NOT_FOUND": 120}
    assert outcome(found) == "passed"


async def test_no_traffic_is_inconclusive(server: ApiServer, tmp_path: Path) -> None:
    shop = Shop(server, 3)
    shop.gains = dict.fromkeys(shop.counts, 0)
    found = await looked(server, tmp_path, 2)
    assert outcome(found) == "inconclusive"
    assert "There was no traffic" in reasons(found)


async def test_counters_of_another_service_are_named(server: ApiServer, tmp_path: Path) -> None:
    Shop(server, 2)
    text = (
        'istio_requests_total{reporter="destination",grpc_response_status="0",'
        'destination_service_name="echo-canary"} 7\n'
    )
    for number in range(2):
        server.proxies(f"echo-{number}", 15020, lambda _: (200, text.encode()))
    found = await looked(server, tmp_path, 2)
    assert outcome(found) == "inconclusive"
    assert "RPCs to echo-canary only, none to echo" in reasons(found)


async def test_pods_that_count_nothing_known(server: ApiServer, tmp_path: Path) -> None:
    Shop(server, 2)
    for number in range(2):
        server.proxies(f"echo-{number}", 15020, lambda _: (200, b"process_cpu_seconds_total 3\n"))
    found = await looked(server, tmp_path, 2)
    assert outcome(found) == "inconclusive"
    assert "none of the counters" in reasons(found)


async def test_a_pod_that_does_not_answer_does_not_hold_up_the_others(
    server: ApiServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("whichpod.cluster.kubernetes.scrape.WITHIN_S", 1.0)
    Shop(server, 3)
    release = threading.Event()

    def hang(_: str) -> tuple[int, bytes]:
        release.wait(20)
        return 200, b""

    server.proxies("echo-1", 15020, hang)
    try:
        found = await looked(server, tmp_path, 2)
    finally:
        release.set()
    assert found.unread["echo-1"].startswith("port 15020: no answer within")
    assert found.report.tally.done == 20


@pytest.mark.parametrize("how", ["away", "forbidden"])
async def test_a_cluster_that_is_lost_on_the_way_leaves_what_was_counted(
    server: ApiServer, tmp_path: Path, how: str
) -> None:
    shop = Shop(server, 3)
    shop.gains = dict.fromkeys(shop.counts, 100)
    async with Api.open(str(server.kubeconfig(tmp_path)), patience_s=0.2) as api:
        service = await find_service(api, "echo", "shop")

        def each(now: Round) -> None:
            if now.number != 3:
                return
            if how == "away":
                server.stop()
            else:
                server.faults.append(
                    Fault(".*/proxy/.*", status=403, reason="Forbidden", message="no longer", times=-1)
                )

        last = await observe(api, service, Metrics(), for_s=60.0, every_s=0.01, each=each)
    assert last.report.end_reason == "target failed"
    assert last.report.tally.done == 600
    conclude(last, None)
    assert "The watch ended before its time" in reasons(last)


@pytest.mark.parametrize(
    ("spec", "code"),
    [
        ({}, "mesh-uneven"),
        ({"sessionAffinity": "ClientIP"}, "affinity"),
        ({"internalTrafficPolicy": "Local"}, "locality"),
        ({"trafficDistribution": "PreferClose"}, "locality"),
    ],
)
async def test_what_the_service_says_of_itself_is_a_cause(
    server: ApiServer, tmp_path: Path, spec: dict[str, str], code: str
) -> None:
    shop = Shop(server, 3)
    server.store.update("Service", "shop", "echo", lambda d: d["spec"].update(spec))
    shop.gains = dict.fromkeys(shop.counts, 0) | {"echo-1": 500}
    found = await looked(server, tmp_path, 3)
    diagnosis = conclude(found, None).diagnosis
    assert diagnosis is not None
    assert diagnosis.code == code


@pytest.mark.parametrize(("cluster_ip", "code"), [("10.0.0.1", "l4-connection"), ("None", "pick-first")])
async def test_without_sidecars_connections_are_the_cause(
    server: ApiServer, tmp_path: Path, cluster_ip: str, code: str
) -> None:
    Shop(server, 3, sidecar=False)
    server.store.update("Service", "shop", "echo", lambda d: d["spec"].update(clusterIP=cluster_ip))
    count = [0]

    def answer(_: str) -> tuple[int, bytes]:
        count[0] += 500
        return 200, b'grpc_server_handled_total{grpc_code="OK",grpc_service="a.B"} %d\n' % count[0]

    for number in range(3):
        server.proxies(f"echo-{number}", 8080, answer if number == 0 else lambda _: (200, b""))
    async with Api.open(str(server.kubeconfig(tmp_path))) as api:
        service = await find_service(api, "echo", "shop")
        async with Observer.of(api, service, Metrics(8080)) as observer:
            await observer.look()
            found = await observer.look()
    diagnosis = conclude(found, None).diagnosis
    assert diagnosis is not None
    assert diagnosis.code == code
