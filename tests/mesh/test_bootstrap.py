from __future__ import annotations

import json

from whichpod.mesh.bootstrap import envoy_bootstrap, proxyless_bootstrap


def test_envoy() -> None:
    found = envoy_bootstrap("pod", "[::1]:5000", "127.0.0.1:15000", zone="z")
    assert found["node"] == {"id": "pod", "cluster": "whichpod", "locality": {"zone": "z"}}
    assert found["admin"]["address"]["socket_address"] == {"address": "127.0.0.1", "port_value": 15000}
    (cluster,) = found["static_resources"]["clusters"]
    (locality,) = cluster["load_assignment"]["endpoints"]
    assert locality["lb_endpoints"][0]["endpoint"]["address"]["socket_address"] == {
        "address": "::1",
        "port_value": 5000,
    }
    assert json.loads(json.dumps(found)) == found


def test_proxyless() -> None:
    found = json.loads(proxyless_bootstrap("client", "127.0.0.1:5000"))
    (server,) = found["xds_servers"]
    assert server["server_uri"] == "127.0.0.1:5000"
    assert server["channel_creds"] == [{"type": "insecure"}]
    assert found["node"]["id"] == "client"
