"""gRPC clients that speak xDS, real ones among them."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import TYPE_CHECKING

import pytest

from whichpod.mesh.ads import AdsServer
from whichpod.mesh.bootstrap import proxyless_bootstrap
from whichpod.mesh.proxyless import proxyless, remarks
from whichpod.mesh.registry import Endpoint, Registry
from whichpod.mesh.resources import TYPES

if TYPE_CHECKING:
    from tests.mesh.conftest import Ask, Backends, Make

NAME = "outbound|80||echo.default.svc.cluster.local"


@pytest.mark.parametrize(
    ("balancer", "policy", "size", "remark"),
    [
        ("{}", "ROUND_ROBIN", None, ""),
        ("{simple: ROUND_ROBIN}", "ROUND_ROBIN", None, ""),
        ("{simple: LEAST_REQUEST}", "ROUND_ROBIN", None, "LEAST_REQUEST does not reach"),
        ("{simple: RANDOM}", "ROUND_ROBIN", None, "RANDOM does not reach"),
        ("{consistentHash: {httpHeaderName: x}}", "RING_HASH", 1024, ""),
        ("{consistentHash: {httpHeaderName: x, maglev: {}}}", "RING_HASH", None, "no Maglev"),
    ],
)
def test_only_policies_that_grpc_takes(
    make: Make, balancer: str, policy: str, size: int | None, remark: str
) -> None:
    registry = make(f"{{loadBalancer: {balancer}}}")
    cluster = proxyless(registry).clusters[NAME]
    assert cluster["lb_policy"] == policy
    assert cluster.get("ring_hash_lb_config", {}).get("minimum_ring_size") == size
    found = [n.message for n in remarks(registry)]
    assert len(found) == bool(remark)
    assert all(remark in m for m in found)


def test_names_that_may_be_dialled(make: Make) -> None:
    registry = make()
    names = {"echo:80", "echo.default:80", "echo.default.svc:80", "echo.default.svc.cluster.local:80"}
    assert set(proxyless(registry).listeners) == names
    assert set(proxyless(registry, namespace="x").listeners) == {"echo.default.svc.cluster.local:80"}


def test_what_a_route_does_beyond_grpc_is_remarked(make: Make) -> None:
    more = "  - route: [{destination: {host: echo}}]\n    mirror: {host: echo}\n    rewrite: {uri: /}\n"
    head = EVERY_KIND[: EVERY_KIND.index("  - match")]
    (found,) = remarks(make(more=head + more))
    assert "mirrors and rewrite of a route: gRPC has nothing of the kind" in found.message


EVERY_KIND = """---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: echo}
spec:
  hosts: [echo]
  http:
  - match: [{uri: {prefix: /none}, headers: {x: {exact: "1"}}}]
    route: [{destination: {host: echo}}]
    retries: {attempts: 2, perTryTimeout: 1s}
    timeout: 1s
  - route:
    - {destination: {host: echo, subset: all}, weight: 1}
"""


@pytest.mark.parametrize("virtual", [False, True])
def test_a_real_client_is_served(make: Make, backends: Backends, ask: Ask, virtual: bool) -> None:
    policy = "{loadBalancer: {simple: ROUND_ROBIN}}"
    policy += "\n  subsets:\n  - {name: all}\n"
    policy += "  - {name: ring, trafficPolicy: {loadBalancer: {consistentHash: {httpHeaderName: x}}}}\n"
    addresses = backends(2)
    pods = tuple(Endpoint(a, a, {"app": "echo"}, {"main": 50051}) for a in addresses)
    registry = Registry(make(policy, more=EVERY_KIND if virtual else "").bundle, pods)

    async def run() -> list[str]:
        ads = AdsServer()
        try:
            ads.set("client", proxyless(registry))
            environ = {"GRPC_XDS_BOOTSTRAP_CONFIG": proxyless_bootstrap("client", await ads.start())}
            answers = await ask("xds:///echo.default.svc.cluster.local:80", 20, environ)
            assert ads.nacks == []
            return answers
        finally:
            await ads.stop()

    counts = Counter(a.split()[0] for a in asyncio.run(run()))
    # Round robin, though the picker is rebuilt while the second connection is made.
    assert set(counts) == set(addresses)


def test_a_refusal_is_recorded_in_the_clients_words(make: Make, backends: Backends, ask: Ask) -> None:
    (address,) = backends(1)
    registry = Registry(make().bundle, (Endpoint("p", address, {"app": "echo"}, {"main": 50051}),))
    good = proxyless(registry)
    bad = type(good)({NAME: good.clusters[NAME] | {"lb_policy": "MAGLEV"}}, *(good.of(t) for t in TYPES[1:]))

    async def run() -> list[str]:
        ads = AdsServer()
        try:
            ads.set("client", bad)
            environ = {"GRPC_XDS_BOOTSTRAP_CONFIG": proxyless_bootstrap("client", await ads.start())}
            with pytest.raises(AssertionError):
                await ask("xds:///echo:80", 1, environ, wait=False)
            return [n.message for n in ads.nacks]
        finally:
            await ads.stop()

    (message,) = asyncio.run(run())
    assert "lb_policy" in message or "LB policy" in message
