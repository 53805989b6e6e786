from __future__ import annotations

import pytest

from whichpod.manifest.load import load_text

RULE = """\
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: r}
spec:
  host: HOST
  trafficPolicy: {loadBalancer: {simple: ROUND_ROBIN}}
  subsets:
  - {name: v1, labels: {version: v1}}
  - {name: v9, labels: {version: v9}}
"""
VIRTUAL = """\
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: v}
spec:
  hosts: [HOST]
  http:
  - route: [{destination: {host: echo, subset: SUBSET}}]
"""


def notes(text: str) -> list[str]:
    return [n.message for n in load_text(text, "f").notes]


@pytest.mark.parametrize(
    "host", ["echo", "echo.default.svc.cluster.local", '"*.default.svc.cluster.local"', '"*.local"', '"*"']
)
def test_a_rule_that_means_a_service(echo: str, host: str) -> None:
    assert notes(echo + RULE.replace("HOST", host)) == [
        "DestinationRule r: the subset v9 matches no pod's labels, so it has no endpoints."
    ]


@pytest.mark.parametrize("host", ["echo.default", "other", "echo.other.svc.cluster.local"])
def test_a_rule_that_means_nothing(echo: str, host: str) -> None:
    (found,) = notes(echo + RULE.replace("HOST", host))
    assert f"the host '{host}' is no Service of these manifests" in found
    assert ("takes a name with a dot in it as complete" in found) is (host == "echo.default")


def test_a_headless_service_ignores_the_balancer(echo: str) -> None:
    text = echo.replace("  selector: {app: echo}\n", "  clusterIP: None\n  selector: {app: echo}\n")
    found = notes(text + RULE.replace("HOST", "echo"))
    assert any("its loadBalancer is ignored, since echo is headless" in n for n in found)


def test_a_route_to_a_subset_that_is_not_there(echo: str) -> None:
    rule = RULE.replace("HOST", "echo").replace("  - {name: v9, labels: {version: v9}}\n", "")
    text = echo + rule + VIRTUAL.replace("HOST", "echo")
    assert notes(text.replace("SUBSET", "v1")) == []
    (found,) = notes(text.replace("SUBSET", "v2"))
    assert "no DestinationRule gives echo a subset 'v2'" in found


def test_a_selector_that_matches_nothing(echo: str) -> None:
    (found,) = notes(echo.replace("selector: {app: echo}\n  ports", "selector: {app: x}\n  ports"))
    assert found == "Service echo: its selector matches no pods of these manifests."


FAILOVER = "loadBalancer: {localityLbSetting: {failover: [{from: a, to: b}]}}"


def test_failover_without_outlier_detection(echo: str) -> None:
    head = echo + RULE.replace("HOST", "echo")[: RULE.index("  trafficPolicy")]
    (found,) = notes(f"{head}  trafficPolicy: {{{FAILOVER}}}\n")
    assert "failover has no effect without outlierDetection" in found
    assert notes(f"{head}  trafficPolicy: {{{FAILOVER}, outlierDetection: {{}}}}\n") == []
    subsets = f"  subsets: [{{name: v1, labels: {{version: v1}}, trafficPolicy: {{{FAILOVER}}}}}]\n"
    assert notes(f"{head}  trafficPolicy: {{outlierDetection: {{}}}}\n{subsets}") == []


def test_two_kinds_of_routes_for_a_service(echo: str) -> None:
    route = (
        "---\napiVersion: gateway.networking.k8s.io/v1\nkind: GRPCRoute\nmetadata: {name: g}\n"
        "spec: {parentRefs: [{group: '', kind: Service, name: echo}], "
        "rules: [{backendRefs: [{name: echo, port: 50051}]}]}\n"
    )
    assert notes(echo + route) == []
    virtual = VIRTUAL.replace("HOST", "echo").replace(", subset: SUBSET", "")
    (found,) = notes(echo + route + virtual)
    assert found == "GRPCRoute g: VirtualService v is for echo too; a caller obeys one of them."


def test_a_service_for_one_pod_of_a_stateful_set(echo: str) -> None:
    text = echo.replace("kind: Deployment", "kind: StatefulSet").replace(
        "selector: {app: echo}", "selector: {statefulset.kubernetes.io/pod-name: echo-3}"
    )
    assert notes(text) == []
    assert notes(text.replace("echo-3", "echo-5")) == [
        "Service echo: its selector matches no pods of these manifests."
    ]
