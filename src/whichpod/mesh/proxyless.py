"""gRPC clients that speak xDS themselves (`xds:///`), as istiod's generator for them serves them.

Source: Istio, pilot/pkg/networking/grpcgen; gRPC proposals A27 (xDS), A42 (ring hash).
"""

from __future__ import annotations

from whichpod.manifest.kinds import Note, Service
from whichpod.manifest.traffic import Simple, TrafficPolicy
from whichpod.mesh.clusters import eds, hash_balancer, load_assignment, outbound_name
from whichpod.mesh.listeners import ROUTER
from whichpod.mesh.outbound import destinations, sidecar_ports
from whichpod.mesh.pieces import JsonObject, ads, typed
from whichpod.mesh.registry import Registry
from whichpod.mesh.resources import Resources
from whichpod.mesh.routes import route_configuration


def proxyless(registry: Registry, *, namespace: str = "default") -> Resources:
    """Resources for gRPC clients in `namespace`, which dial `xds:///SERVICE:PORT`.

    SERVICE is the full name; within the namespace also `echo`, `echo.default` and `echo.default.svc`. Of a
    DestinationRule only `consistentHash` applies: istiod leaves every other balancer at ROUND_ROBIN here,
    and gRPC refuses LEAST_REQUEST, RANDOM and MAGLEV, so Maglev becomes a ring. Headless Services are
    balanced like others.
    """
    clusters: dict[str, JsonObject] = {}
    endpoints: dict[str, JsonObject] = {}
    listeners: dict[str, JsonObject] = {}
    routes: dict[str, JsonObject] = {}
    for service, port, _ in sidecar_ports(registry):
        for name, policy, subset in destinations(registry, service, port, namespace):
            clusters[name] = {"name": name} | eds(name) | _balancer(policy)
            labels = subset.labels if subset else None
            endpoints[name] = load_assignment(name, registry.behind(service, port, labels))
        route = outbound_name(port.port, "", service.host)
        routes[route] = route_configuration(registry, service, port, route, namespace, proxyless=True)
        for host in _names(service, namespace):
            name = f"{host}:{port.port}"
            listeners[name] = {"name": name, "api_listener": {"api_listener": _manager(route)}}
    return Resources(clusters, endpoints, listeners, routes)


def remarks(registry: Registry, *, namespace: str = "default") -> tuple[Note, ...]:
    """Where a DestinationRule's balancer is not what a proxyless client does."""
    found = {}
    for service, port, _ in sidecar_ports(registry):
        for _, policy, _ in destinations(registry, service, port, namespace):
            lb = policy.load_balancer
            if lb is None:
                continue
            if lb.consistent_hash and lb.consistent_hash.algorithm == "maglev":
                message = "maglev is a ring hash in proxyless gRPC clients, which have no Maglev."
            elif not lb.consistent_hash and lb.simple not in (Simple.UNSPECIFIED, Simple.ROUND_ROBIN):
                message = (
                    f"loadBalancer {lb.simple} does not reach proxyless gRPC clients: Istio leaves them at "
                    "ROUND_ROBIN."
                )
            else:
                continue
            found[lb.where] = Note(lb.where.file, lb.where.line, message)
    return tuple(found.values())


def _balancer(policy: TrafficPolicy) -> JsonObject:
    lb = policy.load_balancer
    if lb is None or lb.consistent_hash is None:
        return {"lb_policy": "ROUND_ROBIN"}
    if lb.consistent_hash.algorithm == "maglev":
        return {"lb_policy": "RING_HASH"}
    return hash_balancer(lb.consistent_hash)


def _names(service: Service, namespace: str) -> tuple[str, ...]:
    name, own = service.meta.name, service.meta.namespace
    if own != namespace:
        return (service.host,)
    return (service.host, name, f"{name}.{own}", f"{name}.{own}.svc")


def _manager(route: str) -> JsonObject:
    return typed(
        "filters.network.http_connection_manager.v3.HttpConnectionManager",
        stat_prefix=route,
        rds={"config_source": ads(), "route_config_name": route},
        http_filters=[ROUTER],
    )
