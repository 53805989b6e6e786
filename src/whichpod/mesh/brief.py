"""What a proxy's configuration comes to, in words: of xDS resources as JSON, ours or Envoy's own dump."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from whichpod.mesh.clusters import HTTP_OPTIONS
from whichpod.mesh.pieces import MOST, JsonObject
from whichpod.model.lab import ClusterBrief, ListenerBrief, RouteBrief, SidecarConfig

_HTTP = "envoy.filters.network.http_connection_manager"
_TCP = "envoy.filters.network.tcp_proxy"


def config_brief(dump: JsonObject, *, owner: str) -> SidecarConfig:
    """What Envoy's /config_dump?include_eds says, less what its bootstrap brings."""
    found: dict[str, list[JsonObject]] = {}
    for part in dump.get("configs", ()):
        for name, value in part.items():
            if name.startswith("dynamic_") and isinstance(value, list):
                found.setdefault(name, []).extend(value)
    endpoints = {
        e["endpoint_config"].get("cluster_name", ""): e["endpoint_config"]
        for e in found.get("dynamic_endpoint_configs", ())
        if "endpoint_config" in e
    }
    clusters = [c["cluster"] for c in found.get("dynamic_active_clusters", ())]
    listeners = [
        li["active_state"]["listener"] for li in found.get("dynamic_listeners", ()) if "active_state" in li
    ]
    routes = [r["route_config"] for r in found.get("dynamic_route_configs", ())]
    own = [r for li in listeners for r in _own_routes(li)]
    refused = [
        f"{li.get('name', '')}: {li['error_state'].get('details', '')}"
        for li in found.get("dynamic_listeners", ())
        if "error_state" in li
    ]
    return SidecarConfig(
        owner=owner,
        listeners=tuple(_listener(li) for li in listeners),
        routes=tuple(_unlike(b for r in (*routes, *own) for b in _routes(r))),
        clusters=tuple(
            ClusterBrief(
                c["name"],
                cluster_brief(c),
                tuple(_endpoints(endpoints.get(c["name"]) or c.get("load_assignment", {}))),
            )
            for c in clusters
        ),
        refused=tuple(refused),
    )


def cluster_brief(cluster: JsonObject) -> str:
    """What a cluster does: its balancer, its limits, whom it ejects, whether it speaks TLS."""
    parts = [_balancer(cluster), *_pool(cluster)]
    if "outlier_detection" in cluster:
        parts.append(_outliers(cluster["outlier_detection"]))
    parts.append(_tls(cluster))
    return ", ".join(p for p in parts if p)


def _balancer(cluster: JsonObject) -> str:
    if cluster.get("type") == "ORIGINAL_DST":
        return "the pod that was dialled (ORIGINAL_DST)"
    policy = str(cluster.get("lb_policy", "ROUND_ROBIN"))
    for name in ("round_robin_lb_config", "least_request_lb_config"):
        if slow := cluster.get(name, {}).get("slow_start_config"):
            return f"{policy}, warm-up {slow.get('slow_start_window')}"
    return policy


def _pool(cluster: JsonObject) -> Iterator[str]:
    options = cluster.get("typed_extension_protocol_options", {}).get(HTTP_OPTIONS, {})
    common = options.get("common_http_protocol_options", {})
    if most := common.get("max_requests_per_connection"):
        yield f"at most {_number(most)} requests per connection"
    if idle := common.get("idle_timeout"):
        yield f"idle after {idle}"
    for threshold in cluster.get("circuit_breakers", {}).get("thresholds", ()):
        for name, value in threshold.items():
            if name.startswith("max_") and _number(value) != MOST:
                yield f"{name.replace('_', ' ')} {_number(value)}"
    if cluster.get("connect_timeout", "10s") != "10s":
        yield f"connects within {cluster['connect_timeout']}"


def _outliers(o: JsonObject) -> str:
    """Envoy's defaults are said too (config/cluster/v3/outlier_detection.proto)."""
    causes = []
    if _number(o.get("enforcing_consecutive_5xx", 100)):
        causes.append(f"{_number(o.get('consecutive_5xx', 5))} consecutive 5xx")
    if _number(o.get("enforcing_consecutive_gateway_failure", 0)):
        causes.append(f"{_number(o.get('consecutive_gateway_failure', 5))} consecutive gateway errors")
    return (
        f"ejects after {' or '.join(causes) or 'nothing'}, for {o.get('base_ejection_time', '30s')}, "
        f"up to {_number(o.get('max_ejection_percent', 10))} % of the pods, looks every "
        f"{o.get('interval', '10s')}"
    )


def _tls(cluster: JsonObject) -> str:
    if "transport_socket_matches" in cluster:
        return "mutual TLS to pods that take it"
    if "transport_socket" in cluster:
        return "mutual TLS to all pods"
    return ""


