"""Reads traffic policies (istio.io, Reference, Destination Rule, TrafficPolicy)."""

from __future__ import annotations

from typing import Literal, cast

from whichpod.manifest.fields import Fields
from whichpod.manifest.localities import read_locality
from whichpod.manifest.traffic import (
    ClientTls,
    ConnectionPool,
    ConsistentHash,
    HashCookie,
    HttpPool,
    LoadBalancer,
    OutlierDetection,
    RetryBudget,
    Simple,
    TcpKeepalive,
    TcpPool,
    TrafficPolicy,
    Upgrade,
    Warmup,
)

_LB_FIELDS = ("simple", "consistentHash")
_HASH_KEYS = ("httpHeaderName", "httpCookie", "useSourceIp", "httpQueryParameterName")


def read_policy(p: Fields, *, of_port: bool = False) -> TrafficPolicy:
    """Reads a traffic policy; `of_port`: one of portLevelSettings."""
    found = TrafficPolicy(
        _load_balancer(lb) if (lb := p.child("loadBalancer")) else None,
        _pool(pool) if (pool := p.child("connectionPool")) else None,
        _outlier(outlier) if (outlier := p.child("outlierDetection")) else None,
        _tls(tls) if (tls := p.child("tls")) else None,
        () if of_port else tuple(_port_policy(s) for s in p.children("portLevelSettings")),
        None if of_port or not (budget := p.child("retryBudget")) else _retry_budget(budget),
    )
    if of_port:
        p.silent("port")
    else:
        p.left_out("proxyProtocol", "tunnel")
    p.done()
    return found


def _port_policy(s: Fields) -> tuple[int, TrafficPolicy]:
    number = 0
    if port := s.child("port", required=True):
        number = port.whole("number", low=1, high=65535, required=True)
        port.done()
    return number, read_policy(s, of_port=True)


def _retry_budget(budget: Fields) -> RetryBudget:
    percent = None
    if "percent" in budget:
        percent = budget.number("percent", 0, low=0, high=100)
    budget.silent("percent")
    found = RetryBudget(percent, budget.whole("minRetryConcurrency"))
    budget.done()
    return found


def _tls(tls: Fields) -> ClientTls:
    chosen = tls.choice("mode", ("DISABLE", "ISTIO_MUTUAL"), "DISABLE", beyond=("SIMPLE", "MUTUAL"))
    mode = cast(Literal["DISABLE", "ISTIO_MUTUAL"], chosen)
    files = (
        "caCertificates",
        "caCrl",
        "clientCertificate",
        "credentialName",
        "insecureSkipVerify",
        "privateKey",
    )
    if tls.text("mode") in ("SIMPLE", "MUTUAL"):
        tls.silent(*files)
    else:
        tls.left_out(*files, why="is for the modes SIMPLE and MUTUAL, which are not supported.")
    sni = tls.text("sni")
    names = tls.texts("subjectAltNames") if "subjectAltNames" in tls else None
    tls.silent("subjectAltNames")
    if mode == "DISABLE" and (sni or names):
        tls.note("mode", "DISABLE leaves sni and subjectAltNames without effect.")
    tls.done()
    return ClientTls(mode, sni, names)


def _load_balancer(lb: Fields) -> LoadBalancer:
    if all(f in lb for f in _LB_FIELDS):
        lb.fail("consistentHash", "and simple can't both be given.")
    simple = Simple(lb.choice("simple", list(Simple), Simple.UNSPECIFIED))
    if simple is Simple.LEAST_CONN:
        lb.note("simple", "LEAST_CONN is the old name of LEAST_REQUEST.")
    hashed = _hash(h) if (h := lb.child("consistentHash")) else None
    warmup = _warmup(w) if (w := lb.child("warmup")) else None
    if (old := lb.duration("warmupDurationSecs", low=0.001)) is not None:
        lb.note("warmupDurationSecs", "is deprecated; Istio still reads it. Write warmup.duration.")
        warmup = warmup or Warmup(old)
    locality = read_locality(s) if (s := lb.child("localityLbSetting")) else None
    lb.done()
    if warmup and (hashed or simple in (Simple.RANDOM, Simple.PASSTHROUGH)):
        lb.note("warmup", "has no effect: it is for ROUND_ROBIN and LEAST_REQUEST.")
    return LoadBalancer(lb.where, simple, hashed, warmup, locality)


