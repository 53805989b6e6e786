"""Through Envoy: whose core is full."""

from __future__ import annotations

import json
import subprocess
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks.measure import Settings, cpu_of, held
from benchmarks.peers import CONNECTIONS, echo_server, engine, free_port, until_listening
from whichpod.cluster.local import binaries
from whichpod.model.plan import Plan

FULL, BUSY = 0.9, 0.8
SECONDS = 5.0
STREAMS = 100
PODS = 5
"""With one, Envoy would wait for the server as long as the server for Envoy, each for the other's batch."""


def run(_settings: Settings) -> bool:
    """Whether the proxy is the limit, and the engine isn't."""
    gone = binaries.missing("envoy")
    if gone:
        print(f"  skipped: {gone}")
        return True
    binary = str(binaries.find("envoy"))
    with (
        echo_server("--engine", "fast", "--pods", str(PODS)) as server,
        tempfile.TemporaryDirectory() as folder,
    ):
        port = free_port()
        config = Path(folder) / "envoy.json"
        config.write_text(json.dumps(_config(port, server.addresses)))
        proxy = subprocess.Popen(
            [binary, "-c", str(config), "--disable-hot-restart", "--concurrency", "1", "-l", "error"]
        )
        try:
            until_listening(port)
            plan = Plan(
                requests=None, duration_s=SECONDS, connections=CONNECTIONS, concurrency=STREAMS, warmup_s=0.5
            )
            used: list[tuple[float, float]] = []
            report = engine(
                [f"127.0.0.1:{port}"],
                plan,
                progress=lambda _: used.append((time.monotonic(), cpu_of(proxy.pid))),
            )
        finally:
            proxy.kill()
            proxy.wait()
    (since, before), (until, after) = used[0], used[-1]
    share = (after - before) / (until - since)
    done = report.tally.done
    print(f"  {report.rps:,.0f} RPCs per second through Envoy; {report.saturation.cpu_s / done * 1e6:.2f} us "
          f"CPU per RPC of the engine")  # fmt: skip
    met = held("Envoy's share of its core", share, least=FULL)
    return met & held("the engine's share of a core", report.saturation.cpu_share, most=BUSY)


def _config(port: int, upstreams: Sequence[str]) -> dict[str, object]:
    http2 = {
        "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
            "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
            "explicit_http_config": {"http2_protocol_options": {}},
        }
    }
    manager = {
        "@type": "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3."
        "HttpConnectionManager",
        "stat_prefix": "in",
        "codec_type": "HTTP2",
        "route_config": {
            "virtual_hosts": [
                {"name": "all", "domains": ["*"], "routes": [
                    {"match": {"prefix": "/"}, "route": {"cluster": "echo", "timeout": "0s"}}
                ]}
            ]
        },
        "http_filters": [
            {"name": "router", "typed_config": {
                "@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router"}}
        ],
    }  # fmt: skip
    return {
        "static_resources": {
            "listeners": [{
                "address": _address(port),
                "filter_chains": [{"filters": [{"name": "http", "typed_config": manager}]}],
            }],
            "clusters": [{
                "name": "echo",
                "type": "STATIC",
                "typed_extension_protocol_options": http2,
                "load_assignment": {"cluster_name": "echo", "endpoints": [
                    {"lb_endpoints": [
                        {"endpoint": {"address": _address(int(upstream.rpartition(":")[2]))}}
                        for upstream in upstreams
                    ]}
                ]},
            }],
        }
    }  # fmt: skip


def _address(port: int) -> dict[str, object]:
    return {"socket_address": {"address": "127.0.0.1", "port_value": port}}
