"""The xDS protobuf types, imported when first used (package xds-protos, extra `lab`).

A message's JSON form can hold an Any only of a type whose module is imported, so all are, together.
"""

from __future__ import annotations

import importlib
from functools import cache, lru_cache
from typing import TYPE_CHECKING, Any

from whichpod.mesh.resources import CLUSTER, ENDPOINT, LISTENER, ROUTE
from whichpod.model.errors import MissingExtraError

if TYPE_CHECKING:
    from google.protobuf.any_pb2 import Any as AnyMessage

_MESSAGES = {
    CLUSTER: ("envoy.config.cluster.v3.cluster_pb2", "Cluster"),
    ENDPOINT: ("envoy.config.endpoint.v3.endpoint_pb2", "ClusterLoadAssignment"),
    LISTENER: ("envoy.config.listener.v3.listener_pb2", "Listener"),
    ROUTE: ("envoy.config.route.v3.route_pb2", "RouteConfiguration"),
}
_EXTENSIONS = (
    "envoy.extensions.filters.http.router.v3.router_pb2",
    "envoy.extensions.filters.http.set_filter_state.v3.set_filter_state_pb2",
    "envoy.extensions.filters.listener.http_inspector.v3.http_inspector_pb2",
    "envoy.extensions.filters.listener.original_dst.v3.original_dst_pb2",
    "envoy.extensions.filters.listener.tls_inspector.v3.tls_inspector_pb2",
    "envoy.extensions.filters.network.http_connection_manager.v3.http_connection_manager_pb2",
    "envoy.extensions.filters.network.tcp_proxy.v3.tcp_proxy_pb2",
    "envoy.extensions.retry.host.previous_hosts.v3.previous_hosts_pb2",
    "envoy.extensions.transport_sockets.raw_buffer.v3.raw_buffer_pb2",
    "envoy.extensions.transport_sockets.tls.v3.tls_pb2",
    "envoy.extensions.upstreams.http.v3.http_protocol_options_pb2",
)


@cache
def discovery() -> Any:
    """The module of DiscoveryRequest and DiscoveryResponse. Raises MissingExtraError."""
    try:
        for name in _EXTENSIONS:
            importlib.import_module(name)
        return importlib.import_module("envoy.service.discovery.v3.discovery_pb2")
    except ImportError:
        raise MissingExtraError("The control plane's xDS types", "lab") from None


@lru_cache(maxsize=8192)
def packed(type_url: str, text: str) -> AnyMessage:
    """A resource given as JSON text, in an Any. Kept, since many nodes get the same; don't change it.

    Raises google.protobuf.json_format.ParseError for a field that the type doesn't have.
    """
    from google.protobuf import any_pb2, json_format

    discovery()
    module, name = _MESSAGES[type_url]
    message = getattr(importlib.import_module(module), name)()
    json_format.Parse(text, message)
    found = any_pb2.Any()
    found.Pack(message)
    return found
