"""What a proxy or a gRPC client is started with, so that it asks the ADS server for everything else."""

from __future__ import annotations

import json

from whichpod.mesh.clusters import HTTP_OPTIONS
from whichpod.mesh.identity import Identity
from whichpod.mesh.pieces import UNIX, JsonObject, ads, marked, socket, split_address, typed

CONTROL_PLANE = "xds-grpc"
_AGAIN: JsonObject = {"retry_back_off": {"base_interval": "0.1s", "max_interval": "1s"}}
"""How often a control plane that is down is tried again; without this after up to 30 s."""
MOST_CONNECTIONS = 1_000_000
"""Envoy warns when connections to it are not limited; no lab comes near this."""


def envoy_bootstrap(
    node_id: str,
    ads_address: str,
    admin_address: str,
    *,
    cluster: str = "whichpod",
    zone: str = "",
    identity: Identity | None = None,
    mark: int = 0,
) -> JsonObject:
    """A bootstrap for Envoy as a JSON object, for a file. Addresses are HOST:PORT; the control plane's may be
    a Unix socket's, unix:PATH.

    `node_id` is the name under which the ADS server knows its resources. A sidecar's `identity` stands in it
    with its private key: let no other user read it, and don't put it on a command line. `mark` is set on the
    sockets of all connections that Envoy opens itself (SO_MARK, which takes CAP_NET_ADMIN), so that rules
    which redirect a pod's connections can leave out the sidecar's; 0 is none.
    """
    node: JsonObject = {"id": node_id, "cluster": cluster}
    if zone:
        node["locality"] = {"zone": zone}
    return {
        "node": node,
        "admin": {"address": socket(*split_address(admin_address))},
        "dynamic_resources": {
            "ads_config": {
                "api_type": "GRPC",
                "transport_api_version": "V3",
                "set_node_on_first_message_only": True,
                "grpc_services": [{"envoy_grpc": {"cluster_name": CONTROL_PLANE, "retry_policy": _AGAIN}}],
            },
            "cds_config": ads(),
            "lds_config": ads(),
        },
        "static_resources": {
            "clusters": [_control_plane(ads_address)],
            "secrets": identity.secrets() if identity else [],
        },
        "cluster_manager": {"upstream_bind_config": marked(mark)} if mark else {},
        "overload_manager": {
            "resource_monitors": [
                {
                    "name": "envoy.resource_monitors.global_downstream_max_connections",
                    "typed_config": typed(
                        "resource_monitors.downstream_connections.v3.DownstreamConnectionsConfig",
                        max_active_downstream_connections=MOST_CONNECTIONS,
                    ),
                }
            ]
        },
    }


def _control_plane(address: str) -> JsonObject:
    return {
        "name": CONTROL_PLANE,
        "type": "STATIC",
        "connect_timeout": "1s",
        "typed_extension_protocol_options": {
            HTTP_OPTIONS: typed(
                "upstreams.http.v3.HttpProtocolOptions",
                explicit_http_config={"http2_protocol_options": {}},
            )
        },
        "load_assignment": {
            "cluster_name": CONTROL_PLANE,
            "endpoints": [{"lb_endpoints": [{"endpoint": {"address": _address(address)}}]}],
        },
    }


def _address(text: str) -> JsonObject:
    if text.startswith(UNIX):
        return {"pipe": {"path": text.removeprefix(UNIX)}}
    return socket(*split_address(text))


def proxyless_bootstrap(node_id: str, ads_address: str, *, zone: str = "") -> str:
    """A bootstrap for gRPC as JSON text (gRPC proposal A27). The control plane's address is HOST:PORT or
    unix:PATH.

    It goes to the environment variable GRPC_XDS_BOOTSTRAP_CONFIG, which must be set before grpc is imported.
    """
    node: JsonObject = {"id": node_id, "cluster": "whichpod"}
    if zone:
        node["locality"] = {"zone": zone}
    return json.dumps(
        {
            "xds_servers": [
                {
                    "server_uri": ads_address,
                    "channel_creds": [{"type": "insecure"}],
                    "server_features": ["xds_v3"],
                }
            ],
            "node": node,
        }
    )
