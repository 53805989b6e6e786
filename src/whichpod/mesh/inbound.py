"""A callee's sidecar: from the pod's address to the application in the pod."""

from __future__ import annotations

from collections.abc import Iterable

from whichpod.manifest.kinds import Service, ServicePort
from whichpod.manifest.traffic import ConnectionPool
from whichpod.mesh.clusters import base_cluster
from whichpod.mesh.listeners import http_filter, listener, sniffing_listener, tcp_filter
from whichpod.mesh.outbound import sidecar_ports
from whichpod.mesh.pieces import JsonObject, socket
from whichpod.mesh.protocol import Wire
from whichpod.mesh.registry import Endpoint, Registry
from whichpod.mesh.resources import Resources
from whichpod.mesh.rules import policy_for, rule_for

SOURCE = "127.0.0.6"
"""The address that Istio's inbound clusters connect from: an application sees it as its peer."""


def inbound(
    registry: Registry, pod: Endpoint, app_address: str, *, other_ports: Iterable[int] = ()
) -> Resources:
    """What istiod gives the sidecar of a pod for the connections that come in.

    A listener on the pod's address per target port of a Service that selects the pod, with that port's
    protocol (the first Service decides, where several mean one port); behind it the application at
    `app_address` on the same port. `other_ports` are those of the containers: without a Service they are
    passed through as TCP. Of a DestinationRule only the connection pool applies here.
    """
    clusters: dict[str, JsonObject] = {}
    listeners: dict[str, JsonObject] = {}
    for service, port, kind in sidecar_ports(registry):
        number = port.target_port if isinstance(port.target_port, int) else pod.ports.get(port.target_port)
        name = f"inbound|{number}||"
        if number is None or name in clusters or not service.selects(pod.namespace, pod.labels):
            continue
        pool = _pool(registry, service, port)
        clusters[name] = base_cluster(name, kind, pool) | _application(name, app_address, number)
        listeners[name] = _listener(name, (pod.address, number), kind, service, port)
    for number in other_ports:
        name = f"inbound|{number}||"
        if name not in clusters:
            clusters[name] = base_cluster(name, Wire.TCP, ConnectionPool())
            clusters[name] |= _application(name, app_address, number)
            listeners[name] = listener(name, (pod.address, number), "INBOUND", [tcp_filter(name)])
    return Resources(clusters, {}, listeners, {})


def _pool(registry: Registry, service: Service, port: ServicePort) -> ConnectionPool:
    rule = rule_for(registry.bundle, service, service.meta.namespace)
    return policy_for(rule, port.port).connection_pool or ConnectionPool()


def _application(name: str, address: str, port: int) -> JsonObject:
    return {
        "type": "STATIC",
        "load_assignment": {
            "cluster_name": name,
            "endpoints": [{"lb_endpoints": [{"endpoint": {"address": socket(address, port)}}]}],
        },
        "upstream_bind_config": {"source_address": {"address": SOURCE, "port_value": 0}},
    }


def _listener(
    name: str, address: tuple[str, int], kind: Wire, service: Service, port: ServicePort
) -> JsonObject:
    tcp = [tcp_filter(name)]
    if kind is Wire.TCP:
        return listener(name, address, "INBOUND", tcp)
    http = [http_filter(f"inbound_{address[0]}_{address[1]}", _routes(name, service, port), inbound=True)]
    if kind is Wire.SNIFFED:
        return sniffing_listener(name, address, "INBOUND", http, tcp)
    return listener(name, address, "INBOUND", http)


def _routes(name: str, service: Service, port: ServicePort) -> JsonObject:
    """One route. It retries what the application never saw (Istio's ENABLE_INBOUND_RETRY_POLICY, 1.24)."""
    action = {
        "cluster": name,
        "timeout": "0s",
        "max_stream_duration": {"grpc_timeout_header_max": "0s"},
        "retry_policy": {"retry_on": "reset-before-request", "num_retries": 2},
    }
    host = f"{service.host}:{port.port}"
    routes = [{"name": "default", "match": {"prefix": "/"}, "route": action}]
    return {
        "name": name,
        "virtual_hosts": [{"name": f"inbound|http|{host}", "domains": ["*"], "routes": routes}],
        "validate_clusters": False,
    }
