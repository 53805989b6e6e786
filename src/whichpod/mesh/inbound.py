"""A callee's sidecar: from the pod's address to the application in the pod."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from whichpod.manifest.kinds import Service, ServicePort
from whichpod.manifest.traffic import ConnectionPool
from whichpod.mesh.chains import filter_chains
from whichpod.mesh.clusters import base_cluster
from whichpod.mesh.listeners import chained_listener, http_filter, tcp_filter
from whichpod.mesh.outbound import sidecar_ports
from whichpod.mesh.peers import Mode, mode_for
from whichpod.mesh.pieces import JsonObject, socket
from whichpod.mesh.protocol import Wire
from whichpod.mesh.registry import Endpoint, Registry
from whichpod.mesh.resources import Resources
from whichpod.mesh.rules import policy_for, rule_for

SOURCE = "127.0.0.6"
"""The address that Istio's inbound clusters connect from: an application sees it as its peer."""


class InboundPort(NamedTuple):
    """A port of a pod."""

    number: int
    kind: Wire
    pool: ConnectionPool
    host: str
    """The Service's, with its port, for names."""
    passthrough: str = ""
    """The cluster of ports that no Service means."""

    @property
    def cluster(self) -> str:
        """The name of the cluster that has the application."""
        return self.passthrough or f"inbound|{self.number}||"


def inbound(
    registry: Registry, pod: Endpoint, app_address: str, *, other_ports: Iterable[int] = ()
) -> Resources:
    """What istiod gives the sidecar of a pod for the connections that come in.

    A listener on the pod's address per target port of a Service that selects the pod, with that port's
    protocol, and mutual TLS as PeerAuthentications say; behind it the application at `app_address` on the
    same port. `other_ports` are those of the containers: without a Service their protocol is sniffed.
    Of a DestinationRule only the connection pool applies here.
    """
    clusters: dict[str, JsonObject] = {}
    listeners: dict[str, JsonObject] = {}
    named = {p.number: p for p in inbound_ports(registry, pod)}
    others = (n for n in dict.fromkeys(other_ports) if n not in named)
    for port in (*named.values(), *(InboundPort(n, Wire.SNIFFED, ConnectionPool(), str(n)) for n in others)):
        name = port.cluster
        clusters[name] = base_cluster(name, port.kind, port.pool) | _application(
            name, app_address, port.number
        )
        chains = port_chains(port, mode_of(registry, pod, port.number), f"{pod.address}_{port.number}")
        listeners[name] = chained_listener(name, (pod.address, port.number), "INBOUND", chains)
    return Resources(clusters, {}, listeners, {})


def inbound_ports(registry: Registry, pod: Endpoint) -> Iterator[InboundPort]:
    """The ports of a pod that Services mean; the first Service decides, where several mean one port."""
    seen: set[int] = set()
    for service, port, kind in sidecar_ports(registry):
        number = port.target_port if isinstance(port.target_port, int) else pod.ports.get(port.target_port)
        if number is None or number in seen or not service.selects(pod.namespace, pod.labels):
            continue
        seen.add(number)
        yield InboundPort(number, kind, _pool(registry, service, port), f"{service.host}:{port.port}")


def mode_of(registry: Registry, pod: Endpoint, port: int) -> Mode:
    """What the pod's sidecar takes on a port."""
    return mode_for(registry.bundle, pod, port) if registry.mutual_tls else "DISABLE"


def port_chains(
    port: InboundPort, mode: Mode, stat_prefix: str, *, redirected: bool = False
) -> list[JsonObject]:
    """The filter chains that lead to a port's cluster."""
    http = [http_filter(f"inbound_{stat_prefix}", _routes(port.cluster, port.host), inbound=True)]
    tcp = [tcp_filter(port.cluster)]
    return filter_chains(port.kind, mode, http, tcp, port=port.number if redirected else 0)


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


def _routes(cluster: str, host: str) -> JsonObject:
    """One route. It retries what the application never saw (Istio's ENABLE_INBOUND_RETRY_POLICY, 1.24)."""
    action = {
        "cluster": cluster,
        "timeout": "0s",
        "max_stream_duration": {"grpc_timeout_header_max": "0s"},
        "retry_policy": {"retry_on": "reset-before-request", "num_retries": 2},
    }
    routes = [{"name": "default", "match": {"prefix": "/"}, "route": action}]
    return {
        "name": cluster,
        "virtual_hosts": [{"name": f"inbound|http|{host}", "domains": ["*"], "routes": routes}],
        "validate_clusters": False,
    }
