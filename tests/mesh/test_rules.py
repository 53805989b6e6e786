from __future__ import annotations

from whichpod.manifest.bundle import Bundle
from whichpod.manifest.load import load_text
from whichpod.manifest.traffic import TrafficPolicy
from whichpod.mesh.rules import policy_for, rule_for, virtual_for

SERVICE = """\
apiVersion: v1
kind: Service
metadata: {name: echo, namespace: shop}
spec: {ports: [{name: grpc, port: 80}, {name: other, port: 81}]}
"""


def rule(name: str, host: str, simple: str, namespace: str = "shop", more: str = "") -> str:
    return f"""---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {{name: {name}, namespace: {namespace}}}
spec:
  host: "{host}"
  trafficPolicy: {{loadBalancer: {{simple: {simple}}}}}
{more}"""


def virtual(name: str, host: str, namespace: str = "shop") -> str:
    return f"""---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {{name: {name}, namespace: {namespace}}}
spec:
  hosts: ["{host}"]
  http: [{{route: [{{destination: {{host: echo}}}}]}}]
"""


def bundle(*texts: str) -> Bundle:
    return load_text(SERVICE + "".join(texts))


def chosen(found: Bundle, namespace: str = "shop") -> str | None:
    rule = rule_for(found, found.services[0], namespace)
    return rule.meta.name if rule else None


def test_a_short_host_is_of_the_rules_own_namespace() -> None:
    assert chosen(bundle(rule("a", "echo", "RANDOM"))) == "a"
    assert chosen(bundle(rule("a", "echo", "RANDOM", "other"))) is None
    assert chosen(bundle(rule("a", "echo.shop", "RANDOM"))) is None
    assert chosen(bundle(rule("a", "echo.shop.svc.cluster.local", "RANDOM"))) == "a"


def test_the_most_specific_host_wins() -> None:
    everything = rule("all", "*", "RANDOM")
    shop = rule("shop", "*.shop.svc.cluster.local", "RANDOM")
    assert chosen(bundle(everything)) == "all"
    assert chosen(bundle(everything, shop)) == "shop"
    assert chosen(bundle(everything, shop, rule("echo", "echo", "RANDOM"))) == "echo"


def test_the_clients_namespace_comes_before_the_services_and_the_root() -> None:
    host = "echo.shop.svc.cluster.local"
    root = rule("root", host, "RANDOM", "istio-system")
    own = rule("service", host, "RANDOM")
    client = rule("client", "*", "RANDOM", "client")
    assert chosen(bundle(root), "client") == "root"
    assert chosen(bundle(root, own), "client") == "service"
    assert chosen(bundle(root, own, client), "client") == "client"
    assert chosen(bundle(root, own, client), "elsewhere") == "service"


def test_rules_for_one_host_are_merged() -> None:
    second = rule("b", "echo", "ROUND_ROBIN", more="  subsets: [{name: v1, labels: {v: '9'}}, {name: v2}]\n")
    first = rule("a", "echo", "RANDOM", more="  subsets: [{name: v1, labels: {v: '1'}}]\n")
    found = bundle(first, second)
    merged = rule_for(found, found.services[0], "shop")
    assert merged is not None
    assert balancer(policy_for(merged, 80)) == "RANDOM"
    assert [(s.name, dict(s.labels)) for s in merged.subsets] == [("v1", {"v": "1"}), ("v2", {})]


def balancer(policy: TrafficPolicy) -> str:
    return policy.load_balancer.simple.value if policy.load_balancer else "unset"


LAYERS = """---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: echo, namespace: shop}
spec:
  host: echo
  trafficPolicy:
    loadBalancer: {simple: RANDOM}
    outlierDetection: {consecutive5xxErrors: 1}
    portLevelSettings:
    - port: {number: 81}
      connectionPool: {tcp: {maxConnections: 5}}
  subsets:
  - name: plain
  - name: own
    trafficPolicy: {loadBalancer: {simple: ROUND_ROBIN}}
  - name: port
    trafficPolicy:
      loadBalancer: {simple: ROUND_ROBIN}
      portLevelSettings: [{port: {number: 80}, outlierDetection: {consecutive5xxErrors: 9}}]
"""


def layered(subset: str, port: int) -> tuple[str, int | None, int]:
    found = bundle(LAYERS)
    rule = rule_for(found, found.services[0], "shop")
    assert rule is not None
    one = next((s for s in rule.subsets if s.name == subset), None)
    policy = policy_for(rule, port, one)
    outlier = policy.outlier_detection.consecutive_5xx if policy.outlier_detection else None
    pool = policy.connection_pool.tcp.max_connections if policy.connection_pool else 0
    return balancer(policy), outlier, pool


def test_port_level_settings_replace_and_subsets_inherit() -> None:
    assert layered("", 80) == ("RANDOM", 1, 0)
    assert layered("", 81) == ("unset", None, 5)
    assert layered("plain", 80) == ("RANDOM", 1, 0)
    assert layered("plain", 81) == ("unset", None, 5)
    assert layered("own", 80) == ("ROUND_ROBIN", 1, 0)
    assert layered("own", 81) == ("ROUND_ROBIN", None, 5)
    assert layered("port", 80) == ("unset", 9, 0)
    assert layered("port", 81) == ("ROUND_ROBIN", None, 5)
    assert policy_for(None, 80) == TrafficPolicy()


def test_which_virtual_service() -> None:
    def name(found: Bundle, namespace: str) -> str | None:
        chosen = virtual_for(found, found.services[0], namespace)
        return chosen.meta.name if chosen else None

    host = "echo.shop.svc.cluster.local"
    assert name(bundle(), "shop") is None
    assert name(bundle(virtual("a", "echo"), virtual("b", "echo")), "shop") == "a"
    assert name(bundle(virtual("a", "*"), virtual("b", "echo")), "shop") == "b"
    assert name(bundle(virtual("a", host), virtual("b", host, "client")), "client") == "b"
    assert name(bundle(virtual("a", "echo", "client")), "client") is None
