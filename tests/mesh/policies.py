"""Istio's mapping of traffic policies by hand: what istiod makes of each field, and where that is written.

`changes` are the top-level fields of the cluster that differ from those without one; None takes it away.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from whichpod.mesh.clusters import HTTP_OPTIONS

MOST = 4294967295
POLICY = "cluster_traffic_policy.go"
BUILDER = "cluster_builder.go"


@dataclass(frozen=True)
class Row:
    policy: str
    changes: dict[str, Any] = field(default_factory=dict)
    source: str = POLICY
    """A file of Istio's pilot/pkg/networking/core, and the function in it."""
    port: str = "grpc"


def limits(**changed: Any) -> dict[str, Any]:
    names = ("max_connections", "max_pending_requests", "max_requests", "max_retries")
    found = dict.fromkeys(names, MOST) | {"track_remaining": True} | changed
    return {"circuit_breakers": {"thresholds": [found]}}


def http(*, common: dict[str, Any] | None = None, **protocol: Any) -> dict[str, Any]:
    found = {"@type": f"type.googleapis.com/{HTTP_OPTIONS}", **protocol}
    if common:
        found["common_http_protocol_options"] = common
    return {"typed_extension_protocol_options": {HTTP_OPTIONS: found}}


H2: dict[str, Any] = {"explicit_http_config": {"http2_protocol_options": {}}}
H1: dict[str, Any] = {"explicit_http_config": {"http_protocol_options": {}}}
BOTH: dict[str, Any] = {
    "use_downstream_protocol_config": {"http_protocol_options": {}, "http2_protocol_options": {}}
}
NO_OPTIONS: dict[str, Any] = {"typed_extension_protocol_options": None}


def ejecting(panic: int = 0, **fields: Any) -> dict[str, Any]:
    return {
        "outlier_detection": {"enforcing_success_rate": 0, **fields},
        "common_lb_config": {"healthy_panic_threshold": {"value": panic}},
    }


def slow(name: str, window: str, aggression: float = 1, percent: float = 10) -> dict[str, Any]:
    config = {
        "slow_start_window": window,
        "aggression": {"default_value": aggression, "runtime_key": "whichpod.slow_start.aggression"},
        "min_weight_percent": {"value": percent},
    }
    return {"lb_policy": name, f"{name.lower()}_lb_config": {"slow_start_config": config}}


def ring(size: int | None) -> dict[str, Any]:
    found: dict[str, Any] = {"lb_policy": "RING_HASH"}
    return found | ({"ring_hash_lb_config": {"minimum_ring_size": size}} if size else {})


LB = f"{POLICY}, applyLoadBalancer"
HASH = f"{POLICY}, ApplyRingHashLoadBalancer"
POOL = f"{POLICY}, applyConnectionPool"
OUTLIER = f"{POLICY}, applyOutlierDetection"
WARMUP = f"{POLICY}, setWarmup"
PLACES = f"{POLICY}, applyLocalityLoadBalancer"
WEIGHTED: dict[str, Any] = {"locality_weighted_lb_config": {}}