def _endpoints(assignment: JsonObject) -> Iterator[str]:
    for locality in assignment.get("endpoints", ()):
        zone = locality.get("locality", {}).get("zone", "")
        for endpoint in locality.get("lb_endpoints", ()):
            inner = endpoint.get("endpoint", {})
            words = [inner.get("hostname", ""), _address(inner.get("address", {})), zone]
            health = endpoint.get("health_status", "HEALTHY")
            yield " ".join(w for w in (*words, "" if health == "HEALTHY" else health.lower()) if w)


def _listener(listener: JsonObject) -> ListenerBrief:
    chains = [*listener.get("filter_chains", ())]
    if "default_filter_chain" in listener:
        chains.append(listener["default_filter_chain"])
    kinds = dict.fromkeys(_chain(c) for c in chains)
    return ListenerBrief(listener.get("name", ""), _address(listener.get("address", {})), "; ".join(kinds))


def _chain(chain: JsonObject) -> str:
    match = chain.get("filter_chain_match", {})
    tls = "TLS, " if match.get("transport_protocol") == "tls" or "transport_socket" in chain else ""
    for f in chain.get("filters", ()):
        config = f.get("typed_config", {})
        if f.get("name") == _HTTP:
            route = config.get("rds", {}).get("route_config_name") or config.get("route_config", {}).get(
                "name"
            )
            return f"{tls}HTTP by the routes of {route}"
        if f.get("name") == _TCP:
            return f"{tls}TCP to {_targets(config)}"
    return f"{tls}nothing"


def _own_routes(listener: JsonObject) -> Iterator[JsonObject]:
    for chain in listener.get("filter_chains", ()):
        for f in chain.get("filters", ()):
            if route := f.get("typed_config", {}).get("route_config"):
                yield route


def _routes(configuration: JsonObject) -> Iterator[RouteBrief]:
    for host in configuration.get("virtual_hosts", ()):
        for route in host.get("routes", ()):
            domains = ", ".join(host.get("domains", ()))
            yield RouteBrief(configuration.get("name", ""), domains, _match(route), _action(route))


def _match(route: JsonObject) -> str:
    match = route.get("match", {})
    path = match.get("path") or match.get("safe_regex", {}).get("regex") or f"{match.get('prefix', '')}*"
    words = [path]
    for header in match.get("headers", ()):
        text = header.get("string_match", {})
        value = next((v for v in text.values() if isinstance(v, str)), "") or text.get("safe_regex", {}).get(
            "regex", ""
        )
        sign = "!=" if header.get("invert_match") else "="
        words.append(f"{header.get('name', '')}{sign}{value}" if value else f"{header.get('name', '')} given")
    return " and ".join(words)


def _action(route: JsonObject) -> str:
    if "direct_response" in route:
        return f"answers {route['direct_response'].get('status', '')}"
    if "redirect" in route:
        return "redirects"
    action = route.get("route", {})
    words = [f"to {_targets(action)}"]
    if action.get("timeout", "0s") != "0s":
        words.append(f"within {action['timeout']}")
    if retry := action.get("retry_policy"):
        words.append(f"{_number(retry.get('num_retries', 1))} retries on {retry.get('retry_on', '')}")
    keys = [_key(k) for k in action.get("hash_policy", ())]
    if keys:
        words.append(f"hashed by {', '.join(keys)}")
    mirrors = [m.get("cluster", "") for m in action.get("request_mirror_policies", ())]
    if mirrors:
        words.append(f"mirrored to {', '.join(mirrors)}")
    if "envoy.filters.http.fault" in route.get("typed_per_filter_config", {}):
        words.append("with an injected fault")
    return ", ".join(words)


def _targets(action: JsonObject) -> str:
    weighted = action.get("weighted_clusters", {}).get("clusters", ())
    if weighted:
        return " or ".join(f"{c.get('name', '')} ({_number(c.get('weight', 0))})" for c in weighted)
    return str(action.get("cluster", "?"))


def _key(policy: JsonObject) -> str:
    if "header" in policy:
        return f"header {policy['header'].get('header_name', '')}"
    if "cookie" in policy:
        return f"cookie {policy['cookie'].get('name', '')}"
    if "query_parameter" in policy:
        return f"query parameter {policy['query_parameter'].get('name', '')}"
    return "source address"


def _address(address: JsonObject) -> str:
    at = address.get("socket_address", {})
    return f"{at.get('address', '')}:{at.get('port_value', '')}" if at else ""


def _number(value: Any) -> int:
    """A number as JSON has it: plain, as a text (64 bits), or wrapped."""
    if isinstance(value, dict):
        value = value.get("value", value.get("default_value", 0))
    return int(value)


def _unlike(briefs: Iterable[RouteBrief]) -> Iterator[RouteBrief]:
    return iter(dict.fromkeys(briefs))
