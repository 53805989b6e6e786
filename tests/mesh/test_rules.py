from __future__ import annotations

from whichpod.manifest.bundle import Bundle
from whichpod.manifest.load import load_text
from whichpod.manifest.traffic import TrafficPolicy
from whichpod.mesh.rules import policy_for, rule_for, virtuals_for

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


def routed(found: Bundle, namespace: str = "shop") -> str | None:
    chosen = virtuals_for(found, found.services[0], namespace)
    return chosen[0].meta.name if chosen else None


def with_export(text: str, export: str) -> str:
    return text.replace("spec:\n", f"spec:\n  exportTo: {export}\n")


def test_which_virtual_service() -> None:
    host = "echo.shop.svc.cluster.local"
    assert routed(bundle()) is None
    assert routed(bundle(virtual("a", "*"), virtual("b", "echo"))) == "b"
    assert routed(bundle(virtual("a", "echo", "client")), "client") is None
    several = bundle(virtual("a", "*"), virtual("b", "*.local"), virtual("d", "echo"), virtual("c", "echo"))
    chosen = virtuals_for(several, several.services[0], "shop")
    assert [v.meta.name for v in chosen] == ["c", "d", "b"]
    # Made by one `kubectl apply`, they are of an age: the name decides. Otherwise the oldest holds.
    b = virtual("b", host)
    assert routed(bundle(b, virtual("a", host, "client")), "client") == "a"
    old = b.replace("name: b", 'name: b, creationTimestamp: "2024-01-01T00:00:00Z"')
    assert routed(bundle(virtual("a", host), old)) == "b"


def test_a_virtual_service_is_for_whom_it_is_exported_to() -> None:
    host = "echo.shop.svc.cluster.local"
    for export, seen in (("['*']", True), ("[client]", True), ("[other, shop]", False), ("['.']", False)):
        found = bundle(with_export(virtual("a", host), export))
        assert (routed(found, "client") == "a") is seen
    own = with_export(virtual("z", host, "client"), "['.']")
    assert routed(bundle(virtual("a", host), own), "client") == "z"
    assert routed(bundle(virtual("a", host), own), "shop") == "a"
    assert routed(bundle(virtual("a", host), with_export(virtual("y", host), "[client]")), "client") == "y"


def grpc_route(name: str, namespace: str) -> str:
    return f"""---
apiVersion: gateway.networking.k8s.io/v1
kind: GRPCRoute
metadata: {{name: {name}, namespace: {namespace}}}
spec:
  parentRefs: [{{group: "", kind: Service, name: echo, namespace: shop}}]
  rules: [{{backendRefs: [{{name: echo, namespace: shop, port: 80}}]}}]
"""


def test_grpc_routes_of_the_caller_come_before_those_of_the_service() -> None:
    found = bundle(grpc_route("a", "shop"), grpc_route("b", "client"), grpc_route("c", "elsewhere"))
    assert [routed(found, n) for n in ("shop", "client", "elsewhere", "x")] == ["a~0", "b~0", "c~0", "a~0"]
    assert routed(bundle(virtual("a", "echo"), grpc_route("b", "shop")), "shop") == "b~0"
    assert routed(bundle(virtual("a", "echo"), grpc_route("b", "shop")), "client") == "a"


def test_a_rule_is_for_whom_it_is_exported_to() -> None:
    host = "echo.shop.svc.cluster.local"
    for export, seen in (("['*']", True), ("[client]", True), ("['.']", False), ("['~']", False)):
        found = bundle(with_export(rule("a", host, "RANDOM"), export))
        assert (chosen(found, "client") == "a") is seen
    assert chosen(bundle(with_export(rule("a", host, "RANDOM"), "['.']")), "shop") == "a"
    private = with_export(rule("private", host, "RANDOM", "istio-system"), "['.']")
    assert chosen(bundle(private), "shop") is None
    assert chosen(bundle(private), "istio-system") == "private"


def selecting(name: str, labels: str, simple: str, subset: str, namespace: str = "shop") -> str:
    host = "echo.shop.svc.cluster.local"
    more = f"  workloadSelector: {{matchLabels: {labels}}}\n  subsets: [{{name: {subset}}}]\n"
    return rule(name, host, simple, namespace, more)


def test_a_rule_for_some_workloads() -> None:
    common = rule("b", "echo", "RANDOM", more="  subsets: [{name: all}]\n")
    found = bundle(common, selecting("c", "{app: x}", "ROUND_ROBIN", "own"))

    def of(namespace: str, labels: dict[str, str] | None) -> tuple[str, list[str]] | None:
        rule = rule_for(found, found.services[0], namespace, labels)
        return (rule.meta.name, [s.name for s in rule.subsets]) if rule else None

    assert of("shop", {"app": "x", "y": "z"}) == ("c", ["own"])
    # As istiod merges: its subsets are added to the rule for all, too.
    assert of("shop", {"app": "y"}) == ("b", ["all", "own"])
    assert of("shop", None) == ("b", ["all", "own"])
    assert of("client", {"app": "x"}) == ("b", ["all", "own"])
    alone = bundle(selecting("c", "{app: x}", "RANDOM", "own"))
    assert rule_for(alone, alone.services[0], "shop", {"app": "y"}) is None
    twice = bundle(
        selecting("c", "{app: x}", "RANDOM", "one"),
        selecting("d", "{app: x}", "RANDOM", "two"),
        selecting("e", "{app: y}", "RANDOM", "three"),
    )
    merged = rule_for(twice, twice.services[0], "shop", {"app": "x"})
    assert merged is not None
    assert [s.name for s in merged.subsets] == ["one", "two"]
