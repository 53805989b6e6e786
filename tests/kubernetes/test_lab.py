"""Rows in a cluster: its API is a stand-in over real HTTP, its pods and clients are real."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.kubernetes.deployed import written
from tests.kubernetes.standin import Fault
from tests.kubernetes.standin.fixture import IMAGE, StandIn, cluster
from whichpod.cluster.kubernetes.cluster import KubernetesCluster
from whichpod.cluster.kubernetes.home import USE
from whichpod.cluster.kubernetes.names import RUN
from whichpod.cluster.kubernetes.settings import Settings
from whichpod.cluster.kubernetes.sweep import leftovers, remove
from whichpod.cluster.protocol import Client
from whichpod.model.errors import ClusterError, UsageError
from whichpod.model.plan import Plan
from whichpod.model.report import Matrix
from whichpod.probe.run import Progress
from whichpod.scenarios.run import Options, run_matrix
from whichpod.scenarios.scenario import BUILT_IN, scenarios, selected

pytestmark = pytest.mark.anyio
FAST = Options(ready_timeout_s=30.0, engine="fast")


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("ready", "clients"):
        monkeypatch.setattr(f"whichpod.cluster.kubernetes.{module}.LOOK_S", 0.2)


@pytest.fixture
def here(tmp_path: Path) -> Iterator[StandIn]:
    with cluster(tmp_path) as found:
        yield found
        assert found.kubelet.processes == []


@asynccontextmanager
async def opened(here: StandIn, **settings: Any) -> AsyncIterator[KubernetesCluster]:
    said = Settings(IMAGE, run="r1", **settings)
    async with KubernetesCluster.open(said, kubeconfig=str(here.kubeconfig)) as found:
        found.api.connection.patience_s = 2.0
        yield found


async def matrix(here: StandIn, *rows: str, options: Options = FAST, **settings: Any) -> Matrix:
    async with opened(here, **settings) as found:
        return await run_matrix(found, selected(scenarios(), list(rows), []), options)


def namespaces(here: StandIn) -> set[str]:
    return {d["metadata"]["name"] for d in here.server.store.objects("Namespace")}


async def test_rows_run_where_they_say_and_nothing_stays(here: StandIn) -> None:
    before = namespaces(here)
    found = await matrix(
        here, "clusterip", "headless-round-robin", "istio-least-request", "istio-port-forward"
    )
    assert {row.name: row.outcome for row in found.rows} == {
        "clusterip": "passed",
        "headless-round-robin": "passed",
        "istio-least-request": "passed",
        "istio-port-forward": "passed",
    }, [row.reason for row in found.rows]
    where = {row.name: row.report.environment["client"] for row in found.rows if row.report}
    assert where == {
        "clusterip": "a Job",
        "headless-round-robin": "a Job",
        "istio-least-request": "a Job in the mesh",
        "istio-port-forward": "here, through port-forward",
    }
    assert found.environment["kubernetes"] == "1.32"
    assert found.environment["istio"] == "1.27.1"
    assert namespaces(here) == before
    assert here.kubelet.network.told_to_end  # the old-style sidecar of the client in the mesh


async def test_what_is_applied_is_the_rows_own_yaml_and_marked(here: StandIn) -> None:
    row = selected(scenarios(), ["istio"], [])[0]
    async with opened(here) as found, found.lab(row.bundle(None, "fast"), client=row.client) as lab:
        (deployment,) = here.server.store.objects("Deployment", "whichpod-r1-1")
        assert deployment["metadata"]["labels"][RUN] == "r1"
        container = deployment["spec"]["template"]["spec"]["containers"][0]
        assert container["image"] == IMAGE
        assert container["securityContext"]["runAsNonRoot"] is True
        rule = here.server.store.objects("DestinationRule", "whichpod-r1-1")[0]
        assert rule["spec"]["host"] == "echo.whichpod-r1-1.svc.cluster.local"
        namespace = here.server.store.get("Namespace", "", "whichpod-r1-1")
        assert namespace is not None
        assert namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "privileged"
        assert len(lab.pods) == 5
        assert all(pod.ready and pod.ip.startswith("127.") for pod in lab.pods)


async def test_rows_that_need_istio_are_skipped_without_it(tmp_path: Path) -> None:
    with cluster(tmp_path, istio=False) as here:
        found = await matrix(here, "istio", "proxyless", "clusterip")
    outcomes = {row.name: (row.outcome, row.reason) for row in found.rows}
    assert outcomes["istio"] == outcomes["proxyless"]
    assert outcomes["istio"] == (
        "skipped",
        "The cluster has no Istio. Install it: whichpod k8s install-istio",
    )
    assert outcomes["clusterip"][0] == "passed"


async def test_who_should_be_refused(here: StandIn, tmp_path: Path) -> None:
    """No sidecar stands before the stand-in's pods, so they answer plain text; nobody listens at port 1."""
    strict = selected(scenarios(), ["istio-strict-plain"], [])[0]
    base = BUILT_IN / "base"
    closed = tmp_path / "closed.yaml"
    closed.write_text(
        (base / "service-clusterip.yaml").read_text().replace("targetPort: grpc", "targetPort: 1")
    )
    nobody = replace(strict, name="nobody", manifests=(base / "echo.yaml", closed))
    async with opened(here) as found:
        answered, refused = (await run_matrix(found, [strict, nobody], FAST)).rows
    assert answered.outcome == "failed"
    assert "20 of 20 RPCs were answered, and none should have been" in answered.reason
    assert refused.outcome == "passed", refused.reason
    assert refused.report is not None
    assert refused.report.tally.statuses == {"UNAVAILABLE": 20}
    assert refused.report.environment["client"] == "a Job"


