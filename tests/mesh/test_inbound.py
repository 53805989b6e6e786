from __future__ import annotations

from typing import TYPE_CHECKING

from whichpod.mesh.inbound import inbound
from whichpod.mesh.resources import CLUSTER, LISTENER
from whichpod.mesh.xds import packed

if TYPE_CHECKING:
    from tests.mesh.conftest import Make

SECOND = """---
apiVersion: v1
kind: Service
metadata: {name: second}
spec:
  selector: {app: echo}
  ports: [{name: tcp-same, port: 90, targetPort: 50051}, {name: tcp-own, port: 91, targetPort: 7000}]
---
apiVersion: v1
kind: Service
metadata: {name: stranger}
spec: {selector: {app: stranger}, ports: [{name: grpc, port: 92, targetPort: 7001}]}
"""
POLICY = (
    "{loadBalancer: {simple: ROUND_ROBIN}, outlierDetection: {}, connectionPool: {tcp: {maxConnections: 3}}}"
)


def test_a_listener_per_target_port(make: Make) -> None:
    registry = make(POLICY, more=SECOND)
    pod = registry.endpoints[0]
    found = inbound(registry, pod, "127.0.9.1", other_ports=[50051, 9901])
    assert (
        set(found.listeners) == {"inbound|50051||", "inbound|7000||", "inbound|9901||"} == set(found.clusters)
    )
    for name in found.listeners:
        packed(LISTENER, found.texts[LISTENER][name])
        packed(CLUSTER, found.texts[CLUSTER][name])
    kinds = {n: r["filter_chains"][0]["filters"][0]["name"] for n, r in found.listeners.items()}
    # The first Service decides where two mean one port.
    assert kinds["inbound|50051||"] == "envoy.filters.network.http_connection_manager"
    assert kinds["inbound|7000||"] == "envoy.filters.network.tcp_proxy"
    # Of a port without a Service the protocol is not known.
    assert len(found.listeners["inbound|9901||"]["filter_chains"]) == 2
    address = found.listeners["inbound|50051||"]["address"]["socket_address"]
    assert address == {"address": pod.address, "port_value": 50051}


def test_only_the_connection_pool_of_a_rule_applies(make: Make) -> None:
    registry = make(POLICY)
    cluster = inbound(registry, registry.endpoints[0], "127.0.9.1").clusters["inbound|50051||"]
    assert cluster["type"] == "STATIC"
    assert cluster["circuit_breakers"]["thresholds"][0]["max_connections"] == 3
    assert "outlier_detection" not in cluster
    assert "lb_policy" not in cluster
    assert cluster["upstream_bind_config"]["source_address"]["address"] == "127.0.0.6"
    (locality,) = cluster["load_assignment"]["endpoints"]
    assert locality["lb_endpoints"][0]["endpoint"]["address"]["socket_address"] == {
        "address": "127.0.9.1",
        "port_value": 50051,
    }


def test_what_the_application_never_saw_is_retried(make: Make) -> None:
    registry = make()
    listener = inbound(registry, registry.endpoints[0], "127.0.9.1").listeners["inbound|50051||"]
    manager = listener["filter_chains"][0]["filters"][0]["typed_config"]
    (route,) = manager["route_config"]["virtual_hosts"][0]["routes"]
    assert route["route"]["retry_policy"] == {"retry_on": "reset-before-request", "num_retries": 2}
