from __future__ import annotations

import json
import socket

from whichpod.mesh.bootstrap import envoy_bootstrap, proxyless_bootstrap
from whichpod.mesh.identity import Authority


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


def test_the_identity_is_in_it_as_secrets() -> None:
    identity = Authority().identity("default", "teller")
    found = envoy_bootstrap("pod", "127.0.0.1:5000", "127.0.0.1:15000", identity=identity)
    own, root = found["static_resources"]["secrets"]
    assert (own["name"], root["name"]) == ("default", "ROOTCA")
    assert own["tls_certificate"]["private_key"]["inline_string"].startswith("-----BEGIN PRIVATE KEY")
    assert root["validation_context"]["trusted_ca"]["inline_string"] == identity.root
    assert "PRIVATE" not in repr(identity)


def test_a_mark_is_on_all_connections_that_it_opens() -> None:
    found = envoy_bootstrap("pod", "unix:/run/x", "127.0.0.1:15000", mark=1337)
    (option,) = found["cluster_manager"]["upstream_bind_config"]["socket_options"]
    assert option == {"level": 1, "name": 36, "int_value": 1337, "state": "STATE_PREBIND"}
    assert (socket.SOL_SOCKET, socket.SO_MARK) == (1, 36)


def test_unix_sockets() -> None:
    found = envoy_bootstrap("pod", "unix:/run/x", "127.0.0.1:15000")
    (cluster,) = found["static_resources"]["clusters"]
    (locality,) = cluster["load_assignment"]["endpoints"]
    assert locality["lb_endpoints"][0]["endpoint"]["address"] == {"pipe": {"path": "/run/x"}}
    (server,) = json.loads(proxyless_bootstrap("client", "unix:/run/x"))["xds_servers"]
    assert server["server_uri"] == "unix:/run/x"


def test_proxyless() -> None:
    found = json.loads(proxyless_bootstrap("client", "127.0.0.1:5000"))
    (server,) = found["xds_servers"]
    assert server["server_uri"] == "127.0.0.1:5000"
    assert server["channel_creds"] == [{"type": "insecure"}]
    assert found["node"]["id"] == "client"