async def test_native_sidecars_need_no_word_to_end(tmp_path: Path) -> None:
    with cluster(tmp_path, native_sidecars=True) as here:
        found = await matrix(here, "istio-least-request")
        assert found.rows[0].outcome == "passed", found.rows[0].reason
        assert here.kubelet.network.told_to_end == set()


@pytest.mark.parametrize(
    ("trouble", "said"),
    [
        ("image", "failed to resolve reference: not found"),
        ("quota", "exceeded quota"),
        ("webhook", "admission webhook"),
        ("no-sidecar", "has no sidecar, though one was asked for"),
        ("crash", "The last that it wrote: ModuleNotFoundError: No module named 'whichpod'"),
    ],
)
async def test_pods_that_dont_come_fail_the_row_with_the_reason(
    here: StandIn, trouble: Any, said: str
) -> None:
    before = namespaces(here)
    here.troubles.add(is_server, trouble)
    found = await matrix(here, "istio-least-request")
    assert found.rows[0].outcome == "failed"
    assert said in found.rows[0].reason
    assert namespaces(here) == before


@pytest.mark.parametrize(
    ("trouble", "said"),
    [("unschedulable", "can't be scheduled"), ("never-ready", "were not ready within 1 s")],
)
async def test_what_may_pass_is_waited_for(here: StandIn, trouble: Any, said: str) -> None:
    here.troubles.add(is_server, trouble)
    found = await matrix(here, "clusterip", options=Options(ready_timeout_s=1.0, engine="fast"))
    assert said in found.rows[0].reason


@pytest.mark.parametrize(
    ("trouble", "said"), [("evict", "Evicted"), ("oom", "OOMKilled"), ("image", "can't be pulled")]
)
async def test_a_client_that_is_lost_is_told(here: StandIn, trouble: Any, said: str) -> None:
    before = namespaces(here)
    here.troubles.add(is_client, trouble)
    # The first line of a client's log says that it goes on: one RPC a second.
    client = Client(service="echo", meshed=trouble == "evict")
    async with opened(here) as found, found.lab(echo(), client=client) as lab:
        with pytest.raises(ClusterError, match=said):
            await lab.probe(client, Plan(requests=None, duration_s=20.0, rate=2.0))
    assert namespaces(here) == before


async def test_what_a_client_had_done_is_told_when_the_cluster_is_lost(here: StandIn) -> None:
    plan = Plan(requests=None, duration_s=60.0, rate=50.0)

    async def lost_on_the_way(found: KubernetesCluster) -> None:
        def told(progress: Progress) -> None:
            if progress.done:
                found.api.connection.patience_s = 0.3
                here.server.stop()

        async with found.lab(echo(), client=Client(service="echo")) as lab:
            await lab.probe(Client(service="echo"), plan, progress=told)

    async with opened(here) as found:
        with pytest.raises(ClusterError, match=r"can't be reached.* \d+ RPCs had ended: echo-\S+ \d+\."):
            await lost_on_the_way(found)
        here.server.start()
        found.lost = False
        await found.leave(lambda _: None)
        await remove(found.api, await leftovers(found.api, run="r1"), within_s=20.0, says=lambda _: None)


