from __future__ import annotations

import pytest

from whichpod.manifest.load import load_text
from whichpod.manifest.traffic import (
    ClientTls,
    ConnectionPool,
    ConsistentHash,
    DestinationRule,
    Distribute,
    HashCookie,
    HttpPool,
    LocalityLb,
    OutlierDetection,
    RetryBudget,
    Simple,
    TcpKeepalive,
    TcpPool,
    TrafficPolicy,
    Warmup,
)
from whichpod.model.errors import ManifestError

HEAD = (
    "apiVersion: networking.istio.io/{}\nkind: DestinationRule\nmetadata: {{name: r}}\nspec:\n  host: echo\n"
)


def rule(spec: str, version: str = "v1") -> DestinationRule:
    (found,) = load_text(HEAD.format(version) + spec, "f").destination_rules
    return found


def policy(text: str) -> TrafficPolicy:
    found = rule(f"  trafficPolicy: {text}").policy
    assert found is not None
    return found


@pytest.mark.parametrize("version", ["v1", "v1beta1", "v1alpha3"])
def test_versions(version: str) -> None:
    assert rule("", version).policy is None


@pytest.mark.parametrize("simple", list(Simple))
def test_simple(simple: Simple) -> None:
    lb = policy(f"{{loadBalancer: {{simple: {simple}}}}}").load_balancer
    assert lb is not None
    assert lb.simple is simple
    assert lb.where.line == 6


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("httpHeaderName: x-user", ConsistentHash(header="x-user")),
        ("useSourceIp: true", ConsistentHash(use_source_ip=True)),
        ("httpQueryParameterName: q", ConsistentHash(query_parameter="q")),
        ("httpCookie: {name: c, ttl: 0s}", ConsistentHash(cookie=HashCookie("c", ttl_s=0))),
        ("useSourceIp: true, ringHash: {}", ConsistentHash(use_source_ip=True, algorithm="ringHash")),
        (
            "useSourceIp: true, ringHash: {minimumRingSize: 9}",
            ConsistentHash(use_source_ip=True, algorithm="ringHash", size=9),
        ),
        (
            "useSourceIp: true, maglev: {tableSize: 101}",
            ConsistentHash(use_source_ip=True, algorithm="maglev", size=101),
        ),
        ("useSourceIp: true, minimumRingSize: 9", ConsistentHash(use_source_ip=True, size=9)),
    ],
)
def test_consistent_hash(text: str, expected: ConsistentHash) -> None:
    lb = policy(f"{{loadBalancer: {{consistentHash: {{{text}}}}}}}").load_balancer
    assert lb is not None
    assert lb.consistent_hash == expected


def locality(text: str) -> LocalityLb | None:
    lb = policy(f"{{loadBalancer: {{localityLbSetting: {{{text}}}}}}}").load_balancer
    return lb.locality if lb else None


def test_places() -> None:
    assert locality("enabled: true") == LocalityLb()
    assert locality("enabled: false") == LocalityLb(enabled=False)
    distribute = "distribute: [{from: r/z/*, to: {r/z/s: 70, r/y: 30}}, {from: '*', to: {'*': 100}}]"
    assert locality(distribute) == LocalityLb(
        distribute=(Distribute("r/z/*", (("r/z/s", 70), ("r/y", 30))), Distribute("*", (("*", 100),)))
    )
    both = "failover: [{from: a, to: b}], failoverPriority: [topology.istio.io/network=n, zone]"
    assert locality(both) == LocalityLb(
        failover=(("a", "b"),), failover_priority=("topology.istio.io/network=n", "zone")
    )


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("distribute: [{from: a, to: {b: 99}}]", "add up to 99, not 100"),
        ("distribute: [{from: a, to: {b: 0, c: 100}}]", "from 1 to 100"),
        ("distribute: [{from: a/*/c, to: {b: 100}}]", "'a/*/c' is no place"),
        ("distribute: [{from: a, to: {b/c/d/e: 100}}]", "'b/c/d/e' is no place"),
        ("distribute: [{from: a, to: {b: 100}}, {from: a, to: {c: 100}}]", "the origin 'a' twice"),
        ("distribute: [{from: a, to: {b: 100}}], failover: [{from: a, to: b}]", "can't both be given"),
        ("failover: [{from: a, to: a}]", "must be another region"),
        ("failover: [{from: a/b, to: c}]", "must be a region"),
        ("failoverPriority: [a, a=b]", "the label 'a' twice"),
    ],
)
def test_places_that_are_refused(text: str, says: str) -> None:
    with pytest.raises(ManifestError) as caught:
        locality(text)
    assert says in caught.value.message


