"""Routes of a Service's port, with the VirtualService that applies to it.

Source: Istio, pilot/pkg/networking/core/route (route.go, retry/retry.go).
"""

from __future__ import annotations

from collections.abc import Iterator
from http import HTTPStatus

from whichpod.manifest.hosts import full_host
from whichpod.manifest.kinds import Service, ServicePort
from whichpod.manifest.routing import HttpRoute, Mirror, Retries, RouteDestination, VirtualService
from whichpod.mesh.caller import Caller
from whichpod.mesh.changes import authority, fault_filter, header_changes, millionths, rewritten
from whichpod.mesh.clusters import outbound_name
from whichpod.mesh.hashing import hash_of_destination, hash_of_port
from whichpod.mesh.matching import ANYTHING, applies, catches_all, route_match
from whichpod.mesh.pieces import JsonObject, duration, typed
from whichpod.mesh.registry import Registry
from whichpod.mesh.rules import virtuals_for

RETRY_ON = "connect-failure,refused-stream,unavailable,cancelled,retriable-status-codes"
"""Istio's default; since 1.24 its list of retriable status codes is empty, so that 503 is not among them."""
_PREVIOUS_HOSTS: list[JsonObject] = [
    {
        "name": "envoy.retry_host_predicates.previous_hosts",
        "typed_config": typed("retry.host.previous_hosts.v3.PreviousHostsPredicate"),
    }
]
_PREVIOUS_PRIORITIES: JsonObject = {
    "name": "envoy.retry_priorities.previous_priorities",
    "typed_config": typed(
        "retry.priority.previous_priorities.v3.PreviousPrioritiesConfig", update_frequency=2
    ),
}


def route_configuration(
    registry: Registry,
    service: Service,
    port: ServicePort,
    name: str,
    caller: Caller,
    *,
    proxyless: bool = False,
) -> JsonObject:
    """The route configuration of one Service's port, for a caller.

    It answers every authority, as istiod's does where a listener belongs to one Service.
    """
    return {
        "name": name,
        "virtual_hosts": [
            {
                "name": f"{service.host}:{port.port}",
                "domains": ["*"],
                "routes": _routes(registry, service, port, caller, proxyless),
            }
        ],
        "validate_clusters": False,
    }


def _routes(
    registry: Registry, service: Service, port: ServicePort, caller: Caller, proxyless: bool
) -> list[JsonObject]:
    for virtual in virtuals_for(registry.bundle, service, caller.namespace):
        # One with no route for this port and this caller is none.
        if found := list(_routed(registry, virtual, port, caller, proxyless)):
            return found
    return [_default(registry, service, port, caller, proxyless)]


def _routed(
    registry: Registry, virtual: VirtualService, port: ServicePort, caller: Caller, proxyless: bool
) -> Iterator[JsonObject]:
    for route in virtual.routes:
        common = _common(registry, virtual, route, port, caller, proxyless)
        for match in route.matches or (None,):
            if match and not applies(match, port.port, caller):
                continue
            found: JsonObject = {"match": route_match(match, gateway_api=virtual.gateway_api)}
            name = f"{route.name}.{match.name}" if match and match.name else route.name
            if name:
                found["name"] = name
            yield found | common
            if catches_all(found["match"]):
                return


def _default(
    registry: Registry, service: Service, port: ServicePort, caller: Caller, proxyless: bool
) -> JsonObject:
    action: JsonObject = {"cluster": outbound_name(port.port, "", service.host), **_timeout(None, proxyless)}
    action["retry_policy"] = retry_policy(None, hashed=False)
    if key := hash_of_port(registry, service, port, caller):
        action["hash_policy"] = [key]
    return {"name": "default", "match": dict(ANYTHING), "route": action}


def _common(
    registry: Registry,
    virtual: VirtualService,
    route: HttpRoute,
    port: ServicePort,
    caller: Caller,
    proxyless: bool,
) -> JsonObject:
    """What all matches of a route share."""
    if not route.destinations:
        # The Gateway API asks for status 500 where no backend has a weight.
        return {"direct_response": {"status": 500}}
    only = route.destinations[0] if len(route.destinations) == 1 else None
    found = header_changes(route.headers, only.headers if only else None)
    found |= fault_filter(route.fault)
    found["route"] = _action(registry, virtual, route, port, caller, proxyless)
    return found


