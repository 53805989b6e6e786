"""A caller's sidecar: a listener, routes, clusters and endpoints for each port of each Service."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from whichpod.manifest.kinds import Service, ServicePort
from whichpod.manifest.traffic import Subset, TrafficPolicy
from whichpod.mesh import tls
from whichpod.mesh.caller import Caller
from whichpod.mesh.chains import PLAIN_HTTP
from whichpod.mesh.clusters import outbound_cluster, outbound_name
from whichpod.mesh.endpoints import Metadata, load_assignment
from whichpod.mesh.hashing import hashed_by_source
from whichpod.mesh.listeners import chained_listener, http_filter, listener, tcp_filter
from whichpod.mesh.localities import Preference, preference
from whichpod.mesh.mutual_tls import metadata, secured
from whichpod.mesh.pieces import JsonObject
from whichpod.mesh.protocol import Wire, wire
from whichpod.mesh.registry import Registry
from whichpod.mesh.resources import Resources
from whichpod.mesh.routes import route_configuration
from whichpod.mesh.rules import is_passthrough, policy_for, rule_for

Listen = Callable[[Service, ServicePort], tuple[str, int]]
"""The address and port of the listener that stands for the interception of a Service's port."""


def outbound(
    registry: Registry, listen: Listen, *, namespace: str = "default", caller: Caller | None = None
) -> Resources:
    """What istiod gives the sidecar of a client in `namespace`, or of a `caller` of whom more is known.

    A listener belongs to one Service's port, since a lab without privileges can't redirect connections: the
    client is sent to `listen(service, port)` by name resolution. So its routes answer every authority.

    Headless Services get no listener. Under Istio their cluster is ORIGINAL_DST: the sidecar passes each
    connection on to the pod that the client has dialled, whatever the DestinationRule's balancer is, and a
    client that dials the pod itself does the same. Their clusters are there for routes that name them.

    Raises ManifestError for `loadBalancer: PASSTHROUGH`, which needs the connection's original destination.
    """
    caller = caller or Caller(namespace)
    clusters: dict[str, JsonObject] = {}
    endpoints: dict[str, JsonObject] = {}
    listeners: dict[str, JsonObject] = {}
    routes: dict[str, JsonObject] = {}
    for service, port, kind in sidecar_ports(registry):
        for to in destinations(registry, service, port, caller):
            cluster = outbound_cluster(to.name, kind, to.policy, weighted=to.preference.weighted)
            clusters[to.name] = secured(registry, service, port, kind, to.policy, to.subset, cluster)
            if is_passthrough(to.policy):
                _refuse_passthrough(service, to.policy)
                continue
            takes = metadata(registry, service, port, to.subset, caller)
            endpoints[to.name] = to.assignment(registry, takes)
        if service.headless:
            continue
        name = f"{service.host}:{port.port}"
        listeners[name] = _listener(registry, service, port, kind, listen(service, port), caller)
        if kind is not Wire.TCP:
            routes[name] = route_configuration(registry, service, port, name, caller)
    return Resources(clusters, endpoints, listeners, routes)


def _refuse_passthrough(service: Service, policy: TrafficPolicy) -> None:
    if policy.load_balancer and not service.headless:
        raise policy.load_balancer.where.error(
            "loadBalancer PASSTHROUGH needs a connection's original destination, which a lab without "
            "redirected connections hasn't.",
            fix="Use a headless Service: its clients choose the pod too.",
        )


def sidecar_ports(registry: Registry) -> Iterator[tuple[Service, ServicePort, Wire]]:
    """The ports that a sidecar handles, with their protocol."""
    for service in registry.bundle.services:
        for port in service.ports:
            kind = wire(port)
            if kind is not Wire.UDP:
                yield service, port, kind


@dataclass(frozen=True, slots=True)
class ClusterOf:
    """A cluster of a Service's port: all of its pods, or a subset."""

    name: str
    service: Service
    port: ServicePort
    policy: TrafficPolicy
    subset: Subset | None
    caller: Caller

    @property
    def preference(self) -> Preference:
        """How the caller prefers what is near."""
        return preference(self.service, self.policy)

    def assignment(self, registry: Registry, takes: Metadata = lambda _pod, _port: None) -> JsonObject:
        """Its endpoints, as they are for the caller."""
        behind = registry.behind(self.service, self.port, self.subset.labels if self.subset else None)
        return load_assignment(self.name, behind, takes, caller=self.caller, preference=self.preference)


def destinations(
    registry: Registry, service: Service, port: ServicePort, caller: Caller
) -> Iterator[ClusterOf]:
    """The clusters of a port: its own, and one per subset."""
    rule = rule_for(registry.bundle, service, caller.namespace, caller.labels)
    for subset in (None, *(rule.subsets if rule else ())):
        name = outbound_name(port.port, subset.name if subset else "", service.host)
        yield ClusterOf(name, service, port, policy_for(rule, port.port, subset), subset, caller)


def _listener(
    registry: Registry,
    service: Service,
    port: ServicePort,
    kind: Wire,
    address: tuple[str, int],
    caller: Caller,
) -> JsonObject:
    name = f"{service.host}:{port.port}"
    if kind in (Wire.HTTP2, Wire.HTTP):
        return listener(name, address, "OUTBOUND", [http_filter(f"outbound_{name}", name)])
    tcp = connection_filters(registry, service, port, caller)
    if kind is Wire.TCP:
        return listener(name, address, "OUTBOUND", tcp)
    return chained_listener(name, address, "OUTBOUND", sniffed_chains(registry, name, name), default=tcp)


def connection_filters(
    registry: Registry, service: Service, port: ServicePort, caller: Caller
) -> list[JsonObject]:
    """The filters that pass a connection on to a port's cluster."""
    rule = rule_for(registry.bundle, service, caller.namespace, caller.labels)
    pool = policy_for(rule, port.port).connection_pool
    return [
        tcp_filter(
            outbound_name(port.port, "", service.host),
            idle_timeout_s=pool.tcp.idle_timeout_s if pool else None,
            by_source=hashed_by_source(registry, service, caller),
        )
    ]


def sniffed_chains(registry: Registry, stat_name: str, route: str) -> list[JsonObject]:
    """The filter chains for plain HTTP, which go on as what they came as.

    With mutual TLS there is one for each version, since the callee's sidecar is told which it is.
    """
    found: list[tuple[tuple[str, ...], tuple[JsonObject, ...]]] = [(PLAIN_HTTP, ())]
    if registry.mutual_tls:
        offered = {"http/1.1": tls.OFFERED_HTTP1, "h2c": tls.OFFERED_HTTP2}
        found = [((p,), (tls.offering(alpn),)) for p, alpn in offered.items()]
    return [
        {
            "filter_chain_match": {
                "transport_protocol": "raw_buffer",
                "application_protocols": list(protocols),
            },
            "filters": [http_filter(f"outbound_{stat_name}", route, filters=filters)],
        }
        for protocols, filters in found
    ]
