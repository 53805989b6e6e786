"""Clusters and their endpoints, as istiod builds them.

Source: Istio, pilot/pkg/networking/core, cluster_builder.go and cluster_traffic_policy.go.
"""

from __future__ import annotations

from whichpod.manifest.traffic import (
    ConnectionPool,
    ConsistentHash,
    LoadBalancer,
    OutlierDetection,
    RetryBudget,
    Simple,
    TcpKeepalive,
    TrafficPolicy,
    Warmup,
)
from whichpod.mesh.pieces import MOST, JsonObject, ads, duration, typed
from whichpod.mesh.protocol import Wire
from whichpod.mesh.rules import is_passthrough

HTTP_OPTIONS = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
CONNECT_TIMEOUT_S = 10.0
"""meshConfig.connectTimeout's default."""
DEFAULT_BUDGET_PERCENT = 0.2


def outbound_name(port: int, subset: str, host: str) -> str:
    """The name that istiod gives a cluster of a Service's port or of a subset."""
    return f"outbound|{port}|{subset}|{host}"


def outbound_cluster(
    name: str, wire: Wire, policy: TrafficPolicy, *, passing: bool = False, weighted: bool = False
) -> JsonObject:
    """The cluster of a destination for a caller's sidecar; `passing` passes connections on to where they were
    going, whatever the balancer is; `weighted` heeds the weights of places."""
    found = base_cluster(name, wire, policy.connection_pool or ConnectionPool(), policy.retry_budget)
    pool = (policy.connection_pool or ConnectionPool()).http
    if pool.h2_upgrade == "UPGRADE" and not pool.use_client_protocol:
        # istiod sets these options anew, and forgets maxConcurrentStreams.
        _options(found)["explicit_http_config"] = {"http2_protocol_options": {}}
        _options(found).pop("use_downstream_protocol_config", None)
    if policy.outlier_detection:
        found["outlier_detection"] = outlier_detection(policy.outlier_detection)
        found["common_lb_config"]["healthy_panic_threshold"] = {
            "value": policy.outlier_detection.min_health_percent
        }
    if weighted:
        found["common_lb_config"]["locality_weighted_lb_config"] = {}
    if passing or is_passthrough(policy):
        return found | {"type": "ORIGINAL_DST", "lb_policy": "CLUSTER_PROVIDED"}
    return found | eds(name) | load_balancer(policy.load_balancer)


def base_cluster(
    name: str, wire: Wire, pool: ConnectionPool, budget: RetryBudget | None = None
) -> JsonObject:
    """What clusters of both directions share: the connection pool, its limits and the upstream protocol."""
    found: JsonObject = {
        "name": name,
        "connect_timeout": duration(pool.tcp.connect_timeout_s or CONNECT_TIMEOUT_S),
        "circuit_breakers": {"thresholds": [_thresholds(pool, budget)]},
        "common_lb_config": {},
    }
    if pool.tcp.keepalive:
        found["upstream_connection_options"] = {"tcp_keepalive": _keepalive(pool.tcp.keepalive)}
    common: JsonObject = {}
    idle = pool.http.idle_timeout_s if pool.http.idle_timeout_s is not None else pool.tcp.idle_timeout_s
    if idle is not None:
        common["idle_timeout"] = duration(idle)
    if pool.http.max_requests_per_connection:
        common["max_requests_per_connection"] = pool.http.max_requests_per_connection
    if pool.tcp.max_connection_duration_s is not None:
        common["max_connection_duration"] = duration(pool.tcp.max_connection_duration_s)
    protocol = _protocol(wire, pool, bool(common))
    if protocol:
        _options(found).update(protocol)
    if common:
        _options(found)["common_http_protocol_options"] = common
    return found


def _protocol(wire: Wire, pool: ConnectionPool, needed: bool) -> JsonObject:
    """HttpProtocolOptions.upstream_protocol_options; nothing means HTTP/1.1."""
    if pool.http.use_client_protocol or wire is Wire.SNIFFED:
        return {"use_downstream_protocol_config": {"http_protocol_options": {}, "http2_protocol_options": {}}}
    if wire is Wire.HTTP2:
        return {
            "explicit_http_config": {"http2_protocol_options": _streams(pool.http.max_concurrent_streams)}
        }
    return {"explicit_http_config": {"http_protocol_options": {}}} if needed else {}


def _streams(most: int) -> JsonObject:
    return {"max_concurrent_streams": most} if most else {}


