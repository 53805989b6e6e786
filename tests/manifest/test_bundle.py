from __future__ import annotations

import pytest

from whichpod.manifest.load import load_text
from whichpod.model.errors import UsageError


def test_scaled(echo: str) -> None:
    bundle = load_text(echo)
    assert bundle.scaled("echo", 50).deployments[0].replicas == 50
    assert bundle.scaled("default/echo", 0).deployments[0].replicas == 0
    assert bundle.deployments[0].replicas == 5
    with pytest.raises(UsageError, match="no Deployment 'nobody'"):
        bundle.scaled("nobody", 1)
    with pytest.raises(UsageError, match="-1 replicas"):
        bundle.scaled("echo", -1)


def test_behind(echo: str) -> None:
    bundle = load_text(echo)
    assert bundle.behind(bundle.service("echo")) == bundle.deployments
    elsewhere = load_text(
        echo.replace("kind: Service\nmetadata:\n", "kind: Service\nmetadata:\n  namespace: x\n")
    )
    assert elsewhere.behind(elsewhere.service("x/echo")) == ()
    with pytest.raises(UsageError, match="There are: echo"):
        bundle.service("nobody")


@pytest.mark.parametrize(
    ("pod", "namespace", "injected"),
    [
        ("", "", False),
        ("labels", "", True),
        ("annotations", "", True),
        ("refused", "enabled", False),
        ("", "enabled", True),
        ("labels", "disabled", False),
    ],
)
def test_sidecars_are_injected_as_istio_would(echo: str, pod: str, namespace: str, injected: bool) -> None:
    label = 'sidecar.istio.io/inject: "true"'
    text = echo
    if pod == "labels":
        text = echo.replace("version: v1}", f"version: v1, {label}}}")
    elif pod == "refused":
        text = echo.replace("version: v1}", 'version: v1, sidecar.istio.io/inject: "false"}')
    elif pod == "annotations":
        text = echo.replace("    spec:\n", f"      annotations: {{{label}}}\n    spec:\n", 1)
    if namespace:
        labels = f"{{istio-injection: {namespace}}}"
        text += f"---\napiVersion: v1\nkind: Namespace\nmetadata: {{name: default, labels: {labels}}}\n"
    bundle = load_text(text)
    assert bundle.injected(bundle.deployments[0]) is injected
