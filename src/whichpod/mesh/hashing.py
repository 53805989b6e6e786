"""The key of a consistent hash, which sits on the route, or on the TCP proxy.

Source: Istio, pilot/pkg/networking/core/route/route.go (hashForService, hashForHTTPDestination) and
networkfilter.go (maybeSetHashPolicy). Note that a port's settings are looked at in another way here than for
the cluster.
"""

from __future__ import annotations

from whichpod.manifest.kinds import Service, ServicePort
from whichpod.manifest.routing import RouteDestination
from whichpod.manifest.traffic import ConsistentHash, TrafficPolicy
from whichpod.mesh.caller import Caller
from whichpod.mesh.pieces import JsonObject, duration
from whichpod.mesh.registry import Registry
from whichpod.mesh.rules import rule_for


def hash_of_port(
    registry: Registry, service: Service, port: ServicePort, caller: Caller
) -> JsonObject | None:
    """The key for a Service's port without a VirtualService: the port's, else the destination's."""
    rule = rule_for(registry.bundle, service, caller.namespace, caller.labels)
    policy = rule.policy if rule else None
    return _key(_of_port(policy, port.port) or _hash(policy))


def hash_of_destination(
    registry: Registry, service: Service, to: RouteDestination, caller: Caller
) -> JsonObject | None:
    """The key for a route's destination: its subset's, else that of the port that it names, else the
    destination's."""
    rule = rule_for(registry.bundle, service, caller.namespace, caller.labels)
    if rule is None:
        return None
    subset = next((s.policy for s in rule.subsets if s.name == to.subset), None)
    return _key(
        _of_port(subset, to.port) or _hash(subset) or _of_port(rule.policy, to.port) or _hash(rule.policy)
    )


def hashed_by_source(registry: Registry, service: Service, caller: Caller) -> bool:
    """Whether connections to a TCP port are hashed by their source; settings of ports don't count."""
    rule = rule_for(registry.bundle, service, caller.namespace, caller.labels)
    found = _hash(rule.policy if rule else None)
    return found is not None and found.use_source_ip


def _hash(policy: TrafficPolicy | None) -> ConsistentHash | None:
    return policy.load_balancer.consistent_hash if policy and policy.load_balancer else None


def _of_port(policy: TrafficPolicy | None, port: int) -> ConsistentHash | None:
    return next((_hash(own) for number, own in policy.ports if number == port), None) if policy else None


def _key(h: ConsistentHash | None) -> JsonObject | None:
    """RouteAction.HashPolicy."""
    if h is None:
        return None
    if h.header:
        return {"header": {"header_name": h.header}}
    if h.cookie:
        cookie: JsonObject = {"name": h.cookie.name}
        if h.cookie.ttl_s is not None:
            cookie["ttl"] = duration(h.cookie.ttl_s)
        if h.cookie.path:
            cookie["path"] = h.cookie.path
        return {"cookie": cookie}
    if h.query_parameter:
        return {"query_parameter": {"name": h.query_parameter}}
    return {"connection_properties": {"source_ip": h.use_source_ip}}
