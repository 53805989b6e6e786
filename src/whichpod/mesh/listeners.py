"""Listeners and their filters, as istiod builds them for a sidecar."""

from __future__ import annotations

from typing import Literal

from whichpod.mesh.chains import inspectors
from whichpod.mesh.changes import FAULT
from whichpod.mesh.pieces import JsonObject, ads, duration, socket, typed

Direction = Literal["INBOUND", "OUTBOUND"]
ROUTER: JsonObject = {
    "name": "envoy.filters.http.router",
    "typed_config": typed("filters.http.router.v3.Router"),
}

FAULT_FILTER: JsonObject = {"name": FAULT, "typed_config": typed("filters.http.fault.v3.HTTPFault")}


def listener(
    name: str, address: tuple[str, int], direction: Direction, filters: list[JsonObject]
) -> JsonObject:
    """A listener with one chain of filters.

    Without SO_REUSEPORT, which would let a second proxy take half of the connections unnoticed.
    """
    return _frame(name, address, direction) | {"filter_chains": [{"filters": filters}]}


def chained_listener(
    name: str,
    address: tuple[str, int],
    direction: Direction,
    chains: list[JsonObject],
    *,
    default: list[JsonObject] | None = None,
) -> JsonObject:
    """A listener that looks at the first bytes of a connection to tell which chain is meant.

    `default` are the filters for what matches none; without, such a connection is closed.
    """
    found = _frame(name, address, direction) | {"filter_chains": chains}
    if default:
        found["default_filter_chain"] = {"filters": default}
    if looking := inspectors(chains):
        found["listener_filters"] = looking
        # istiod's protocolDetectionTimeout is 0: it waits until the client has spoken.
        found["listener_filters_timeout"] = "0s"
        found["continue_on_listener_filters_timeout"] = True
    return found


def _frame(name: str, address: tuple[str, int], direction: Direction) -> JsonObject:
    return {
        "name": name,
        "address": socket(*address),
        "traffic_direction": direction,
        "enable_reuse_port": False,
    }


def http_filter(
    stat_prefix: str,
    route: str | JsonObject,
    *,
    inbound: bool = False,
    filters: tuple[JsonObject, ...] = (),
) -> JsonObject:
    """An HTTP connection manager for HTTP/1.1 and HTTP/2 alike. `route`: a name for RDS, or the routes.
    `filters` come before the router.
    """
    manager: JsonObject = {
        "stat_prefix": stat_prefix,
        "codec_type": "AUTO",
        "http_filters": [*filters, ROUTER] if inbound else [*filters, FAULT_FILTER, ROUTER],
        "normalize_path": True,
        "server_name": "istio-envoy",
        "stream_idle_timeout": "0s",
        "use_remote_address": False,
    }
    if inbound:
        manager["server_header_transformation"] = "PASS_THROUGH"
        # Of mutual TLS the application is told who the caller is: x-forwarded-client-cert.
        manager["forward_client_cert_details"] = "APPEND_FORWARD"
        manager["set_current_client_cert_details"] = {"subject": True, "dns": True, "uri": True}
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