def test_whom_a_rule_is_for() -> None:
    found = rule("  exportTo: [., shop]\n  workloadSelector: {matchLabels: {app: x}}\n")
    assert found.export_to == (".", "shop")
    assert found.workload_selector == {"app": "x"}
    assert (rule("").export_to, rule("").workload_selector) == ((), None)


def test_retry_budget() -> None:
    assert policy("{retryBudget: {}}").retry_budget == RetryBudget()
    found = policy("{retryBudget: {percent: 12.5, minRetryConcurrency: 4}}").retry_budget
    assert found == RetryBudget(12.5, 4)


def test_a_whole_policy() -> None:
    found = policy("""
    loadBalancer:
      simple: LEAST_REQUEST
      warmup: {duration: 1m30s, minimumPercent: 20, aggression: 1.5}
      localityLbSetting: {enabled: false}
    connectionPool:
      tcp:
        maxConnections: 1
        connectTimeout: 30ms
        maxConnectionDuration: 1h
        idleTimeout: 5s
        tcpKeepalive: {probes: 3, time: 7200s, interval: 75s}
      http:
        http1MaxPendingRequests: 2
        http2MaxRequests: 3
        maxRequestsPerConnection: 4
        maxRetries: 5
        idleTimeout: 6s
        h2UpgradePolicy: UPGRADE
        useClientProtocol: true
        maxConcurrentStreams: 7
    outlierDetection:
      consecutive5xxErrors: 0
      consecutiveGatewayErrors: 2
      splitExternalLocalOriginErrors: true
      consecutiveLocalOriginFailures: 3
      interval: 1s
      baseEjectionTime: 2s
      maxEjectionPercent: 100
      minHealthPercent: 50
    tls: {mode: DISABLE}
    portLevelSettings:
    - port: {number: 80}
      loadBalancer: {simple: RANDOM}
""")
    assert found.load_balancer is not None
    assert found.load_balancer.warmup == Warmup(90, 20, 1.5)
    assert found.connection_pool == ConnectionPool(
        TcpPool(1, 0.03, 3600, 5, TcpKeepalive(3, 7200, 75)), HttpPool(2, 3, 4, 5, 6, "UPGRADE", True, 7)
    )
    assert found.outlier_detection == OutlierDetection(0, 2, True, 3, 1, 2, 100, 50)
    assert found.tls == ClientTls("DISABLE")
    ((number, of_port),) = found.ports
    assert number == 80
    assert of_port.load_balancer is not None
    assert of_port.load_balancer.simple is Simple.RANDOM
    assert of_port.connection_pool is None


