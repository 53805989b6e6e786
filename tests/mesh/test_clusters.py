"""Each row of Istio's mapping, by hand."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from whichpod.mesh.clusters import HTTP_OPTIONS, load_assignment
from whichpod.mesh.outbound import outbound
from whichpod.mesh.registry import Endpoint
from whichpod.mesh.resources import CLUSTER, ENDPOINT
from whichpod.mesh.xds import packed

if TYPE_CHECKING:
    from tests.mesh.conftest import Make

NAME = "outbound|80||echo.default.svc.cluster.local"
MOST = 4294967295


def cluster(make: Make, policy: str = "", port: str = "grpc") -> dict[str, Any]:
    found = outbound(make(policy, port=port), lambda s, p: ("127.0.0.1", 1))
    packed(CLUSTER, found.texts[CLUSTER][NAME])
    return found.clusters[NAME]


def http(found: dict[str, Any]) -> dict[str, Any]:
    options = dict(found.get("typed_extension_protocol_options", {}).get(HTTP_OPTIONS, {}))
    options.pop("@type", None)
    return options


def test_defaults(make: Make) -> None:
    found = cluster(make)
    assert found == {
        "name": NAME,
        "type": "EDS",
        "eds_cluster_config": {
            "service_name": NAME,
            "eds_config": {"ads": {}, "initial_fetch_timeout": "0s", "resource_api_version": "V3"},
        },
        "connect_timeout": "10s",
        "lb_policy": "LEAST_REQUEST",
        "common_lb_config": {},
        "circuit_breakers": {
            "thresholds": [
                {
                    "max_connections": MOST,
                    "max_pending_requests": MOST,
                    "max_requests": MOST,
                    "max_retries": MOST,
                    "track_remaining": True,
                }
            ]
        },
        "typed_extension_protocol_options": {
            HTTP_OPTIONS: {
                "@type": f"type.googleapis.com/{HTTP_OPTIONS}",
                "explicit_http_config": {"http2_protocol_options": {}},
            }
        },
    }


@pytest.mark.parametrize(
    ("balancer", "expected"),
    [
        ("{}", {"lb_policy": "LEAST_REQUEST"}),
        ("{simple: UNSPECIFIED}", {"lb_policy": "LEAST_REQUEST"}),
        ("{simple: LEAST_REQUEST}", {"lb_policy": "LEAST_REQUEST"}),
        ("{simple: LEAST_CONN}", {"lb_policy": "LEAST_REQUEST"}),
        ("{simple: ROUND_ROBIN}", {"lb_policy": "ROUND_ROBIN"}),
        ("{simple: RANDOM}", {"lb_policy": "RANDOM"}),
        (
            "{consistentHash: {useSourceIp: true}}",
            {"lb_policy": "RING_HASH", "ring_hash_lb_config": {"minimum_ring_size": 1024}},
        ),
        (
            "{consistentHash: {useSourceIp: true, minimumRingSize: 2048}}",
            {"lb_policy": "RING_HASH", "ring_hash_lb_config": {"minimum_ring_size": 2048}},
        ),
        ("{consistentHash: {useSourceIp: true, ringHash: {}}}", {"lb_policy": "RING_HASH"}),
        (
            "{consistentHash: {useSourceIp: true, ringHash: {minimumRingSize: 7}}}",
            {"lb_policy": "RING_HASH", "ring_hash_lb_config": {"minimum_ring_size": 7}},
        ),
        ("{consistentHash: {useSourceIp: true, maglev: {}}}", {"lb_policy": "MAGLEV"}),
        (
            "{consistentHash: {useSourceIp: true, maglev: {tableSize: 101}}}",
            {"lb_policy": "MAGLEV", "maglev_lb_config": {"table_size": 101}},
        ),
    ],
)
def test_load_balancers(make: Make, balancer: str, expected: dict[str, Any]) -> None:
    found = cluster(make, f"{{loadBalancer: {balancer}}}")
    assert {k: v for k, v in found.items() if "lb_policy" in k or k.endswith("_lb_config")} == expected | {
        "common_lb_config": {}
    }


@pytest.mark.parametrize(
    ("simple", "key"), [("ROUND_ROBIN", "round_robin"), ("LEAST_REQUEST", "least_request")]
)
def test_warmup(make: Make, simple: str, key: str) -> None:
    found = cluster(make, f"{{loadBalancer: {{simple: {simple}, warmup: {{duration: 90s}}}}}}")
    slow = found[f"{key}_lb_config"]["slow_start_config"]
    assert slow["slow_start_window"] == "90s"
    assert slow["aggression"]["default_value"] == 1
    assert slow["min_weight_percent"] == {"value": 10}


@pytest.mark.parametrize(
    ("pool", "key", "value"),
    [
        ("tcp: {maxConnections: 3}", "max_connections", 3),
        ("http: {http1MaxPendingRequests: 3}", "max_pending_requests", 3),
        ("http: {http2MaxRequests: 3}", "max_requests", 3),
        ("http: {maxRetries: 3}", "max_retries", 3),
    ],
)
def test_circuit_breakers(make: Make, pool: str, key: str, value: int) -> None:
    (found,) = cluster(make, f"{{connectionPool: {{{pool}}}}}")["circuit_breakers"]["thresholds"]
    rest = dict.fromkeys(("max_connections", "max_pending_requests", "max_requests", "max_retries"), MOST)
    assert found == rest | {"track_remaining": True, key: value}


H2: dict[str, Any] = {"explicit_http_config": {"http2_protocol_options": {}}}
H1: dict[str, Any] = {"explicit_http_config": {"http_protocol_options": {}}}
BOTH: dict[str, Any] = {
    "use_downstream_protocol_config": {"http_protocol_options": {}, "http2_protocol_options": {}}
}


def common(**options: Any) -> dict[str, Any]:
    return {"common_http_protocol_options": options}


@pytest.mark.parametrize(
    ("port", "pool", "expected"),
    [
        ("grpc", "http: {maxRequestsPerConnection: 10}", H2 | common(max_requests_per_connection=10)),
        ("grpc", "http: {idleTimeout: 1s}", H2 | common(idle_timeout="1s")),
        ("grpc", "tcp: {idleTimeout: 2s}", H2 | common(idle_timeout="2s")),
        ("grpc", "tcp: {maxConnectionDuration: 1m}", H2 | common(max_connection_duration="60s")),
        (
            "grpc",
            "http: {maxConcurrentStreams: 5}",
            {"explicit_http_config": {"http2_protocol_options": {"max_concurrent_streams": 5}}},
        ),
        ("grpc", "http: {useClientProtocol: true}", BOTH),
        ("http", "http: {}", {}),
        ("http", "http: {idleTimeout: 1s}", H1 | common(idle_timeout="1s")),
        ("http", "http: {h2UpgradePolicy: UPGRADE}", H2),
        ("http", "http: {h2UpgradePolicy: DO_NOT_UPGRADE}", {}),
        ("tcp", "http: {}", {}),
        ("web", "http: {}", BOTH),
        ("web", "http: {h2UpgradePolicy: UPGRADE}", H2),
    ],
)
def test_upstream_protocol(make: Make, port: str, pool: str, expected: dict[str, Any]) -> None:
    assert http(cluster(make, f"{{connectionPool: {{{pool}}}}}", port)) == expected


def test_connect_timeout_and_keepalive(make: Make) -> None:
    found = cluster(
        make,
        "{connectionPool: {tcp: {connectTimeout: 30ms, tcpKeepalive: {probes: 2, time: 60s, interval: 5s}}}}",
    )
    assert found["connect_timeout"] == "0.03s"
    assert found["upstream_connection_options"] == {
        "tcp_keepalive": {"keepalive_probes": 2, "keepalive_time": 60, "keepalive_interval": 5}
    }


@pytest.mark.parametrize(
    ("outlier", "expected"),
    [
        ("{}", {}),
        ("{consecutive5xxErrors: 7}", {"consecutive_5xx": 7, "enforcing_consecutive_5xx": 100}),
        ("{consecutive5xxErrors: 0}", {"consecutive_5xx": 0, "enforcing_consecutive_5xx": 0}),
        (
            "{consecutiveGatewayErrors: 3}",
            {"consecutive_gateway_failure": 3, "enforcing_consecutive_gateway_failure": 100},
        ),
        (
            "{consecutiveGatewayErrors: 0}",
            {"consecutive_gateway_failure": 0, "enforcing_consecutive_gateway_failure": 0},
        ),
        (
            "{interval: 1s, baseEjectionTime: 2m, maxEjectionPercent: 100}",
            {"interval": "1s", "base_ejection_time": "120s", "max_ejection_percent": 100},
        ),
        (
            "{splitExternalLocalOriginErrors: true, consecutiveLocalOriginFailures: 2}",
            {
                "split_external_local_origin_errors": True,
                "enforcing_local_origin_success_rate": 0,
                "consecutive_local_origin_failure": 2,
                "enforcing_consecutive_local_origin_failure": 100,
            },
        ),
        ("{consecutiveErrors: 3}", {}),
    ],
)
def test_outlier_detection(make: Make, outlier: str, expected: dict[str, Any]) -> None:
    found = cluster(make, f"{{outlierDetection: {outlier}}}")
    assert found["outlier_detection"] == {"enforcing_success_rate": 0} | expected
    assert found["common_lb_config"] == {"healthy_panic_threshold": {"value": 0}}


def test_min_health_percent(make: Make) -> None:
    found = cluster(make, "{outlierDetection: {minHealthPercent: 40}}")
    assert found["common_lb_config"] == {"healthy_panic_threshold": {"value": 40}}


def test_endpoints_are_grouped_by_zone_with_weights() -> None:
    pods = [Endpoint(f"p{i}", f"127.0.0.{i}", {}, zone=zone) for i, zone in enumerate("aab")]
    found = load_assignment("c", [(p, 1) for p in pods])
    assert [(e["locality"], e["load_balancing_weight"]) for e in found["endpoints"]] == [
        ({"zone": "a"}, 2),
        ({"zone": "b"}, 1),
    ]
    assert found["endpoints"][1]["lb_endpoints"] == [
        {
            "endpoint": {
                "address": {"socket_address": {"address": "127.0.0.2", "port_value": 1}},
                "hostname": "p2",
            },
            "load_balancing_weight": 1,
        }
    ]
    assert load_assignment("c", []) == {"cluster_name": "c", "endpoints": []}


def test_subsets_are_clusters_of_their_own(make: Make) -> None:
    registry = make(
        "{loadBalancer: {simple: RANDOM}}\n"
        "  subsets: [{name: two, labels: {version: v2}}, {name: none, labels: {x: y}}]"
    )
    found = outbound(registry, lambda s, p: ("127.0.0.1", 1))
    two = NAME.replace("||", "|two|")
    assert set(found.clusters) == {NAME, two, NAME.replace("||", "|none|")}
    assert found.clusters[two]["lb_policy"] == "RANDOM"
    assert found.clusters[two]["eds_cluster_config"]["service_name"] == two
    assert "127.0.1.2" in found.texts[ENDPOINT][two]
    assert "127.0.1.1" not in found.texts[ENDPOINT][two]
    assert found.endpoints[NAME.replace("||", "|none|")]["endpoints"] == []
