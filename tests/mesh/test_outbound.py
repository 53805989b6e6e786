"""A caller's sidecar, with RPCs through a real Envoy."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest

from whichpod.mesh.ads import AdsServer
from whichpod.mesh.bootstrap import envoy_bootstrap
from whichpod.mesh.inbound import inbound
from whichpod.mesh.kube_proxy import kube_proxy
from whichpod.mesh.outbound import outbound
from whichpod.mesh.registry import Endpoint, Registry
from whichpod.mesh.resources import LISTENER, Resources
from whichpod.mesh.xds import packed
from whichpod.model.errors import ManifestError

if TYPE_CHECKING:
    from tests.mesh.conftest import Ask, Backends, Make, Proxy

ROUND_ROBIN = "{loadBalancer: {simple: ROUND_ROBIN}}"
PORT = 10_080


def filters(listener: dict[str, Any], chain: int = 0) -> list[str]:
    return [f["name"].rpartition(".")[2] for f in listener["filter_chains"][chain]["filters"]]


@pytest.mark.parametrize(
    ("port", "chain", "default", "routed"),
    [
        ("grpc", ["http_connection_manager"], [], True),
        ("http", ["http_connection_manager"], [], True),
        ("tcp-grpc", ["tcp_proxy"], [], False),
        ("web", ["http_connection_manager"], ["tcp_proxy"], True),
    ],
)
def test_the_ports_protocol_decides_about_the_filters(
    make: Make, port: str, chain: list[str], default: list[str], routed: bool
) -> None:
    found = outbound(make(port=port), lambda s, p: ("127.0.0.9", p.port))
    ((name, listener),) = found.listeners.items()
    packed(LISTENER, found.texts[LISTENER][name])
    assert listener["address"] == {"socket_address": {"address": "127.0.0.9", "port_value": 80}}
    assert filters(listener) == chain
    fallback = listener.get("default_filter_chain", {}).get("filters", [])
    assert [f["name"].rpartition(".")[2] for f in fallback] == default
    assert bool(found.routes) is routed


def test_headless_services_have_no_listener(make: Make) -> None:
    headless = "---\napiVersion: v1\nkind: Service\nmetadata: {name: h}\n"
    headless += "spec: {clusterIP: None, selector: {app: echo}, ports: [{name: grpc, port: 81}]}\n"
    found = outbound(make(more=headless), lambda s, p: ("127.0.0.9", p.port))
    assert set(found.listeners) == {"echo.default.svc.cluster.local:80"}
    assert "outbound|81||h.default.svc.cluster.local" in found.clusters


@pytest.mark.parametrize(
    ("policy", "hashed"),
    [
        ("{loadBalancer: {consistentHash: {useSourceIp: true}}}", True),
        ("{loadBalancer: {consistentHash: {httpHeaderName: x}}}", False),
        ("{loadBalancer: {simple: RANDOM}}", False),
        # Settings of ports don't count here (networkfilter.go, maybeSetHashPolicy).
        (
            "{portLevelSettings: [{port: {number: 80}, "
            "loadBalancer: {consistentHash: {useSourceIp: true}}}]}",
            False,
        ),
    ],
)
def test_connections_are_hashed_by_their_source(make: Make, policy: str, hashed: bool) -> None:
    found = outbound(make(policy, port="tcp"), lambda s, p: ("127.0.0.9", p.port))
    (listener,) = found.listeners.values()
    proxy = listener["filter_chains"][0]["filters"][0]["typed_config"]
    assert proxy.get("hash_policy") == ([{"source_ip": {}}] if hashed else None)


def test_passthrough_is_refused_where_it_stands(make: Make) -> None:
    with pytest.raises(ManifestError, match=r"f.yaml:\d+: loadBalancer PASSTHROUGH needs"):
        outbound(make("{loadBalancer: {simple: PASSTHROUGH}}"), lambda s, p: ("127.0.0.9", 1))


def test_rules_of_the_clients_namespace(make: Make) -> None:
    more = """---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: own, namespace: client}
spec:
  host: echo.default.svc.cluster.local
  trafficPolicy: {loadBalancer: {simple: RANDOM}}
"""
    registry = make(ROUND_ROBIN, more=more)
    for namespace, policy in (("client", "RANDOM"), ("default", "ROUND_ROBIN"), ("other", "ROUND_ROBIN")):
        (cluster,) = outbound(registry, lambda s, p: ("127.0.0.9", 1), namespace=namespace).clusters.values()
        assert cluster["lb_policy"] == policy


def pods(addresses: tuple[str, ...]) -> tuple[Endpoint, ...]:
    return tuple(Endpoint(f"pod-{i}", a, {"app": "echo"}, {"main": 50051}) for i, a in enumerate(addresses))


async def through(envoy: Proxy, address: str, resources: Resources, ask: Ask, count: int) -> list[str]:
    """What clients are answered on the address where a Service's port is intercepted."""
    ads = AdsServer()
    try:
        ads.set("client", resources)
        envoy.start(envoy_bootstrap("client", await ads.start(), f"{address}:15000"))
        await ads.acked("client")
        return await ask(f"ipv4:{address}:{PORT}", count)
    finally:
        await ads.stop()


@pytest.mark.parametrize("port", ["grpc", "web"])
def test_round_robin_is_exact(
    make: Make, envoy: Proxy, address: str, backends: Backends, ask: Ask, port: str
) -> None:
    registry = Registry(make(ROUND_ROBIN, port=port).bundle, pods(backends(3)))
    resources = outbound(registry, lambda s, p: (address, PORT))
    answers = asyncio.run(through(envoy, address, resources, ask, 12))
    assert sorted(Counter(a.split()[0] for a in answers).values()) == [4, 4, 4]


@pytest.mark.parametrize("nat", [False, True])
def test_a_connection_is_pinned_by_a_tcp_port_and_by_nat(
    make: Make, envoy: Proxy, address: str, backends: Backends, ask: Ask, nat: bool
) -> None:
    registry = Registry(make(ROUND_ROBIN, port="tcp-grpc").bundle, pods(backends(3)))
    translate = kube_proxy if nat else outbound
    answers = asyncio.run(through(envoy, address, translate(registry, lambda s, p: (address, PORT)), ask, 12))
    assert sorted(Counter(a.split()[0] for a in answers).values()) == [12]


def test_the_application_sees_istios_inbound_address(
    make: Make, envoy: Proxy, address: str, backends: Backends, ask: Ask
) -> None:
    (app,) = backends(1)
    pod = Endpoint("pod", address, {"app": "echo"}, {"main": 50051})
    registry = Registry(make().bundle, (pod,))
    resources = inbound(registry, pod, app) | outbound(registry, lambda s, p: (address, PORT))
    for answer in asyncio.run(through(envoy, address, resources, ask, 2)):
        assert answer.startswith(f"{app} ipv4:127.0.0.6:")
