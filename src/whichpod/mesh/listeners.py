"""Listeners and their filters, as istiod builds them for a sidecar."""

from __future__ import annotations

from typing import Literal

from whichpod.mesh.pieces import JsonObject, ads, duration, socket, typed

Direction = Literal["INBOUND", "OUTBOUND"]
_PLAIN_HTTP = ["http/1.0", "http/1.1", "h2c"]
ROUTER: JsonObject = {
    "name": "envoy.filters.http.router",
    "typed_config": typed("filters.http.router.v3.Router"),
}


def listener(
    name: str, address: tuple[str, int], direction: Direction, filters: list[JsonObject]
) -> JsonObject:
    """A listener with one chain of filters.

    Without SO_REUSEPORT, which would let a second proxy take half of the connections unnoticed.
    """
    return _frame(name, address, direction) | {"filter_chains": [{"filters": filters}]}


def sniffing_listener(
    name: str, address: tuple[str, int], direction: Direction, http: list[JsonObject], tcp: list[JsonObject]
) -> JsonObject:
    """A listener that looks at the first bytes of a connection to see whether it is HTTP."""
    return _frame(name, address, direction) | {
        "listener_filters": [
            {
                "name": "envoy.filters.listener.http_inspector",
                "typed_config": typed("filters.listener.http_inspector.v3.HttpInspector"),
            }
        ],
        # istiod's protocolDetectionTimeout is 0: it waits until the client has spoken.
        "listener_filters_timeout": "0s",
        "continue_on_listener_filters_timeout": True,
        "filter_chains": [
            {"filter_chain_match": {"application_protocols": _PLAIN_HTTP}, "filters": http},
        ],
        "default_filter_chain": {"filters": tcp},
    }


def _frame(name: str, address: tuple[str, int], direction: Direction) -> JsonObject:
    return {
        "name": name,
        "address": socket(*address),
        "traffic_direction": direction,
        "enable_reuse_port": False,
    }


def http_filter(stat_prefix: str, route: str | JsonObject, *, inbound: bool = False) -> JsonObject:
    """An HTTP connection manager for HTTP/1.1 and HTTP/2 alike. `route`: a name for RDS, or the routes."""
    manager: JsonObject = {
        "stat_prefix": stat_prefix,
        "codec_type": "AUTO",
        "http_filters": [ROUTER],
        "normalize_path": True,
        "server_name": "istio-envoy",
        "stream_idle_timeout": "0s",
        "use_remote_address": False,
    }
    if inbound:
        manager["server_header_transformation"] = "PASS_THROUGH"
    if isinstance(route, str):
        manager["rds"] = {"config_source": ads(), "route_config_name": route}
    else:
        manager["route_config"] = route
    return {
        "name": "envoy.filters.network.http_connection_manager",
        "typed_config": typed("filters.network.http_connection_manager.v3.HttpConnectionManager", **manager),
    }


def tcp_filter(cluster: str, *, idle_timeout_s: float | None = None, by_source: bool = False) -> JsonObject:
    """A TCP proxy. `by_source` gives the cluster's hash balancer the client's address as key."""
    proxy: JsonObject = {"stat_prefix": cluster, "cluster": cluster}
    if idle_timeout_s is not None:
        proxy["idle_timeout"] = duration(idle_timeout_s)
    if by_source:
        proxy["hash_policy"] = [{"source_ip": {}}]
    return {
        "name": "envoy.filters.network.tcp_proxy",
        "typed_config": typed("filters.network.tcp_proxy.v3.TcpProxy", **proxy),
    }