ROWS = [
    Row("{}"),
    Row("{loadBalancer: {}}", {}, LB),
    Row("{loadBalancer: {simple: UNSPECIFIED}}", {}, LB),
    Row("{loadBalancer: {simple: LEAST_REQUEST}}", {}, LB),
    Row("{loadBalancer: {simple: LEAST_CONN}}", {}, LB),
    Row("{loadBalancer: {simple: ROUND_ROBIN}}", {"lb_policy": "ROUND_ROBIN"}, LB),
    Row("{loadBalancer: {simple: RANDOM}}", {"lb_policy": "RANDOM"}, LB),
    Row("{loadBalancer: {consistentHash: {useSourceIp: true}}}", ring(1024), HASH),
    Row("{loadBalancer: {consistentHash: {useSourceIp: true, minimumRingSize: 2048}}}", ring(2048), HASH),
    Row("{loadBalancer: {consistentHash: {httpHeaderName: x, ringHash: {}}}}", ring(None), HASH),
    Row(
        "{loadBalancer: {consistentHash: {httpHeaderName: x, ringHash: {minimumRingSize: 7}}}}", ring(7), HASH
    ),
    Row("{loadBalancer: {consistentHash: {httpHeaderName: x, maglev: {}}}}", {"lb_policy": "MAGLEV"}, HASH),
    Row(
        "{loadBalancer: {consistentHash: {httpHeaderName: x, maglev: {tableSize: 101}}}}",
        {"lb_policy": "MAGLEV", "maglev_lb_config": {"table_size": 101}},
        HASH,
    ),
    Row("{loadBalancer: {warmup: {duration: 90s}}}", slow("LEAST_REQUEST", "90s"), WARMUP),
    Row(
        "{loadBalancer: {simple: ROUND_ROBIN, warmup: {duration: 1m, minimumPercent: 20, aggression: 1.5}}}",
        slow("ROUND_ROBIN", "60s", 1.5, 20),
        WARMUP,
    ),
    Row("{loadBalancer: {warmupDurationSecs: 10s}}", slow("LEAST_REQUEST", "10s"), WARMUP),
    Row("{loadBalancer: {simple: RANDOM, warmup: {duration: 90s}}}", {"lb_policy": "RANDOM"}, WARMUP),
    Row("{connectionPool: {tcp: {maxConnections: 3}}}", limits(max_connections=3), POOL),
    Row("{connectionPool: {http: {http1MaxPendingRequests: 3}}}", limits(max_pending_requests=3), POOL),
    Row("{connectionPool: {http: {http2MaxRequests: 3}}}", limits(max_requests=3), POOL),
    Row("{connectionPool: {http: {maxRetries: 3}}}", limits(max_retries=3), POOL),
    Row("{connectionPool: {http: {http2MaxRequests: 0}, tcp: {maxConnections: 0}}}", {}, POOL),
    Row("{connectionPool: {tcp: {connectTimeout: 30ms}}}", {"connect_timeout": "0.03s"}, POOL),
    Row(
        "{connectionPool: {tcp: {tcpKeepalive: {probes: 2, time: 60s, interval: 5s}}}}",
        {
            "upstream_connection_options": {
                "tcp_keepalive": {"keepalive_probes": 2, "keepalive_time": 60, "keepalive_interval": 5}
            }
        },
        f"{BUILDER}, applyTCPKeepalive",
    ),
    Row("{connectionPool: {tcp: {maxConnectionDuration: 1m}}}",
        http(**H2, common={"max_connection_duration": "60s"}), POOL),
    Row("{connectionPool: {tcp: {idleTimeout: 2s}}}", http(**H2, common={"idle_timeout": "2s"}), POOL),
    Row("{connectionPool: {http: {idleTimeout: 1s}, tcp: {idleTimeout: 2s}}}",
        http(**H2, common={"idle_timeout": "1s"}), POOL),
    Row("{connectionPool: {http: {maxRequestsPerConnection: 10}}}",
        http(**H2, common={"max_requests_per_connection": 10}), POOL),
    Row(
        "{connectionPool: {http: {maxConcurrentStreams: 5}}}",
        http(explicit_http_config={"http2_protocol_options": {"max_concurrent_streams": 5}}),
        POOL,
    ),
    Row("{connectionPool: {http: {useClientProtocol: true}}}", http(**BOTH), POOL),
    Row("{connectionPool: {http: {h2UpgradePolicy: DO_NOT_UPGRADE}}}", http(**H2),
        f"{POLICY}, shouldH2Upgrade"),
    Row("{connectionPool: {http: {h2UpgradePolicy: UPGRADE, maxConcurrentStreams: 5}}}", http(**H2),
        f"{BUILDER}, setH2Options"),
    Row("{connectionPool: {http: {h2UpgradePolicy: UPGRADE, useClientProtocol: true}}}", http(**BOTH),
        f"{POLICY}, shouldH2Upgrade"),
    Row("{}", NO_OPTIONS, f"{BUILDER}, setUpstreamProtocol", port="http"),
    Row("{connectionPool: {http: {idleTimeout: 1s}}}", http(**H1, common={"idle_timeout": "1s"}),
        f"{BUILDER}, build", port="http"),
    Row("{connectionPool: {http: {h2UpgradePolicy: UPGRADE}}}", http(**H2), f"{POLICY}, applyH2Upgrade",
        port="http"),
    Row("{}", NO_OPTIONS, f"{BUILDER}, setUpstreamProtocol", port="tcp"),
    Row("{}", http(**BOTH), f"{BUILDER}, setUpstreamProtocol", port="web"),
    Row("{connectionPool: {http: {h2UpgradePolicy: UPGRADE}}}", http(**H2), f"{POLICY}, applyH2Upgrade",
        port="web"),
    Row("{retryBudget: {percent: 25, minRetryConcurrency: 5}}",
        limits(retry_budget={"budget_percent": {"value": 25}, "min_retry_concurrency": 5}),
        f"{POLICY}, applyRetryBudget"),
    Row("{retryBudget: {}}",
        limits(retry_budget={"budget_percent": {"value": 0.2}, "min_retry_concurrency": 3}),
        f"{POLICY}, applyRetryBudget"),
    Row("{outlierDetection: {}}", ejecting(), OUTLIER),
    Row("{outlierDetection: {consecutive5xxErrors: 7}}",
        ejecting(consecutive_5xx=7, enforcing_consecutive_5xx=100), OUTLIER),
    Row("{outlierDetection: {consecutive5xxErrors: 0}}",
        ejecting(consecutive_5xx=0, enforcing_consecutive_5xx=0), OUTLIER),
    Row("{outlierDetection: {consecutiveGatewayErrors: 3}}",
        ejecting(consecutive_gateway_failure=3, enforcing_consecutive_gateway_failure=100), OUTLIER),
    Row("{outlierDetection: {consecutiveGatewayErrors: 0}}",
        ejecting(consecutive_gateway_failure=0, enforcing_consecutive_gateway_failure=0), OUTLIER),
    Row("{outlierDetection: {interval: 1s, baseEjectionTime: 2m, maxEjectionPercent: 100}}",
        ejecting(interval="1s", base_ejection_time="120s", max_ejection_percent=100), OUTLIER),
    Row("{outlierDetection: {minHealthPercent: 40}}", ejecting(40), OUTLIER),
    Row("{outlierDetection: {splitExternalLocalOriginErrors: true, consecutiveLocalOriginFailures: 2}}",
        ejecting(
            split_external_local_origin_errors=True,
            enforcing_local_origin_success_rate=0,
            consecutive_local_origin_failure=2,
            enforcing_consecutive_local_origin_failure=100,
        ), OUTLIER),
    Row("{outlierDetection: {consecutiveLocalOriginFailures: 2}}", ejecting(), OUTLIER),
    Row("{outlierDetection: {consecutiveErrors: 3}}", ejecting(), OUTLIER),
    Row("{loadBalancer: {localityLbSetting: {enabled: true}}}", {}, PLACES),
    Row("{loadBalancer: {localityLbSetting: {distribute: [{from: r/*, to: {r/*: 100}}]}}}",
        {"common_lb_config": WEIGHTED}, PLACES),
    Row("{loadBalancer: {localityLbSetting: {enabled: false, distribute: [{from: r/*, to: {r/*: 100}}]}}}",
        {}, PLACES),
    Row("{loadBalancer: {localityLbSetting: {failover: [{from: r, to: s}]}}}", {}, PLACES),
    Row("{loadBalancer: {localityLbSetting: {failover: [{from: r, to: s}]}}, outlierDetection: {}}",
        ejecting() | {"common_lb_config": {"healthy_panic_threshold": {"value": 0}} | WEIGHTED}, PLACES),
    Row("{loadBalancer: {localityLbSetting: {failoverPriority: [a]}}, outlierDetection: {}}",
        ejecting() | {"common_lb_config": {"healthy_panic_threshold": {"value": 0}} | WEIGHTED}, PLACES),
    Row("{tls: {mode: DISABLE}}", {}, "cluster_tls.go, applyUpstreamTLSSettings"),
    Row("{portLevelSettings: [{port: {number: 80}, loadBalancer: {simple: RANDOM}}]}",
        {"lb_policy": "RANDOM"},
        "networking/util, GetPortLevelTrafficPolicy"),
    Row("{loadBalancer: {simple: RANDOM}, portLevelSettings: [{port: {number: 80}, outlierDetection: {}}]}",
        ejecting(), "networking/util, GetPortLevelTrafficPolicy"),
    Row("{loadBalancer: {simple: RANDOM}, portLevelSettings: [{port: {number: 81}, outlierDetection: {}}]}",
        {"lb_policy": "RANDOM"}, "networking/util, GetPortLevelTrafficPolicy"),
]  # fmt: skip