async def test_an_api_server_that_goes_away_ends_the_run_with_what_there_is(here: StandIn) -> None:
    chosen = selected(scenarios(), ["clusterip", "headless-round-robin", "multi-endpoint"], [])
    async with opened(here) as found:
        found.api.connection.patience_s = 0.3
        task = asyncio.create_task(run_matrix(found, chosen, FAST))
        await until(lambda: sum("jobs" in r.path and r.method == "POST" for r in here.server.requests) == 2)
        await until(lambda: "whichpod-r1-1" not in namespaces(here))
        here.server.stop()
        result = await task
        here.server.start()
    outcomes = [(row.outcome, row.reason) for row in result.rows]
    assert outcomes[0][0] == "passed"
    assert outcomes[1][0] == "failed"
    assert "can't be reached" in outcomes[1][1]
    assert outcomes[2] == ("skipped", "Not run: the cluster went away before.")
    assert result.end_reason == "target failed"
    assert "whichpod k8s down --run r1" in found.notes[0]
    # And that command does remove it.
    async with opened(here) as again:
        left = await leftovers(again.api, run="r1")
        assert [str(x) for x in left] == ["Namespace whichpod-r1-2"]
        await remove(again.api, left, within_s=10.0, says=lambda _: None)
    assert "whichpod-r1-2" not in namespaces(here)


async def test_cancelled_a_run_reports_what_it_has_and_cleans_up(here: StandIn) -> None:
    before = namespaces(here)
    async with opened(here) as found, found.lab(echo(), client=Client(service="echo")) as lab:
        plan = Plan(requests=None, duration_s=60.0, rate=50.0)
        sent = asyncio.Event()

        def told(progress: Progress) -> None:
            if progress.done:
                sent.set()

        task = asyncio.create_task(lab.probe(Client(service="echo"), plan, progress=told))
        await asyncio.wait_for(sent.wait(), 20)
        task.cancel()
        report = await task
        assert report.end_reason == "interrupted"
        assert report.tally.done > 0
    assert namespaces(here) == before


async def test_a_namespace_that_is_somebody_elses_is_left_alone(here: StandIn) -> None:
    store = here.server.store
    store.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop"}})
    found = await matrix(here, "clusterip", namespace="shop")
    assert found.rows[0].outcome == "failed"
    assert "whichpod didn't make it" in found.rows[0].reason
    assert store.objects("Deployment", "shop") == []
    store.update("Namespace", "", "shop", lambda d: d["metadata"].update(labels={USE: "true"}))
    theirs = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "echo", "namespace": "shop"}}
    store.create(theirs | {"spec": {"selector": {"app": "shop"}, "ports": [{"port": 80}]}})
    found = await matrix(here, "clusterip", namespace="shop")
    assert "Service echo in shop is there already, and whichpod didn't make it" in found.rows[0].reason
    service = store.get("Service", "shop", "echo")
    assert service is not None
    assert service["spec"]["selector"] == {"app": "shop"}
    store.delete("Service", "shop", "echo")
    found = await matrix(here, "clusterip", "headless-round-robin", namespace="shop")
    assert [row.outcome for row in found.rows] == ["passed", "passed"], [row.reason for row in found.rows]
    for kind in ("Deployment", "Service", "Job", "Pod"):
        assert store.objects(kind, "shop") == []
    assert "shop" in namespaces(here)


