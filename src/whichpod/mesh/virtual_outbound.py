"""A caller's sidecar to which all connections of its pod are redirected, as istio-init's rules do it.

Source: Istio, pilot/pkg/networking/core, listener_builder.go (virtualOutbound), listener.go
(buildSidecarOutboundListener), httproute.go (generateVirtualHostDomains).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from whichpod.manifest.kinds import Service, ServicePort
from whichpod.manifest.traffic import ConnectionPool
from whichpod.mesh.caller import Caller
from whichpod.mesh.chains import PLAIN_HTTP
from whichpod.mesh.clusters import base_cluster, outbound_cluster
from whichpod.mesh.listeners import chained_listener, http_filter, listener, tcp_filter
from whichpod.mesh.mutual_tls import ORIGINAL_DST, metadata, secured
from whichpod.mesh.outbound import connection_filters, destinations, sidecar_ports, sniffed_chains
from whichpod.mesh.pieces import JsonObject
from whichpod.mesh.protocol import Wire
from whichpod.mesh.registry import Registry
from whichpod.mesh.resources import Resources
from whichpod.mesh.routes import route_configuration

PORT = 15001
"""Where the pod's outgoing connections are redirected to."""
ANY = "0.0.0.0"
PASSTHROUGH, BLACK_HOLE = "PassthroughCluster", "BlackHoleCluster"

ClusterIp = Callable[[Service], str]
"""The ClusterIP of a Service that isn't headless."""


def virtual_outbound(
    registry: Registry,
    cluster_ip: ClusterIp,
    *,
    namespace: str = "default",
    own_address: str = "",
    caller: Caller | None = None,
) -> Resources:
    """What istiod gives the sidecar of a pod in `namespace` for the connections that go out; `caller`
    tells more of it.

    All come in at port 15001; each is handed to the listener of its original destination, none of which binds
    its port: one for each port number that Services use for HTTP, whose routes go by authority; one for each
    ClusterIP and port of other protocols; one for each pod of a headless Service of other protocols, but for
    the pod itself, at `own_address`. What has no listener goes on to where it was going.

    Headless Services, and those whose `loadBalancer` is PASSTHROUGH, are not balanced: their connections go
    where they were going.
    """
    caller = caller or Caller(namespace)
    clusters: dict[str, JsonObject] = {
        PASSTHROUGH: original_dst(PASSTHROUGH),
        BLACK_HOLE: black_hole(),
    }
    endpoints: dict[str, JsonObject] = {}
    listeners: dict[str, JsonObject] = {"virtualOutbound": _catch_all()}
    routes: dict[str, JsonObject] = {}
    for service, port, kind in sidecar_ports(registry):
        for to in destinations(registry, service, port, caller):
            cluster = outbound_cluster(
                to.name, kind, to.policy, passing=service.headless, weighted=to.preference.weighted
            )
            clusters[to.name] = secured(registry, service, port, kind, to.policy, to.subset, cluster)
            if cluster["type"] != ORIGINAL_DST:
                takes = metadata(registry, service, port, to.subset, caller)
                endpoints[to.name] = to.assignment(registry, takes)
        if kind in (Wire.HTTP, Wire.HTTP2):
            shared = f"{ANY}_{port.port}"
            listeners.setdefault(shared, _by_authority(shared, port.port))
            continue
        addresses = _addresses(registry, service, port, cluster_ip, own_address)
        for address in addresses:
            name = f"{address}_{port.port}"
            listeners[name] = _of_one(registry, service, port, kind, (address, port.port), caller)
        if kind is Wire.SNIFFED:
            route = _route(service, port)
            routes[route] = route_configuration(registry, service, port, route, caller)
    for number in {port.port for _, port, kind in sidecar_ports(registry) if kind in (Wire.HTTP, Wire.HTTP2)}:
        routes[str(number)] = _routes(registry, number, cluster_ip, caller)
    return Resources(clusters, endpoints, listeners, routes)


