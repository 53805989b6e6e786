"""Sidecars to which all of a pod's connections are redirected, hand-checked and taken by a real Envoy.

That they work takes network namespaces; what is asked here is what they are told.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from whichpod.manifest.kinds import Service
from whichpod.mesh.ads import AdsServer
from whichpod.mesh.bootstrap import envoy_bootstrap
from whichpod.mesh.identity import Authority
from whichpod.mesh.registry import Registry
from whichpod.mesh.resources import Resources
from whichpod.mesh.virtual_inbound import virtual_inbound
from whichpod.mesh.virtual_outbound import virtual_outbound

if TYPE_CHECKING:
    from tests.mesh.conftest import Make, Proxy

MORE = """---
apiVersion: v1
kind: Service
metadata: {name: other}
spec:
  selector: {app: echo}
  ports:
  - {name: http-a, port: 80, targetPort: 7001}
  - {name: tcp-a, port: 81, targetPort: 7002}
  - {name: web, port: 82, targetPort: 7003}
  - {name: udp-a, port: 83, protocol: UDP}
---
apiVersion: v1
kind: Service
metadata: {name: headless, namespace: shop}
spec:
  clusterIP: None
  selector: {app: echo}
  ports: [{name: grpc, port: 80, targetPort: 7004}]
---
apiVersion: v1
kind: Service
metadata: {name: direct}
spec:
  clusterIP: None
  selector: {app: echo}
  ports: [{name: tcp-a, port: 90, targetPort: 7005}, {name: web, port: 91, targetPort: 7006}]
"""
STRICT_PORT = """---
apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: {name: p}
spec:
  selector: {matchLabels: {app: echo}}
  mtls: {mode: DISABLE}
  portLevelMtls: {50051: {mode: STRICT}, 7002: {mode: PERMISSIVE}, 9901: {mode: STRICT}}