async def test_a_namespace_that_is_named_and_isnt_there_is_made_once(here: StandIn) -> None:
    seen = []

    def watch(what: str, document: dict[str, Any]) -> None:
        if document["kind"] == "Namespace" and document["metadata"]["name"] == "trial":
            seen.append((what, document["metadata"]["labels"]["pod-security.kubernetes.io/enforce"]))

    stop = here.server.store.subscribe(watch)
    found = await matrix(here, "clusterip", "istio-least-request", namespace="trial")
    stop()
    assert [row.outcome for row in found.rows] == ["passed", "passed"], [row.reason for row in found.rows]
    assert [what for what, _ in seen].count("ADDED") == 1
    # Istio's init container needs more than servers without a sidecar.
    assert list(dict.fromkeys(level for _, level in seen)) == ["restricted", "privileged"]
    assert "trial" not in namespaces(here)
    found = await matrix(here, "clusterip", "clusterip-round-robin", namespace="trial", keep=True)
    assert [row.outcome for row in found.rows] == ["passed", "failed"]
    assert "keeps one set-up" in found.rows[1].reason
    async with opened(here) as again:
        await remove(again.api, await leftovers(again.api, run="r1"), within_s=10.0, says=lambda _: None)


async def test_kept_and_removed_by_the_command(here: StandIn) -> None:
    async with opened(here, keep=True) as found:
        async with found.lab(echo(), client=Client(service="echo")) as lab:
            assert lab.home is not None
        assert found.notes == ["Kept in the namespace whichpod-r1-1. Remove it: whichpod k8s down --run r1"]
        with pytest.raises(UsageError, match="belongs to another run"):
            async with (
                KubernetesCluster.open(
                    Settings(IMAGE, namespace="whichpod-r1-1"), kubeconfig=str(here.kubeconfig)
                ) as other,
                other.lab(echo(), client=Client(service="echo")),
            ):
                pass
        assert await leftovers(found.api, run="another") == []
        await remove(found.api, await leftovers(found.api), within_s=10.0, says=lambda _: None)
    assert "whichpod-r1-1" not in namespaces(here)


async def test_a_quick_look_survives_a_rough_server(here: StandIn) -> None:
    """Limits, errors and lost connections all along, and the same result."""
    faults = [
        Fault(".*/deployments/echo", status=429, reason="TooManyRequests", retry_after=0, times=2),
        Fault(".*/services/echo", status=503, reason="ServiceUnavailable"),
        Fault(".*/pods", do="drop-mid", method="GET"),
        Fault(".*/log", do="drop"),
        Fault(".*/endpointslices", do="drop", times=2),
    ]
    here.server.faults += faults
    dropping = threading.Timer(0.4, here.server.drop_watches)
    dropping.start()
    found = await matrix(here, "clusterip")
    dropping.join()
    assert found.rows[0].outcome == "passed", found.rows[0].reason
    assert [fault.times for fault in faults] == [0] * len(faults)


async def test_the_rights_of_deploy_are_enough(here: StandIn) -> None:
    """A run in the namespace that deploy/rbac.yaml makes, with the rights that it grants and no more."""
    found = written("rbac.yaml")
    home = next(d for d in found if d["kind"] == "Namespace")
    here.server.store.create(home)
    roles = {d["metadata"]["name"] + d["kind"]: d["rules"] for d in found if "rules" in d}
    here.server.rules = [
        *({**rule, "namespace": "whichpod"} for rule in roles["whichpod-runClusterRole"]),
        *roles["whichpod-factsClusterRole"],
        *({**rule, "namespace": "kube-system"} for rule in roles["whichpod-factsRole"]),
    ]
    rows = "clusterip", "istio-least-request", "istio-port-forward"
    result = await matrix(here, *rows, namespace="whichpod")
    assert [row.outcome for row in result.rows] == ["passed"] * 3, [row.reason for row in result.rows]
    refused = {f"{r.method} {r.path}" for r in here.server.requests if r.status == 403}
    # What can't be read stays unknown, and who may not list a kind has made none of it.
    assert {path.rpartition("/")[2] for path in refused} <= {
        "daemonsets",
        "deployments",
        "secrets",
        "serviceaccounts",
        "poddisruptionbudgets",
        "replicasets",
        "statefulsets",
    }
    assert here.server.store.objects("Deployment", "whichpod") == []


def is_server(pod: dict[str, Any]) -> bool:
    return bool(pod["metadata"]["labels"].get("app") == "echo")


def is_client(pod: dict[str, Any]) -> bool:
    return "job-name" in pod["metadata"]["labels"]


def echo() -> Any:
    return selected(scenarios(), ["clusterip"], [])[0].bundle(2, "fast")


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not holds():  # noqa: ASYNC110 - what changes is in other processes
            await asyncio.sleep(0.01)
