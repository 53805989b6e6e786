"""Envoy, nginx, Caddy and HAProxy as proxies that balance RPCs round robin over servers."""

from __future__ import annotations

import json
import signal
import subprocess
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.load.peers.processes import Peer, place, running
from whichpod.cluster.local import binaries
from whichpod.cluster.local.images.envoy import complete
from whichpod.echo.fast.server import FastServer
from whichpod.mesh.clusters import HTTP_OPTIONS
from whichpod.mesh.listeners import http_filter, listener
from whichpod.mesh.pieces import socket, split_address, typed


@dataclass(frozen=True)
class Place:
    """Where a proxy listens, and what is behind it."""

    address: str
    folder: Path
    upstreams: Sequence[str]
    reloads: bool

    def file(self, text: str, name: str = "config") -> str:
        """Writes a configuration; its path."""
        path = self.folder / name
        path.write_text(text)
        return str(path)


ADMIN_PORT = 2019
NAMES = ("envoy", "nginx", "caddy", "haproxy")


def pods(*servers: FastServer) -> list[str]:
    """HOST:PORT of each pod."""
    return [f"{pod.host}:{pod.port}" for server in servers for pod in server.pods]


def envoy(at: Place, more: Any) -> list[str]:
    """`more`: fields of the HTTP connection manager."""
    routes = [{"match": {"prefix": "/"}, "route": {"cluster": "echo", "timeout": "0s"}}]
    http = http_filter("in", {"virtual_hosts": [{"name": "all", "domains": ["*"], "routes": routes}]})
    http["typed_config"] |= more or {}
    endpoints = [{"endpoint": {"address": socket(*split_address(one))}} for one in at.upstreams]
    cluster = {
        "name": "echo",
        "typed_extension_protocol_options": {
            HTTP_OPTIONS: typed(
                "upstreams.http.v3.HttpProtocolOptions",
                explicit_http_config={"http2_protocol_options": {}},
            )
        },
        "load_assignment": {"cluster_name": "echo", "endpoints": [{"lb_endpoints": endpoints}]},
    }
    front = listener("in", split_address(at.address), "INBOUND", [http])
    config = json.dumps({"static_resources": {"listeners": [front], "clusters": [cluster]}})
    return complete(["-c", at.file(config, "envoy.json")])


def nginx(at: Place, more: Any) -> list[str]:
    """`more`: lines of the `server` block; with `ssl` in it, it listens with TLS."""
    servers = " ".join(f"server {one};" for one in at.upstreams)
    lines = more or ""
    config = f"""
daemon off;
master_process {"on" if at.reloads else "off"};
pid nginx.pid;
user root root;
worker_processes 1;
worker_shutdown_timeout 20s;
events {{ worker_connections 1024; }}
http {{
    access_log off;
    upstream echo {{ {servers} keepalive 64; }}
    server {{
        listen {at.address}{" ssl" if "ssl_" in lines else ""};
        http2 on;
        client_max_body_size 0;
        {lines}
        location / {{ grpc_pass grpc://echo; grpc_read_timeout 60s; }}
    }}
}}
"""
    return ["-p", str(at.folder), "-e", "stderr", "-c", at.file(config)]


def caddy(at: Place, more: Any) -> list[str]:
    """`more`: global options."""
    host, port = split_address(at.address)
    admin = f"{host}:{ADMIN_PORT}"
    config = f"""
{{
    admin {admin} {{
        origins {admin}
    }}
    auto_https off
    default_bind {host}
    {more or ""}
}}
http://:{port} {{
    reverse_proxy {" ".join(at.upstreams)} {{
        lb_policy round_robin
        transport http {{
            versions h2c
        }}
    }}
}}
"""
    return ["run", "--adapter", "caddyfile", "--config", at.file(config)]


def haproxy(at: Place, more: Any) -> list[str]:
    """`more`: lines of the `global` section."""
    servers = "\n".join(f"    server s{n} {one} proto h2" for n, one in enumerate(at.upstreams))
    config = f"""
global
    nbthread 1
    maxconn 200
    {more or ""}
defaults
    mode http
    timeout connect 5s
    timeout client 60s
    timeout server 60s
    retries 0
frontend grpc
    bind {at.address} proto h2
    default_backend echo
backend echo
    balance roundrobin
{servers}
"""
    return ["-db", "-f", at.file(config)]


MAKE: dict[str, Callable[[Place, Any], list[str]]] = {
    "envoy": envoy, "nginx": nginx, "caddy": caddy, "haproxy": haproxy
}  # fmt: skip


@contextmanager
def proxy(name: str, upstreams: Sequence[str], more: Any = None, *, reloads: bool = False) -> Iterator[Peer]:
    """A proxy in front of HOST:PORT each. Skips the test, saying why, where the program is missing."""
    if why := binaries.missing(name):
        pytest.skip(why)
    with place() as (address, folder):
        argv = [str(binaries.find(name)), *MAKE[name](Place(address, folder, upstreams, reloads), more)]
        # What has processes of its own is to see to their end.
        with running(argv, address, folder, end=signal.SIGTERM if reloads else signal.SIGKILL) as peer:
            yield peer


def reload(name: str, peer: Peer) -> None:
    """Has nginx, Caddy or HAProxy take its configuration anew, as an update of its routes would."""
    if name == "nginx":
        peer.first.send_signal(signal.SIGHUP)
    elif name == "caddy":
        host, _ = split_address(peer.address)
        told = ["--address", f"{host}:{ADMIN_PORT}", "--force", *peer.argv[2:]]
        subprocess.run([peer.argv[0], "reload", *told], check=True, capture_output=True)
    else:
        # A new process takes over; the old one ends once its connections have.
        peer.start("-sf", str(peer.first.pid))
