"""The xDS protobuf types, imported when first used (package xds-protos, extra `lab`).

A message's JSON form can hold an Any only of a type whose module is imported, so all are, together.
"""

from __future__ import annotations

import importlib
import json
from collections.abc import Mapping
from functools import cache, lru_cache
from typing import TYPE_CHECKING, Any

from whichpod.mesh.pieces import Written
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
_PARTS = "envoy.config.endpoint.v3.endpoint_components_pb2"
_ENDPOINTS = 2
"""ClusterLoadAssignment.endpoints."""
_LB_ENDPOINTS = 2
"""LocalityLbEndpoints.lb_endpoints."""
_EXTENSIONS = (
    "envoy.extensions.filters.http.fault.v3.fault_pb2",
    "envoy.extensions.filters.http.router.v3.router_pb2",
    "envoy.extensions.filters.http.set_filter_state.v3.set_filter_state_pb2",
    "envoy.extensions.filters.listener.http_inspector.v3.http_inspector_pb2",
    "envoy.extensions.filters.listener.original_dst.v3.original_dst_pb2",
    "envoy.extensions.filters.listener.tls_inspector.v3.tls_inspector_pb2",
    "envoy.extensions.filters.network.http_connection_manager.v3.http_connection_manager_pb2",
    "envoy.extensions.filters.network.tcp_proxy.v3.tcp_proxy_pb2",
    "envoy.extensions.retry.priority.previous_priorities.v3.previous_priorities_config_pb2",
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


def packed(type_url: str, text: str, value: Mapping[str, Any] | None = None) -> AnyMessage:
    """A resource given as JSON text, in an Any. It may be shared; don't change it.

    `value` is what the text says. Endpoints whose parts know their own text are put together from those that
    are known already, since of a thousand there are few that a push has changed.

    Raises google.protobuf.json_format.ParseError for a field that the type doesn't have.
    """
    if type_url == ENDPOINT and isinstance(value, Written):
        return _packed_endpoints(value)
    return _packed(type_url, text)


@lru_cache(maxsize=4096)
def _packed(type_url: str, text: str) -> AnyMessage:
    from google.protobuf import any_pb2

    discovery()
    found = any_pb2.Any()
    found.Pack(_parsed(*_MESSAGES[type_url], text))
    return found


def _packed_endpoints(assignment: Written) -> AnyMessage:
    """A ClusterLoadAssignment from the bytes of its parts: fields of a message may come in any order, and
    repeated ones in pieces (protobuf.dev, Encoding)."""
    from google.protobuf import any_pb2

    discovery()
    module, name = _MESSAGES[ENDPOINT]
    head = {k: v for k, v in assignment.items() if k != "endpoints"}
    parts = [_parsed(module, name, json.dumps(head)).SerializeToString()]
    for locality in assignment["endpoints"]:
        own = {k: v for k, v in locality.items() if k != "lb_endpoints"}
        found = [_parsed(_PARTS, "LocalityLbEndpoints", json.dumps(own)).SerializeToString()]
        found += [_field(_LB_ENDPOINTS, _endpoint(e.text)) for e in locality["lb_endpoints"]]
        parts.append(_field(_ENDPOINTS, b"".join(found)))
    return any_pb2.Any(type_url=ENDPOINT, value=b"".join(parts))


@lru_cache(maxsize=16_384)
def _endpoint(text: str) -> bytes:
    found: bytes = _parsed(_PARTS, "LbEndpoint", text).SerializeToString()
    return found


def _parsed(module: str, name: str, text: str) -> Any:
    from google.protobuf import json_format

    message = getattr(importlib.import_module(module), name)()
    json_format.Parse(text, message)
    return message


def _field(number: int, content: bytes) -> bytes:
    """A field of a message that is itself a message."""
    length, head = len(content), bytearray((number << 3 | 2,))
    while length > 0x7F:
        head.append(length & 0x7F | 0x80)
        length >>= 7
    head.append(length)
    return bytes(head) + content
