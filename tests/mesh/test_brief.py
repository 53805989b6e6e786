"""What a proxy's configuration comes to in words: of what we write, and of what Envoy says it has."""

from __future__ import annotations

from typing import Any

import pytest

from whichpod.mesh.brief import cluster_brief, config_brief
from whichpod.mesh.counters import cluster_counters, requests_by_pod

HTTP = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"


@pytest.mark.parametrize(
    ("cluster", "said"),
    [
        ({}, "ROUND_ROBIN"),
        ({"lb_policy": "LEAST_REQUEST", "connect_timeout": "10s"}, "LEAST_REQUEST"),
        (
            {"type": "ORIGINAL_DST", "lb_policy": "CLUSTER_PROVIDED"},
            "the pod that was dialled (ORIGINAL_DST)",
        ),
        (
            {"round_robin_lb_config": {"slow_start_config": {"slow_start_window": "30s"}}},
            "ROUND_ROBIN, warm-up 30s",
        ),
        ({"transport_socket_matches": [{}]}, "ROUND_ROBIN, mutual TLS to pods that take it"),
        ({"transport_socket": {}}, "ROUND_ROBIN, mutual TLS to all pods"),
        ({"connect_timeout": "1s"}, "ROUND_ROBIN, connects within 1s"),
        (
            {"circuit_breakers": {"thresholds": [{"max_connections": 3, "max_requests": 4294967295}]}},
            "ROUND_ROBIN, max connections 3",
        ),
        (
            {
                "typed_extension_protocol_options": {
                    HTTP: {
                        "common_http_protocol_options": {
                            "max_requests_per_connection": 10,
                            "idle_timeout": "5s",
                        }
                    }
                }
            },
            "ROUND_ROBIN, at most 10 requests per connection, idle after 5s",
        ),
        (
            {"outlier_detection": {"enforcing_success_rate": 0}},
            "ROUND_ROBIN, ejects after 5 consecutive 5xx, for 30s, up to 10 % of the pods, looks every 10s",
        ),
        (
            {
                "outlier_detection": {
                    "enforcing_consecutive_5xx": 0,
                    "consecutive_gateway_failure": 3,
                    "enforcing_consecutive_gateway_failure": 100,
                    "max_ejection_percent": 100,
                    "base_ejection_time": "60s",
                    "interval": "1s",
                }
            },
            "ROUND_ROBIN, ejects after 3 consecutive gateway errors, for 60s, up to 100 % of the pods, "
            "looks every 1s",
        ),
    ],
)
def test_a_cluster_in_words(cluster: dict[str, Any], said: str) -> None:
    assert cluster_brief(cluster) == said


def routes(*found: dict[str, Any]) -> dict[str, Any]:
    host = {"domains": ["*"], "routes": list(found)}
    dump = {"route_config": {"name": "r", "virtual_hosts": [host]}}
    return {"configs": [{"dynamic_route_configs": [dump]}]}


@pytest.mark.parametrize(
    ("route", "match", "does"),
    [
        ({"match": {"prefix": "/"}, "route": {"cluster": "c", "timeout": "0s"}}, "/*", "to c"),
        (
            {
                "match": {
                    "path": "/a.B/C",
                    "headers": [
                        {"name": "x", "string_match": {"exact": "1"}},
                        {"name": "y", "present_match": True},
                        {"name": "z", "string_match": {"safe_regex": {"regex": "a+"}}, "invert_match": True},
                    ],
                },
                "route": {
                    "weighted_clusters": {
                        "clusters": [{"name": "a", "weight": 90}, {"name": "b", "weight": 10}]
                    },
                    "timeout": "3s",
                    "retry_policy": {"num_retries": 2, "retry_on": "unavailable"},
                    "hash_policy": [{"header": {"header_name": "h"}}, {"cookie": {"name": "k"}}],
                    "request_mirror_policies": [{"cluster": "m"}],
                },
            },
            "/a.B/C and x=1 and y given and z!=a+",
            "to a (90) or b (10), within 3s, 2 retries on unavailable, hashed by header h, cookie k, "
            "mirrored to m",
        ),
        (
            {"match": {"safe_regex": {"regex": "/x.*"}}, "direct_response": {"status": 503}},
            "/x.*",
            "answers 503",
        ),
        ({"match": {"prefix": "/"}, "redirect": {}}, "/*", "redirects"),
    ],
)
def test_a_route_in_words(route: dict[str, Any], match: str, does: str) -> None:
    (found,) = config_brief(routes(route, route), owner="x").routes
    assert (found.configuration, found.domains, found.match, found.does) == ("r", "*", match, does)


def test_what_a_proxy_refused_is_told_and_its_own_bootstrap_is_not() -> None:
    listener = {"name": "li", "error_state": {"details": "no such filter"}}
    static = {"static_clusters": [{"cluster": {"name": "xds-grpc"}}]}
    brief = config_brief({"configs": [static, {"dynamic_listeners": [listener]}]}, owner="client")
    assert brief.refused == ("li: no such filter",)
    assert (brief.listeners, brief.routes, brief.clusters) == ((), (), ())


CLUSTERS = b"""{"cluster_statuses": [
  {"name": "xds-grpc", "host_statuses": [{"stats": [{"name": "rq_total", "value": "9"}]}]},
  {"name": "outbound|1||a.b", "host_statuses": [
    {"hostname": "p-0", "address": {"socket_address": {"address": "10.0.0.1", "port_value": 1}},
     "stats": [{"name": "rq_total", "value": "7"}, {"name": "rq_error", "value": "2"}, {"name": "cx_total"}],
     "health_status": {"failed_outlier_check": true}},
    {"address": {"socket_address": {"address": "10.0.0.2", "port_value": 1}},
     "stats": [{"name": "rq_total", "value": "3"}, {"name": "rq_success", "value": "3"}]}]}]}"""
STATS = b"""{"stats": [
  {"name": "cluster.outbound|1||a.b.upstream_rq_total", "value": 10},
  {"name": "cluster.outbound|1||a.b.external.upstream_rq_200", "value": 10},
  {"histograms": {}}]}"""


def test_counters_by_endpoint() -> None:
    (found,) = cluster_counters(CLUSTERS, STATS, {"10.0.0.2": "p-1"})
    assert found.name == "outbound|1||a.b"
    assert found.requests == {"upstream_rq_total": 10}
    first, second = found.endpoints
    assert (first.pod, first.requests, first.errors, first.connections, first.ejected) == (
        "p-0",
        7,
        2,
        0,
        True,
    )
    assert (second.pod, second.address, second.successes, second.ejected) == ("p-1", "10.0.0.2:1", 3, False)
    assert requests_by_pod(CLUSTERS, {}) == {"p-0": 7, "10.0.0.2:1": 3}