def _action(
    registry: Registry,
    virtual: VirtualService,
    route: HttpRoute,
    port: ServicePort,
    caller: Caller,
    proxyless: bool,
) -> JsonObject:
    named = [(*_cluster(registry, virtual, d, port), d) for d in route.destinations]
    keys: list[JsonObject] = []
    for service, _, d in named:
        if service and (len(named) == 1 or d.weight):
            key = hash_of_destination(registry, service, d, caller)
            keys += [key] if key else []
    action: JsonObject = _timeout(route.timeout_s, proxyless)
    if virtual.gateway_api:
        action["cluster_not_found_response_code"] = "INTERNAL_SERVER_ERROR"
    host = (route.rewrite.authority if route.rewrite else "") or authority(route.headers)
    if len(named) == 1:
        ((_, action["cluster"], d),) = named
        host = host or authority(d.headers)
    else:
        weighted = [_weighted(name, d) for _, name, d in named if d.weight]
        action["weighted_clusters"] = {"clusters": weighted}
    action |= rewritten(route.rewrite)
    if host:
        action["host_rewrite_literal"] = host
    if mirrors := [_mirror(registry, virtual, m, port) for m in route.mirrors if m.percent > 0]:
        action["request_mirror_policies"] = mirrors
    if retry := retry_policy(route.retries, hashed=len(named) == 1 and bool(keys)):
        action["retry_policy"] = retry
    if keys:
        action["hash_policy"] = keys
    return action


def _weighted(name: str, d: RouteDestination) -> JsonObject:
    found: JsonObject = {"name": name, "weight": d.weight, **header_changes(d.headers)}
    if host := authority(d.headers):
        found["host_rewrite_literal"] = host
    return found


def _mirror(registry: Registry, virtual: VirtualService, mirror: Mirror, port: ServicePort) -> JsonObject:
    _, name = _cluster(registry, virtual, mirror.to, port)
    return {
        "cluster": name,
        "runtime_fraction": {"default_value": millionths(mirror.percent)},
        "trace_sampled": False,
    }


def _cluster(
    registry: Registry, virtual: VirtualService, to: RouteDestination, port: ServicePort
) -> tuple[Service | None, str]:
    """A destination's Service and cluster. Where no port is named, a Service's only one is meant."""
    host = full_host(to.host, virtual.meta.namespace)
    service = next((s for s in registry.bundle.services if s.host == host), None)
    number = to.port
    if not number:
        number = service.ports[0].port if service and len(service.ports) == 1 else port.port
    return service, outbound_name(number, to.subset, host)


def _timeout(seconds: float | None, proxyless: bool) -> JsonObject:
    """No timeout unless one is given; a client's grpc-timeout holds within it. gRPC reads another field."""
    text = duration(seconds or 0)
    limit = "max_stream_duration" if proxyless else "grpc_timeout_header_max"
    return {"timeout": text, "max_stream_duration": {limit: text}}


def retry_policy(retries: Retries | None, *, hashed: bool) -> JsonObject | None:
    """Istio's default, two retries elsewhere, changed by what the route says; None turns retries off.

    `hashed`: a route to one destination with a consistent hash; its retries stay with the host that the key
    means.
    """
    if retries and not retries.attempts:
        return None
    found: JsonObject = {
        "retry_on": RETRY_ON,
        "num_retries": retries.attempts if retries else 2,
        "host_selection_retry_max_attempts": 5,
    }
    elsewhere = not hashed
    if retries:
        if retries.retry_on:
            found.update(_retry_on(retries.retry_on))
        if retries.per_try_timeout_s is not None:
            found["per_try_timeout"] = duration(retries.per_try_timeout_s)
        if retries.ignore_previous_hosts is not None:
            elsewhere = retries.ignore_previous_hosts
        if retries.remote_localities:
            found["retry_priority"] = _PREVIOUS_PRIORITIES
        if retries.backoff_s is not None:
            found["retry_back_off"] = {"base_interval": duration(retries.backoff_s)}
    if elsewhere:
        found["retry_host_predicate"] = _PREVIOUS_HOSTS
    return found


def _retry_on(text: str) -> JsonObject:
    """Status codes among the conditions become retriable status codes."""
    parts = [p.strip() for p in text.split(",") if p.strip()]
    known = {str(s.value) for s in HTTPStatus}
    codes = [int(p) for p in parts if p in known]
    named = [p for p in parts if p not in known]
    if codes and "retriable-status-codes" not in named:
        named.append("retriable-status-codes")
    found: JsonObject = {"retry_on": ",".join(named)}
    return found | ({"retriable_status_codes": codes} if codes else {})
