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