def original_dst(name: str) -> JsonObject:
    """A cluster that passes on what comes to where it was going, as what it came."""
    found = base_cluster(name, Wire.SNIFFED, ConnectionPool())
    return found | {"type": ORIGINAL_DST, "lb_policy": "CLUSTER_PROVIDED"}


def black_hole() -> JsonObject:
    """A cluster without endpoints, which closes connections."""
    return {"name": BLACK_HOLE, "type": "STATIC", "connect_timeout": "10s"}


def black_hole_chain(port: int) -> JsonObject:
    """The chain for connections to the redirection's own port, which would go round in circles."""
    return {"filter_chain_match": {"destination_port": port}, "filters": [tcp_filter(BLACK_HOLE)]}


def _catch_all() -> JsonObject:
    found = listener("virtualOutbound", (ANY, PORT), "OUTBOUND", [tcp_filter(PASSTHROUGH)])
    found["filter_chains"].insert(0, black_hole_chain(PORT))
    return found | {"use_original_dst": True}


def _by_authority(name: str, port: int) -> JsonObject:
    """The listener of all Services that use a port for HTTP. What isn't HTTP is passed on."""
    chain = {
        "filter_chain_match": {"transport_protocol": "raw_buffer", "application_protocols": list(PLAIN_HTTP)},
        "filters": [http_filter(f"outbound_{name}", str(port))],
    }
    found = chained_listener(name, (ANY, port), "OUTBOUND", [chain], default=[tcp_filter(PASSTHROUGH)])
    return found | {"bind_to_port": False}


def _of_one(
    registry: Registry,
    service: Service,
    port: ServicePort,
    kind: Wire,
    address: tuple[str, int],
    caller: Caller,
) -> JsonObject:
    """The listener of one Service's port, or of one pod of a headless one."""
    name = f"{address[0]}_{address[1]}"
    tcp = connection_filters(registry, service, port, caller)
    if kind is Wire.TCP:
        found = listener(name, address, "OUTBOUND", tcp)
    else:
        chains = sniffed_chains(registry, name, _route(service, port))
        found = chained_listener(name, address, "OUTBOUND", chains, default=tcp)
    return found | {"bind_to_port": False}


def _route(service: Service, port: ServicePort) -> str:
    """The routes of a sniffed port, which are its own."""
    return f"{service.host}:{port.port}"


def _addresses(
    registry: Registry, service: Service, port: ServicePort, cluster_ip: ClusterIp, own_address: str
) -> list[str]:
    if not service.headless:
        return [cluster_ip(service)]
    return [pod.address for pod, _ in registry.behind(service, port) if pod.address != own_address]


def _routes(registry: Registry, number: int, cluster_ip: ClusterIp, caller: Caller) -> JsonObject:
    """The routes of a port number: a virtual host per Service that uses it for HTTP or lets it be sniffed,
    and one that passes on what names none."""
    hosts = []
    for service, port, kind in sidecar_ports(registry):
        if port.port == number and kind is not Wire.TCP:
            (host,) = route_configuration(registry, service, port, "", caller)["virtual_hosts"]
            hosts.append(host | {"domains": list(_domains(service, cluster_ip, caller.namespace))})
    action = {
        "cluster": PASSTHROUGH,
        "timeout": "0s",
        "max_stream_duration": {"grpc_timeout_header_max": "0s"},
    }
    anything = {"name": "allow_any", "match": {"prefix": "/"}, "route": action}
    return {
        "name": str(number),
        "virtual_hosts": [*hosts, {"name": "allow_any", "domains": ["*"], "routes": [anything]}],
        "validate_clusters": False,
        "ignore_port_in_host_matching": True,
    }


def _domains(service: Service, cluster_ip: ClusterIp, namespace: str) -> Iterator[str]:
    """The authorities that mean a Service. Their port is not looked at: it is the listener's."""
    name, own = service.meta.name, service.meta.namespace
    names = [service.host, *([name] if own == namespace else []), f"{name}.{own}", f"{name}.{own}.svc"]
    yield from names
    if service.headless:
        # Names of single pods.
        yield from (f"*.{n}" for n in names)
    else:
        yield cluster_ip(service)
