"""gRPC clients that speak xDS themselves (`xds:///`), as istiod's generator for them serves them.

Source: Istio, pilot/pkg/networking/grpcgen; gRPC proposals A27 (xDS), A42 (ring hash).
"""

from __future__ import annotations

from whichpod.manifest.kinds import Note, Service
from whichpod.manifest.traffic import LoadBalancer, Simple, TrafficPolicy
from whichpod.mesh.caller import Caller
from whichpod.mesh.clusters import eds, hash_balancer, outbound_name
from whichpod.mesh.listeners import FAULT_FILTER, ROUTER
from whichpod.mesh.outbound import destinations, sidecar_ports
from whichpod.mesh.pieces import JsonObject, ads, typed
from whichpod.mesh.registry import Registry
from whichpod.mesh.resources import Resources
from whichpod.mesh.routes import route_configuration
from whichpod.mesh.rules import virtuals_for


def proxyless(registry: Registry, *, namespace: str = "default", caller: Caller | None = None) -> Resources:
    """Resources for gRPC clients in `namespace`, or for a `caller` of whom more is known, which dial
    `xds:///SERVICE:PORT`.

    SERVICE is the full name; within the namespace also `echo`, `echo.default` and `echo.default.svc`. Of a
    DestinationRule's balancers only `consistentHash` applies: istiod leaves every other at ROUND_ROBIN here,
    and gRPC refuses LEAST_REQUEST, RANDOM and MAGLEV, so Maglev becomes a ring. Headless Services are
    balanced like others.
    """
    caller = caller or Caller(namespace)
    clusters: dict[str, JsonObject] = {}
    endpoints: dict[str, JsonObject] = {}
    listeners: dict[str, JsonObject] = {}
    routes: dict[str, JsonObject] = {}
    for service, port, _ in sidecar_ports(registry):
        for to in destinations(registry, service, port, caller):
            clusters[to.name] = {"name": to.name} | eds(to.name) | _balancer(to.policy)
            endpoints[to.name] = to.assignment(registry)
        route = outbound_name(port.port, "", service.host)
        routes[route] = route_configuration(registry, service, port, route, caller, proxyless=True)
        for host in _names(service, caller.namespace):
            name = f"{host}:{port.port}"
            listeners[name] = {"name": name, "api_listener": {"api_listener": _manager(route)}}
    return Resources(clusters, endpoints, listeners, routes)


def remarks(registry: Registry, *, namespace: str = "default") -> tuple[Note, ...]:
    """Where a DestinationRule or a route is not what a proxyless client does."""
    caller = Caller(namespace)
    found = {}
    for service, port, _ in sidecar_ports(registry):
        for to in destinations(registry, service, port, caller):
            lb = to.policy.load_balancer
            if lb and (message := _remark(lb)):
                found[lb.where] = message
        for route in (r for v in virtuals_for(registry.bundle, service, namespace) for r in v.routes):
            named = {"mirrors": route.mirrors, "rewrite": route.rewrite, "headers": route.headers}
            if given := [name for name, value in named.items() if value]:
                found[route.where] = (
                    f"{' and '.join(given)} of a route: gRPC has nothing of the kind for proxyless clients."
                )
    return tuple(Note(where.file, where.line, message) for where, message in found.items())


def _remark(lb: LoadBalancer) -> str:
    if lb.consistent_hash and lb.consistent_hash.algorithm == "maglev":
        return "maglev is a ring hash in proxyless gRPC clients, which have no Maglev."
    if not lb.consistent_hash and lb.simple not in (Simple.UNSPECIFIED, Simple.ROUND_ROBIN):
        return (
            f"loadBalancer {lb.simple} does not reach proxyless gRPC clients: Istio leaves them at "
            "ROUND_ROBIN."
        )
    return ""


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
        http_filters=[FAULT_FILTER, ROUTER],
    )