def _options(cluster: JsonObject) -> JsonObject:
    options: JsonObject = cluster.setdefault("typed_extension_protocol_options", {})
    found: JsonObject = options.setdefault(HTTP_OPTIONS, typed("upstreams.http.v3.HttpProtocolOptions"))
    return found


def _thresholds(pool: ConnectionPool, budget: RetryBudget | None) -> JsonObject:
    found: JsonObject = {
        "max_connections": pool.tcp.max_connections or MOST,
        "max_pending_requests": pool.http.http1_max_pending_requests or MOST,
        "max_requests": pool.http.http2_max_requests or MOST,
        "max_retries": pool.http.max_retries or MOST,
        "track_remaining": True,
    }
    if budget:
        # Istio documents 20 % as the default; istiod writes 0.2 where Envoy reads percent.
        percent = DEFAULT_BUDGET_PERCENT if budget.percent is None else budget.percent
        found["retry_budget"] = {
            "budget_percent": {"value": percent},
            "min_retry_concurrency": budget.min_retry_concurrency or 3,
        }
    return found


def _keepalive(k: TcpKeepalive) -> JsonObject:
    found: JsonObject = {}
    if k.probes is not None:
        found["keepalive_probes"] = k.probes
    if k.time_s is not None:
        found["keepalive_time"] = int(k.time_s)
    if k.interval_s is not None:
        found["keepalive_interval"] = int(k.interval_s)
    return found


def outlier_detection(o: OutlierDetection) -> JsonObject:
    """Envoy's outlier detection. Success rate ejection is off, as istiod turns it off."""
    found: JsonObject = {"enforcing_success_rate": 0}
    if o.consecutive_5xx is not None:
        found["consecutive_5xx"] = o.consecutive_5xx
        found["enforcing_consecutive_5xx"] = 100 if o.consecutive_5xx else 0
    if o.consecutive_gateway is not None:
        found["consecutive_gateway_failure"] = o.consecutive_gateway
        found["enforcing_consecutive_gateway_failure"] = 100 if o.consecutive_gateway else 0
    if o.interval_s is not None:
        found["interval"] = duration(o.interval_s)
    if o.base_ejection_s is not None:
        found["base_ejection_time"] = duration(o.base_ejection_s)
    if o.max_ejection_percent:
        found["max_ejection_percent"] = o.max_ejection_percent
    if o.split_local_origin:
        found["split_external_local_origin_errors"] = True
        found["enforcing_local_origin_success_rate"] = 0
        if o.consecutive_local_origin:
            found["consecutive_local_origin_failure"] = o.consecutive_local_origin
            found["enforcing_consecutive_local_origin_failure"] = 100
    return found


def load_balancer(lb: LoadBalancer | None) -> JsonObject:
    """`lb_policy` and its settings. Unset, LEAST_REQUEST and LEAST_CONN are all LEAST_REQUEST."""
    if lb is None:
        return {"lb_policy": "LEAST_REQUEST"}
    if lb.consistent_hash:
        return hash_balancer(lb.consistent_hash)
    if lb.simple is Simple.RANDOM:
        return {"lb_policy": "RANDOM"}
    name = "ROUND_ROBIN" if lb.simple is Simple.ROUND_ROBIN else "LEAST_REQUEST"
    found: JsonObject = {"lb_policy": name}
    if lb.warmup:
        found[f"{name.lower()}_lb_config"] = {"slow_start_config": _slow_start(lb.warmup)}
    return found


def hash_balancer(h: ConsistentHash) -> JsonObject:
    """A ring or a Maglev table; istiod's ring is 1024 where no algorithm was named, as is Envoy's own."""
    if h.algorithm == "maglev":
        found: JsonObject = {"lb_policy": "MAGLEV"}
        return found | ({"maglev_lb_config": {"table_size": h.size}} if h.size else {})
    found = {"lb_policy": "RING_HASH"}
    if h.algorithm == "ringHash" and not h.size:
        return found
    return found | {"ring_hash_lb_config": {"minimum_ring_size": h.size or 1024}}


def _slow_start(w: Warmup) -> JsonObject:
    return {
        "slow_start_window": duration(w.duration_s),
        "aggression": {"default_value": w.aggression, "runtime_key": "whichpod.slow_start.aggression"},
        "min_weight_percent": {"value": w.minimum_percent},
    }


def eds(name: str) -> JsonObject:
    """A cluster's endpoints come over ADS."""
    return {"type": "EDS", "eds_cluster_config": {"service_name": name, "eds_config": ads()}}