"""
IPS = {"echo": "10.96.0.1", "other": "10.96.0.2"}


def cluster_ip(service: Service) -> str:
    assert not service.headless
    return IPS[service.meta.name]


def meshed(registry: Registry) -> Registry:
    return Registry(
        registry.bundle, tuple(replace(e, meshed=True) for e in registry.endpoints), mutual_tls=True
    )


def outward(make: Make, policy: str = "", more: str = MORE, **options: Any) -> Resources:
    return virtual_outbound(make(policy, more=more), cluster_ip, **options)


def leads_to(filters: list[dict[str, Any]]) -> str:
    config = filters[-1]["typed_config"]
    return str(config.get("cluster") or f"route {config['rds']['route_config_name']}")


def test_a_listener_for_each_way_to_be_found(make: Make) -> None:
    found = outward(make, own_address="127.0.1.2")
    assert set(found.listeners) == {
        "virtualOutbound",
        # HTTP by port number, for all Services together.
        "0.0.0.0_80",
        "10.96.0.2_81",
        "10.96.0.2_82",
        # A headless Service's pods one by one, save the client itself.
        "127.0.1.1_90",
        "127.0.1.3_90",
        "127.0.1.1_91",
        "127.0.1.3_91",
    }
    for name, listener in found.listeners.items():
        at = listener["address"]["socket_address"]
        assert (name == "virtualOutbound") is listener.get("bind_to_port", True)
        if name != "virtualOutbound":
            assert f"{at['address']}_{at['port_value']}" == name


def test_what_has_no_listener_goes_on(make: Make) -> None:
    found = outward(make)
    listener = found.listeners["virtualOutbound"]
    assert listener["use_original_dst"] is True
    assert listener["address"]["socket_address"] == {"address": "0.0.0.0", "port_value": 15001}
    circle, rest = listener["filter_chains"]
    assert circle["filter_chain_match"] == {"destination_port": 15001}
    assert leads_to(circle["filters"]) == "BlackHoleCluster"
    assert "filter_chain_match" not in rest
    assert leads_to(rest["filters"]) == "PassthroughCluster"
    assert found.clusters["PassthroughCluster"]["type"] == "ORIGINAL_DST"
    assert "load_assignment" not in found.clusters["BlackHoleCluster"]


def test_http_goes_by_authority(make: Make) -> None:
    found = outward(make)
    listener = found.listeners["0.0.0.0_80"]
    (http,) = listener["filter_chains"]
    assert http["filter_chain_match"] == {
        "transport_protocol": "raw_buffer",
        "application_protocols": ["http/1.1", "h2c"],
    }
    assert leads_to(http["filters"]) == "route 80"
    assert leads_to(listener["default_filter_chain"]["filters"]) == "PassthroughCluster"
    routes = found.routes["80"]
    assert routes["ignore_port_in_host_matching"] is True
    domains = {h["name"]: h["domains"] for h in routes["virtual_hosts"]}
    assert domains == {
        "echo.default.svc.cluster.local:80": [
            "echo.default.svc.cluster.local", "echo", "echo.default", "echo.default.svc", "10.96.0.1",
        ],
        "other.default.svc.cluster.local:80": [
            "other.default.svc.cluster.local", "other", "other.default", "other.default.svc", "10.96.0.2",
        ],
        # Of another namespace the short name is none; headless, its pods have names of their own.
        "headless.shop.svc.cluster.local:80": [
            "headless.shop.svc.cluster.local", "headless.shop", "headless.shop.svc",
            "*.headless.shop.svc.cluster.local", "*.headless.shop", "*.headless.shop.svc",
        ],
        "allow_any": ["*"],
    }  # fmt: skip
    clusters = {h["name"]: h["routes"][0]["route"]["cluster"] for h in routes["virtual_hosts"]}
    assert clusters["echo.default.svc.cluster.local:80"] == "outbound|80||echo.default.svc.cluster.local"
    assert clusters["allow_any"] == "PassthroughCluster"


def test_names_are_those_of_the_clients_namespace(make: Make) -> None:
    hosts = outward(make, namespace="shop").routes["80"]["virtual_hosts"]
    domains = {h["name"]: h["domains"] for h in hosts}
    assert domains["headless.shop.svc.cluster.local:80"][1] == "headless"
    assert "echo" not in domains["echo.default.svc.cluster.local:80"]


def test_other_protocols_go_by_address(make: Make) -> None:
    found = outward(make)
    (tcp,) = found.listeners["10.96.0.2_81"]["filter_chains"]
    assert leads_to(tcp["filters"]) == "outbound|81||other.default.svc.cluster.local"
    sniffed = found.listeners["10.96.0.2_82"]
    (http,) = sniffed["filter_chains"]
    assert leads_to(http["filters"]) == "route other.default.svc.cluster.local:82"
    (host,) = found.routes["other.default.svc.cluster.local:82"]["virtual_hosts"]
    assert host["domains"] == ["*"]
    default = sniffed["default_filter_chain"]["filters"]
    assert leads_to(default) == "outbound|82||other.default.svc.cluster.local"
    # A sniffed port of the same number as an HTTP one would be found by authority too.
    assert "82" not in found.routes


def test_headless_services_and_passthrough_are_not_balanced(make: Make) -> None:
    found = outward(make, "{loadBalancer: {simple: PASSTHROUGH}}")
    for name in (
        "outbound|80||echo.default.svc.cluster.local",
        "outbound|80||headless.shop.svc.cluster.local",
        "outbound|91||direct.default.svc.cluster.local",
    ):
        cluster = found.clusters[name]
        assert (cluster["type"], cluster["lb_policy"]) == ("ORIGINAL_DST", "CLUSTER_PROVIDED")
        assert name not in found.endpoints
    assert found.clusters["outbound|81||other.default.svc.cluster.local"]["type"] == "EDS"


def test_what_is_passed_on_is_encrypted_when_all_pods_take_it(make: Make) -> None:
    name = "outbound|80||headless.shop.svc.cluster.local"
    registry = meshed(make(more=MORE.replace(", namespace: shop", "")))
    name = name.replace("shop", "default")
    assert "transport_socket" in virtual_outbound(registry, cluster_ip).clusters[name]
    first, *rest = registry.endpoints
    mixed = Registry(registry.bundle, (replace(first, meshed=False), *rest), mutual_tls=True)
    nobody = Registry(registry.bundle, (), mutual_tls=True)
    for other in (mixed, nobody):
        cluster = virtual_outbound(other, cluster_ip).clusters[name]
        assert "transport_socket" not in cluster
        assert "transport_socket_matches" not in cluster


def test_inbound(make: Make) -> None:
    registry = meshed(make(more=MORE + STRICT_PORT))
    found = virtual_inbound(registry, registry.endpoints[0], mark=7)
    ((name, listener),) = found.listeners.items()
    assert name == "virtualInbound"
    assert listener["address"]["socket_address"] == {"address": "0.0.0.0", "port_value": 15006}
    names = [f["name"].rpartition(".")[2] for f in listener["listener_filters"]]
    assert names == ["original_dst", "tls_inspector", "http_inspector"]

    chains: dict[tuple[int, str, str], int] = {}
    for chain in listener["filter_chains"]:
        match = chain["filter_chain_match"]
        config = chain["filters"][-1]["typed_config"]
        cluster = config.get("cluster") or config["route_config"]["name"]
        key = (match.get("destination_port", 0), match.get("transport_protocol", ""), cluster)
        chains[key] = chains.get(key, 0) + 1
    through = "InboundPassthroughCluster"
    assert chains == {
        (15006, "", "BlackHoleCluster"): 1,
        # HTTP and other bytes, in plain text: the pod's mode is DISABLE.
        (0, "raw_buffer", through): 2,
        # A port that no Service means, with a mode of its own.
        (9901, "tls", through): 2,
        (50051, "tls", "inbound|50051||"): 1,
        (7001, "raw_buffer", "inbound|7001||"): 1,
        # Of the mesh, plain, and TLS of somebody else.
        (7002, "tls", "inbound|7002||"): 2,
        (7002, "raw_buffer", "inbound|7002||"): 1,
        (7003, "raw_buffer", "inbound|7003||"): 2,
        (7005, "raw_buffer", "inbound|7005||"): 1,
        (7006, "raw_buffer", "inbound|7006||"): 2,
    }
    # The Service of another namespace does not select the pod.
    assert "inbound|7004||" not in found.clusters
    for cluster in (found.clusters["inbound|50051||"], found.clusters[through]):
        assert (cluster["type"], cluster["lb_policy"]) == ("ORIGINAL_DST", "CLUSTER_PROVIDED")
        bind = cluster["upstream_bind_config"]
        assert bind["source_address"] == {"address": "127.0.0.6", "port_value": 0}
        assert bind["socket_options"][0]["int_value"] == 7


def test_without_a_mark(make: Make) -> None:
    registry = make()
    found = virtual_inbound(registry, registry.endpoints[0])
    assert "socket_options" not in found.clusters["inbound|50051||"]["upstream_bind_config"]


def test_envoy_takes_everything_without_a_warning(make: Make, envoy: Proxy, address: str) -> None:
    registry = meshed(make("{loadBalancer: {simple: PASSTHROUGH}}", more=MORE + STRICT_PORT))
    found = virtual_outbound(registry, cluster_ip) | virtual_inbound(registry, registry.endpoints[0])
    # Other tests' Envoys would listen on the same ports.
    for name in ("virtualOutbound", "virtualInbound"):
        found.listeners[name]["address"]["socket_address"]["address"] = address

    async def run() -> None:
        ads = AdsServer()
        try:
            ads.set("pod", found)
            identity = Authority().identity("default", "default")
            envoy.start(envoy_bootstrap("pod", await ads.start(), f"{address}:15000", identity=identity))
            await ads.acked("pod")
        finally:
            await ads.stop()
        assert ads.nacks == []

    asyncio.run(run())
    envoy.kill()
    # The one warning is about the control plane, which went away first.
    assert [line for line in envoy.log.splitlines() if "gRPC config stream" not in line] == []