@pytest.mark.parametrize(
    ("text", "path", "says"),
    [
        (
            "outlierDetection: {consecutiveErrors: 3}",
            "outlierDetection.consecutiveErrors",
            "no longer reads it",
        ),
        ("loadBalancer: {simple: LEAST_CONN}", "loadBalancer.simple", "old name of LEAST_REQUEST"),
        ("loadBalancer: {warmupDurationSecs: 10s}", "loadBalancer.warmupDurationSecs", "still reads it"),
        ("tls: {mode: DISABLE, sni: a.b}", "tls.mode", "without effect"),
        (
            "loadBalancer: {consistentHash: {useSourceIp: true, minimumRingSize: 9}}",
            "loadBalancer.consistentHash.minimumRingSize",
            "deprecated",
        ),
    ],
)
def test_notes(text: str, path: str, says: str) -> None:
    notes = load_text(HEAD.format("v1") + f"  trafficPolicy: {{{text}}}", "f").notes
    (found,) = [n.message for n in notes if path in n.message]
    assert f"spec.trafficPolicy.{path}" in found
    assert says in found


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("{}", ClientTls("DISABLE")),
        ("{mode: ISTIO_MUTUAL}", ClientTls("ISTIO_MUTUAL")),
        (
            "{mode: ISTIO_MUTUAL, sni: a.b, subjectAltNames: [spiffe://c]}",
            ClientTls("ISTIO_MUTUAL", "a.b", ("spiffe://c",)),
        ),
        ("{mode: ISTIO_MUTUAL, subjectAltNames: []}", ClientTls("ISTIO_MUTUAL", "", ())),
    ],
)
def test_tls(text: str, found: ClientTls) -> None:
    assert policy(f"{{tls: {text}}}").tls == found


def test_deprecated_warmup_still_works() -> None:
    lb = policy("{loadBalancer: {warmupDurationSecs: 10s}}").load_balancer
    assert lb is not None
    assert lb.warmup == Warmup(10)


@pytest.mark.parametrize(
    ("spec", "says"),
    [
        ("  trafficPolicy: {loadBalancer: {simple: FASTEST}}", "simple 'FASTEST' is not understood"),
        ("  trafficPolicy: {loadBalancer: {simple: RANDOM, consistentHash: {useSourceIp: true}}}", "both"),
        ("  trafficPolicy: {loadBalancer: {consistentHash: {}}}", "must have one of httpHeaderName"),
        (
            "  trafficPolicy: {loadBalancer: {consistentHash: {useSourceIp: true, maglev: {tableSize: 9}}}}",
            "prime",
        ),
        ("  trafficPolicy: {loadBalancer: {warmup: {}}}", "warmup.duration is missing"),
        ("  trafficPolicy: {connectionPool: {tcp: {connectTimeout: 10}}}", "must be text, not a number"),
        ("  trafficPolicy: {connectionPool: {tcp: {connectTimeout: 10 s}}}", "is not a duration"),
        ("  trafficPolicy: {connectionPool: {tcp: {connectTimeout: 0s}}}", "out of range"),
        ("  trafficPolicy: {connectionPool: {http: {maxConns: 1}}}", "http.maxConns is not understood"),
        ("  trafficPolicy: {outlierDetection: {maxEjectionPercent: 101}}", "from 0 to 100"),
        ("  trafficPolicy: {tls: {mode: SIMPLE}}", "SIMPLE is not supported"),
        (
            "  trafficPolicy: {portLevelSettings: [{loadBalancer: {}}]}",
            "portLevelSettings[0].port is missing",
        ),
        (
            "  trafficPolicy: {portLevelSettings: [{port: {number: 1}, portLevelSettings: []}]}",
            "portLevelSettings[0].portLevelSettings is not understood",
        ),
        ("  subsets: [{name: a}, {name: a}]", "the name 'a' twice"),
        ("  subsets: [{labels: {a: b}}]", "subsets[0].name is missing"),
        ("  exportTo: ['*', a]", "which Istio refuses"),
        ("  exportTo: [A]", "'A' is no namespace"),
        ("  workloadSelector: []", "workloadSelector must be an object"),
        ("  trafficPolicy: {tunnel: {}}", "tunnel is not supported"),
        ("  trafficPolicy: {retryBudget: {percent: 101}}", "from 0 to 100"),
    ],
)
def test_what_is_refused(spec: str, says: str) -> None:
    with pytest.raises(ManifestError) as caught:
        rule(spec)
    assert says in caught.value.message