def _hash(h: Fields) -> ConsistentHash:
    if len([k for k in _HASH_KEYS if k in h]) != 1:
        h.findings.fail(h.where, f"{h.subject}: {h.path} must have one of {', '.join(_HASH_KEYS)}.")
    header, source = h.text("httpHeaderName"), h.flag("useSourceIp")
    query = h.text("httpQueryParameterName")
    cookie = None
    if c := h.child("httpCookie"):
        cookie = HashCookie(c.text("name", required=True), c.text("path"), c.duration("ttl"))
        c.done()
    algorithm: Literal["", "ringHash", "maglev"] = ""
    size = h.whole("minimumRingSize", high=8_388_608)
    if size:
        h.note("minimumRingSize", "is deprecated; Istio still reads it. Write ringHash.minimumRingSize.")
    if "ringHash" in h and "maglev" in h:
        h.fail("maglev", "and ringHash can't both be given.")
    if ring := h.child("ringHash"):
        algorithm, size = "ringHash", ring.whole("minimumRingSize", high=8_388_608)
        ring.done()
    if maglev := h.child("maglev"):
        algorithm, size = "maglev", maglev.whole("tableSize", high=5_000_011)
        if size and any(size % n == 0 for n in range(2, int(size**0.5) + 1)):
            maglev.fail("tableSize", f"must be a prime number, not {size}: Envoy refuses others.")
        maglev.done()
    h.done()
    return ConsistentHash(header, cookie, source, query, algorithm, size)


def _warmup(w: Fields) -> Warmup:
    duration = w.duration("duration", low=0.001)
    if duration is None:
        if "duration" not in w:
            w.fail("duration", "is missing.")
        duration = 1
    found = Warmup(
        duration,
        w.number("minimumPercent", 10, low=0, high=100),
        w.number("aggression", 1, low=1, high=1e6),
    )
    w.done()
    return found


def _pool(pool: Fields) -> ConnectionPool:
    tcp, http = TcpPool(), HttpPool()
    if t := pool.child("tcp"):
        tcp = TcpPool(
            t.whole("maxConnections"),
            t.duration("connectTimeout", low=0.001),
            t.duration("maxConnectionDuration", low=0.001),
            t.duration("idleTimeout"),
            _keepalive(k) if (k := t.child("tcpKeepalive")) else None,
        )
        t.done()
    if h := pool.child("http"):
        http = HttpPool(
            http1_max_pending_requests=h.whole("http1MaxPendingRequests"),
            http2_max_requests=h.whole("http2MaxRequests"),
            max_requests_per_connection=h.whole("maxRequestsPerConnection"),
            max_retries=h.whole("maxRetries"),
            idle_timeout_s=h.duration("idleTimeout"),
            h2_upgrade=cast(
                Upgrade, h.choice("h2UpgradePolicy", ("DEFAULT", "DO_NOT_UPGRADE", "UPGRADE"), "DEFAULT")
            ),
            use_client_protocol=h.flag("useClientProtocol"),
            max_concurrent_streams=h.whole("maxConcurrentStreams"),
        )
        h.done()
        if http.h2_upgrade == "UPGRADE" and http.max_concurrent_streams and not http.use_client_protocol:
            h.note("maxConcurrentStreams", "has no effect with h2UpgradePolicy UPGRADE, which replaces it.")
    pool.done()
    return ConnectionPool(tcp, http)


def _keepalive(k: Fields) -> TcpKeepalive:
    found = TcpKeepalive(k.optional_whole("probes"), k.duration("time", low=1), k.duration("interval", low=1))
    k.done()
    return found


def _outlier(o: Fields) -> OutlierDetection:
    for old, new in (("consecutiveErrors", "consecutive5xxErrors or consecutiveGatewayErrors"),):
        if old in o:
            o.note(old, f"is deprecated and Istio no longer reads it: it has no effect. Write {new}.")
        o.silent(old)
    found = OutlierDetection(
        consecutive_5xx=o.optional_whole("consecutive5xxErrors"),
        consecutive_gateway=o.optional_whole("consecutiveGatewayErrors"),
        split_local_origin=o.flag("splitExternalLocalOriginErrors"),
        consecutive_local_origin=o.optional_whole("consecutiveLocalOriginFailures"),
        interval_s=o.duration("interval", low=0.001),
        base_ejection_s=o.duration("baseEjectionTime", low=0.001),
        max_ejection_percent=o.whole("maxEjectionPercent", high=100),
        min_health_percent=o.whole("minHealthPercent", high=100),
    )
    o.done()
    return found
