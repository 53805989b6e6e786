"""Routes of a Service's port, with the VirtualService that applies to it.

Source: Istio, pilot/pkg/networking/core/route (route.go, retry/retry.go).
"""

from __future__ import annotations

from collections.abc import Iterator
from http import HTTPStatus

from whichpod.manifest.hosts import full_host
from whichpod.manifest.kinds import Service, ServicePort
from whichpod.manifest.traffic import (
    ConsistentHash,
    HttpMatch,
    HttpRoute,
    Retries,
    RouteDestination,
    StringMatch,
    VirtualService,
)
from whichpod.mesh.clusters import outbound_name
from whichpod.mesh.pieces import JsonObject, duration, typed
from whichpod.mesh.registry import Registry
from whichpod.mesh.rules import policy_for, rule_for, virtual_for

RETRY_ON = "connect-failure,refused-stream,unavailable,cancelled,retriable-status-codes"
"""Istio's default; since 1.24 its list of retriable status codes is empty, so that 503 is not among them."""
_PREVIOUS_HOSTS: list[JsonObject] = [
    {
        "name": "envoy.retry_host_predicates.previous_hosts",
        "typed_config": typed("retry.host.previous_hosts.v3.PreviousHostsPredicate"),
    }
]


def route_configuration(
    registry: Registry,
    service: Service,
    port: ServicePort,
    name: str,
    namespace: str,
    *,
    proxyless: bool = False,
) -> JsonObject:
    """The route configuration of one Service's port, for callers in `namespace`.

    It answers every authority, as istiod's does where a listener belongs to one Service.
    """
    return {
        "name": name,
        "virtual_hosts": [
            {
                "name": f"{service.host}:{port.port}",
                "domains": ["*"],
                "routes": list(_routes(registry, service, port, namespace, proxyless)),
            }
        ],
        "validate_clusters": False,
    }


def _routes(
    registry: Registry, service: Service, port: ServicePort, namespace: str, proxyless: bool
) -> Iterator[JsonObject]:
    virtual = virtual_for(registry.bundle, service, namespace)
    if virtual is None:
        yield _default(registry, service, port, namespace, proxyless)
        return
    for route in virtual.routes:
        action = _action(registry, virtual, route, port, namespace, proxyless)
        matches = [m for m in route.matches if m.port in (0, port.port)]
        if route.matches and not matches:
            continue
        for match in matches or [HttpMatch()]:
            found: JsonObject = {"match": _match(match), "route": action}
            if route.name:
                found["name"] = route.name
            yield found


def _default(
    registry: Registry, service: Service, port: ServicePort, namespace: str, proxyless: bool
) -> JsonObject:
    keys = hash_keys(registry, service, port.port, "", namespace)
    action: JsonObject = {"cluster": outbound_name(port.port, "", service.host), **_timeout(None, proxyless)}
    if retry := retry_policy(None, hashed=bool(keys)):
        action["retry_policy"] = retry
    if keys:
        action["hash_policy"] = keys
    return {"name": "default", "match": {"prefix": "/"}, "route": action}


def _action(
    registry: Registry,
    virtual: VirtualService,
    route: HttpRoute,
    port: ServicePort,
    namespace: str,
    proxyless: bool,
) -> JsonObject:
    named = [(_cluster(registry, virtual, d, port), d) for d in route.destinations]
    keys: list[JsonObject] = []
    for (service, number, _), d in named:
        if service:
            keys += [k for k in hash_keys(registry, service, number, d.subset, namespace) if k not in keys]
    action: JsonObject = _timeout(route.timeout_s, proxyless)
    if len(named) == 1:
        action["cluster"] = named[0][0][2]
    else:
        weighted = [{"name": name, "weight": d.weight} for (_, _, name), d in named if d.weight]
        action["weighted_clusters"] = {"clusters": weighted}
    if retry := retry_policy(route.retries, hashed=bool(keys)):
        action["retry_policy"] = retry
    if keys:
        action["hash_policy"] = keys
    return action


def _cluster(
    registry: Registry, virtual: VirtualService, to: RouteDestination, port: ServicePort
) -> tuple[Service | None, int, str]:
    """A destination's Service, port number and cluster. Unnamed, a Service's only port is meant."""
    host = full_host(to.host, virtual.meta.namespace)
    service = next((s for s in registry.bundle.services if s.host == host), None)
    number = to.port
    if not number:
        number = service.ports[0].port if service and len(service.ports) == 1 else port.port
    return service, number, outbound_name(number, to.subset, host)


def _timeout(seconds: float | None, proxyless: bool) -> JsonObject:
    """No timeout unless one is given; a client's grpc-timeout holds within it. gRPC reads another field."""
    text = duration(seconds or 0)
    if proxyless:
        return {"timeout": text, "max_stream_duration": {"max_stream_duration": text}}
    return {"timeout": text, "max_stream_duration": {"grpc_timeout_header_max": text}}


def retry_policy(retries: Retries | None, *, hashed: bool) -> JsonObject | None:
    """Istio's default is 2 retries on another host; `attempts: 0` turns them off.

    With a consistent hash the same host is tried again, since it is the one that is meant.
    """
    if retries is not None and retries.attempts == 0:
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


def hash_keys(
    registry: Registry, service: Service, port: int, subset: str, namespace: str
) -> list[JsonObject]:
    """The route's hash policy, which holds the key of a consistent hash; empty without one."""
    rule = rule_for(registry.bundle, service, namespace)
    chosen = next((s for s in rule.subsets if s.name == subset), None) if rule else None
    lb = policy_for(rule, port, chosen).load_balancer
    return [hash_key(lb.consistent_hash)] if lb and lb.consistent_hash else []


def hash_key(h: ConsistentHash) -> JsonObject:
    """What is hashed."""
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


def _match(match: HttpMatch) -> JsonObject:
    found: JsonObject = {"prefix": "/"}
    if match.uri:
        key = {"exact": "path", "prefix": "prefix"}.get(match.uri.kind)
        found = {key: match.uri.value} if key else {"safe_regex": {"regex": match.uri.value}}
    headers = [_header(name, text) for name, text in match.headers]
    headers += [_header(name, text) | {"invert_match": True} for name, text in match.without_headers]
    if match.method:
        headers.append(_header(":method", match.method))
    if match.authority:
        headers.append(_header(":authority", match.authority))
    return found | ({"headers": headers} if headers else {})


def _header(name: str, text: StringMatch) -> JsonObject:
    if text.kind == "present" or not text.value:
        return {"name": name, "present_match": True}
    if text.kind == "regex":
        return {"name": name, "string_match": {"safe_regex": {"regex": text.value}}}
    return {"name": name, "string_match": {text.kind: text.value}}
