"""Rows that need the Gateway API: run where it is there, skipped with the reason where it isn't."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest

from tests.kubernetes.gateway_api import RefusedError, of_gateway_api, validate_gateway_api
from tests.kubernetes.manifests import SCENARIOS, Document, dressed, of_kind, raw
from tests.kubernetes.standin import ApiServer
from tests.kubernetes.standin.fixture import IMAGE, StandIn, cluster
from whichpod.cluster.kubernetes.api import Api
from whichpod.cluster.kubernetes.cluster import KubernetesCluster
from whichpod.cluster.kubernetes.gateways import await_gateway, await_routes
from whichpod.cluster.kubernetes.harden import pod_security
from whichpod.cluster.kubernetes.settings import Settings
from whichpod.manifest.documents import documents
from whichpod.model.errors import ClusterError, UsageError
from whichpod.model.report import Matrix
from whichpod.scenarios.run import Options, run_matrix
from whichpod.scenarios.scenario import scenarios, selected

ROUTED, GATEWAY = "istio-grpcroute", "gateway-grpcroute"


async def matrix(here: StandIn, *rows: str, ready_timeout_s: float = 30.0, **settings: Any) -> Matrix:
    said = Settings(IMAGE, run="r1", **settings)
    async with KubernetesCluster.open(said, kubeconfig=str(here.kubeconfig)) as found:
        options = Options(pods=3, ready_timeout_s=ready_timeout_s, engine="fast")
        return await run_matrix(found, selected(scenarios(), list(rows), []), options)


def outcomes(found: Matrix) -> dict[str, tuple[str, str]]:
    return {row.name: (row.outcome, row.reason) for row in found.rows}


@pytest.mark.anyio
async def test_routes_and_gateways_are_carried_out_and_nothing_stays(tmp_path: Path) -> None:
    with cluster(tmp_path, gateway=True) as here:
        before = {d["metadata"]["name"] for d in here.server.store.objects("Namespace")}
        found = await matrix(here, ROUTED, GATEWAY)
        assert outcomes(found) == {ROUTED: ("passed", ""), GATEWAY: ("passed", "")}
        applied = [r.body for r in here.server.requests if r.method == "PATCH" and "/gateways/" in r.path]
        assert applied[0]["spec"]["gatewayClassName"] == "istio"
        assert {d["metadata"]["name"] for d in here.server.store.objects("Namespace")} == before


@pytest.mark.anyio
async def test_without_a_load_balancer_a_gateway_serves_the_cluster_all_the_same(tmp_path: Path) -> None:
    with cluster(tmp_path, gateway=True) as here:
        here.gateways.unassigned = True
        assert outcomes(await matrix(here, GATEWAY)) == {GATEWAY: ("passed", "")}


@pytest.mark.anyio
async def test_what_the_cluster_lacks_is_the_reason_to_skip(tmp_path: Path) -> None:
    with cluster(tmp_path) as here:
        found = await matrix(here, ROUTED, GATEWAY)
    why = "The cluster has no Gateway API with GRPCRoute. Install its definitions: gateway-api.sigs.k8s.io"
    assert outcomes(found) == {ROUTED: ("skipped", why), GATEWAY: ("skipped", why)}


@pytest.mark.anyio
async def test_somebody_must_carry_gateways_out(tmp_path: Path) -> None:
    with cluster(tmp_path, gateway=True, istio=False) as here:
        found = outcomes(await matrix(here, ROUTED, GATEWAY))
        assert "The cluster has no Istio." in found[ROUTED][1]
        assert found[GATEWAY][0] == "skipped"
        assert "No controller has accepted a GatewayClass" in found[GATEWAY][1]
    with pytest.raises(UsageError, match="can't name a GatewayClass"):
        Settings(IMAGE, gateway_class="No_Class").checked()


@pytest.mark.anyio
async def test_a_route_that_is_refused_fails_the_row_with_the_reason(tmp_path: Path) -> None:
    with cluster(tmp_path, gateway=True) as here:
        here.gateways.refuses = "routes of Services are not known"
        found = outcomes(await matrix(here, ROUTED))
        assert found[ROUTED][0] == "failed"
        by = "The GRPCRoute echo isn't carried out by istio.io/gateway-controller"
        assert f"{by}: NoMatchingParent (routes of Services are not known)." in found[ROUTED][1]


@pytest.mark.anyio
async def test_who_is_taken_by_nobody_is_not_waited_for_without_end(tmp_path: Path) -> None:
    with ApiServer(gateway=True) as server:
        edge, route = (copy.deepcopy(document) for document in (EDGE, ROUTE))
        for document in (edge, route):
            document["metadata"]["namespace"] = "default"
            server.store.create(document)
        async with Api.open(str(server.kubeconfig(tmp_path)), patience_s=1.0) as api:

            async def address() -> str:
                return await await_gateway(api, "edge", "default", 50051, within_s=0.0, says=lambda _: None)

            with pytest.raises(ClusterError, match=r"not ready within 0 s: it has no address\."):
                await address()
            say(server, edge, Accepted=("False", "InvalidParameters", "no such class"))
            with pytest.raises(
                ClusterError, match=r"of the class whichpod is refused: InvalidParameters \(no such"
            ):
                await address()
            say(server, edge, Programmed=("True", "Programmed", ""))
            for value, dialled in (
                ("10.0.0.9", "ipv4:10.0.0.9:50051"),
                ("fd00::9", "ipv6:[fd00::9]:50051"),
                ("edge.example", "dns:///edge.example:50051"),
            ):
                say(server, edge, addresses=[{"value": value}], Programmed=("True", "Programmed", ""))
                assert await address() == dialled
            with pytest.raises(ClusterError, match="Nobody carried the GRPCRoute echo out within 0 s"):
                await await_routes(api, [route], within_s=0.0, says=lambda _: None)


def say(
    server: ApiServer, document: Document, addresses: Any = (), **conditions: tuple[str, str, str]
) -> None:
    status = {
        "addresses": list(addresses),
        "conditions": [
            {"type": kind, "status": state, "reason": reason, "message": message}
            for kind, (state, reason, message) in conditions.items()
        ],
    }
    server.store.update(document["kind"], "default", "edge", lambda d: d.update(status=status))


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda s: s.name)
def test_the_gateway_api_takes_what_rows_have_of_it(scenario: Any) -> None:
    given = documents(scenario.bundle())
    for document in [*given, *dressed(given, gateway_class="istio")]:
        if of_gateway_api(document):
            validate_gateway_api(document)


ROUTE, EDGE = of_kind(raw(ROUTED), "GRPCRoute"), of_kind(raw(GATEWAY), "Gateway")


@pytest.mark.parametrize(
    ("document", "path", "value"),
    [
        (ROUTE, "apiVersion", "gateway.networking.k8s.io/v1beta2"),
        (ROUTE, "spec.rules.0.matches.0.method", {}),
        (ROUTE, "spec.rules.0.matches.0.method.type", "Prefix"),
        (ROUTE, "spec.rules.0.matches.0.path", "/x"),
        (ROUTE, "spec.rules.0.backendRefs.0", {"name": "echo"}),
        (ROUTE, "spec.rules.0.backendRefs.0.port", "50051"),
        (ROUTE, "spec.rules.0.backendRefs.0.weight", -1),
        (ROUTE, "spec.parentRefs.0.service", "echo"),
        (EDGE, "spec.listeners", []),
        (EDGE, "spec.listeners.0.port", 0),
        (EDGE, "spec.gatewayClass", "istio"),
    ],
)
def test_its_model_refuses_what_is_wrong(document: Document, path: str, value: Any) -> None:
    wrong = copy.deepcopy(document)
    at: Any = wrong
    *way, last = path.split(".")
    for step in way:
        at = at[int(step) if isinstance(at, list) else step]
    at[int(last) if isinstance(at, list) else last] = value
    with pytest.raises(RefusedError):
        validate_gateway_api(wrong)


def test_a_gateways_own_pods_need_not_be_restricted() -> None:
    assert pod_security(dressed(raw(GATEWAY), gateway_class="istio"), istio_init=True) == "baseline"
    assert pod_security(dressed(raw("clusterip")), istio_init=True) == "restricted"


def test_a_class_of_ones_own_stays() -> None:
    own = copy.deepcopy(raw(GATEWAY))
    of_kind(own, "Gateway")["spec"]["gatewayClassName"] = "cilium"
    assert of_kind(dressed(own, gateway_class="istio"), "Gateway")["spec"]["gatewayClassName"] == "cilium"
