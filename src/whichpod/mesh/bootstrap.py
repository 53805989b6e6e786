"""What a proxy or a gRPC client is started with, so that it asks the ADS server for everything else."""

from __future__ import annotations

import json

from whichpod.mesh.clusters import HTTP_OPTIONS
from whichpod.mesh.pieces import JsonObject, ads, socket, split_address, typed

CONTROL_PLANE = "xds-grpc"
MOST_CONNECTIONS = 1_000_000
"""Envoy warns when connections to it are not limited; no lab comes near this."""


def envoy_bootstrap(
    node_id: str, ads_address: str, admin_address: str, *, cluster: str = "whichpod", zone: str = ""
) -> JsonObject:
    """A bootstrap for Envoy (`--config-yaml` takes it as JSON text). Addresses are HOST:PORT.

    `node_id` is the name under which the ADS server knows its resources.
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
                "grpc_services": [{"envoy_grpc": {"cluster_name": CONTROL_PLANE}}],
            },
            "cds_config": ads(),
            "lds_config": ads(),
        },
        "static_resources": {"clusters": [_control_plane(ads_address)]},
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
            "endpoints": [{"lb_endpoints": [{"endpoint": {"address": socket(*split_address(address))}}]}],
        },
    }


def proxyless_bootstrap(node_id: str, ads_address: str, *, zone: str = "") -> str:
    """A bootstrap for gRPC as JSON text (gRPC proposal A27).

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
