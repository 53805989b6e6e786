"""Proxies that take so many streams or requests, or are told to begin anew: no RPC fails for it."""

from __future__ import annotations

from typing import Any

import pytest

from tests.echo.engines import fast
from tests.load.peers.disturbed import disturbed
from tests.load.peers.proxies import pods, proxy, reload
from tests.load.runs import by_pod, run

pytestmark = pytest.mark.usefixtures("forking")

SMALL: dict[str, Any] = {"requests": 1_500, "connections": 3, "concurrency": 20}
LARGE: dict[str, Any] = {"requests": 100, "connections": 2, "concurrency": 10, "payload_size": 100_000}
AGES: dict[str, Any] = {"requests": None, "duration_s": 0.6, "connections": 3, "concurrency": 10}
# Each connection has an RPC every 500 ms, and ends meanwhile,
# but not before its first one on a busy machine.
SPARSE: dict[str, Any] = {"requests": 6, "rate": 4.0, "connections": 2}


def streams(most: int) -> dict[str, Any]:
    """Envoy's limit of concurrent streams."""
    return {"http2_protocol_options": {"max_concurrent_streams": most}}


def connection(**options: Any) -> dict[str, Any]:
    """Envoy's options of connections; it drains them quickly."""
    return {"drain_timeout": "0.05s", "common_http_protocol_options": options}


@pytest.mark.parametrize(
    ("name", "more", "plan", "least"),
    [
        ("nginx", "keepalive_requests 1000;", SMALL | {"requests": 5_000}, 5),
        ("nginx", "keepalive_requests 100;", SMALL, 15),
        ("nginx", "keepalive_requests 50;", {"requests": 300, "rate": 1_000.0, "connections": 2}, 6),
        ("nginx", "keepalive_requests 20;", LARGE, 5),
        ("nginx", "keepalive_requests 100; http2_max_concurrent_streams 3;", SMALL, 15),
        ("nginx", "http2_max_concurrent_streams 1;", SMALL | {"requests": 600}, 3),
        ("nginx", "keepalive_time 200ms;", AGES, 4),
        ("nginx", "http2_body_preread_size 0; client_body_buffer_size 1k; http2_chunk_size 1k;", LARGE, 2),
        ("envoy", streams(3), SMALL, 3),
        ("envoy", streams(1), {"requests": 300, "rate": 1_000.0, "connections": 2}, 2),
        ("envoy", connection(max_requests_per_connection=100), AGES, 4),
        ("envoy", connection(max_connection_duration="0.2s"), AGES, 4),
        ("haproxy", "tune.h2.max-concurrent-streams 3", SMALL, 3),
        ("haproxy", "tune.h2.initial-window-size 2000", LARGE, 2),
    ],
)
def test_limits_cost_no_rpc(name: str, more: Any, plan: dict[str, Any], least: int) -> None:
    with fast(pod="echo", pods=2) as servers, proxy(name, pods(servers), more) as peer:
        report = run(addresses=[peer.address], **plan)
    done = report.tally.done
    assert report.tally.statuses == {"OK": done}, report.evidence.first_error
    assert done == plan["requests"] or plan["requests"] is None
    assert report.evidence.connections_opened >= least
    counts = by_pod(report).values()
    assert max(counts) - min(counts) <= 1


@pytest.mark.parametrize(
    ("name", "more"),
    [
        ("nginx", "keepalive_timeout 350ms;"),
        ("envoy", connection(idle_timeout="0.35s")),
        ("caddy", "servers {\n timeouts {\n idle 350ms\n }\n }"),
    ],
)
def test_connections_that_are_closed_when_idle(name: str, more: Any) -> None:
    """Each RPC finds its connection at its end: one that no server saw is sent anew."""
    with fast(pod="echo", pods=2) as servers, proxy(name, pods(servers), more) as peer:
        report = run(addresses=[peer.address], **SPARSE)
    assert report.tally.statuses == {"OK": 6}, report.evidence.first_error
    assert report.evidence.connections_opened > 2


@pytest.mark.parametrize(
    ("name", "rate"), [("nginx", None), ("nginx", 1_000.0), ("caddy", None), ("haproxy", None)]
)
def test_a_new_configuration_costs_no_rpc(name: str, rate: float | None) -> None:
    plan: dict[str, Any] = {"lasting_s": 0.8, "rate": rate, "connections": 3, "concurrency": 5}
    with fast(pod="echo", pods=2) as servers, proxy(name, pods(servers), reloads=True) as peer:
        report = disturbed(peer.address, by=lambda: reload(name, peer), **plan)
    assert set(report.tally.statuses) == {"OK"}, report.evidence.first_error
    assert report.evidence.connections_opened > 3
