"""PeerAuthentication as istiod composes it: what is narrower wins, what is UNSET is inherited."""

from __future__ import annotations

import pytest

from whichpod.manifest.bundle import Bundle
from whichpod.manifest.load import load_text
from whichpod.mesh.peers import mode_for, namespace_mode, ports_with_a_mode
from whichpod.mesh.registry import Endpoint

POD = Endpoint("pod", "127.0.1.1", {"app": "echo", "version": "v1"}, namespace="shop")


def policies(*specs: tuple[str, str]) -> Bundle:
    """Of namespaces and specs."""
    head = (
        "apiVersion: security.istio.io/v1\nkind: PeerAuthentication\nmetadata: {{name: p{}, namespace: {}}}\n"
    )
    texts = (head.format(i, where) + f"spec: {{{spec}}}\n" for i, (where, spec) in enumerate(specs))
    return load_text("---\n".join(texts), "f")


ROOT = ("istio-system", "mtls: {mode: STRICT}")
NAMESPACE = ("shop", "mtls: {mode: DISABLE}")
POD_PERMISSIVE = ("shop", "selector: {matchLabels: {app: echo}}, mtls: {mode: PERMISSIVE}")
UNSET = ("shop", "mtls: {mode: UNSET}")


@pytest.mark.parametrize(
    ("specs", "mode"),
    [
        ([], "PERMISSIVE"),
        ([ROOT], "STRICT"),
        ([ROOT, NAMESPACE], "DISABLE"),
        ([ROOT, NAMESPACE, POD_PERMISSIVE], "PERMISSIVE"),
        ([POD_PERMISSIVE, NAMESPACE, ROOT], "PERMISSIVE"),
        ([ROOT, UNSET], "STRICT"),
        ([UNSET], "PERMISSIVE"),
        ([ROOT, NAMESPACE, ("shop", "selector: {matchLabels: {app: echo}}")], "DISABLE"),
        # Of another namespace, and of other pods.
        ([("other", "mtls: {mode: STRICT}")], "PERMISSIVE"),
        ([NAMESPACE, ("shop", "selector: {matchLabels: {app: x}}, mtls: {mode: STRICT}")], "DISABLE"),
        # Every label must be there.
        ([("shop", "selector: {matchLabels: {app: echo, version: v2}}, mtls: {mode: STRICT}")], "PERMISSIVE"),
        # A selector in the root namespace selects nothing; an empty one is none.
        ([("istio-system", "selector: {matchLabels: {app: echo}}, mtls: {mode: STRICT}")], "PERMISSIVE"),
        ([("shop", "selector: {matchLabels: {}}, mtls: {mode: STRICT}")], "STRICT"),
        # The first of two with the same reach.
        ([NAMESPACE, ("shop", "mtls: {mode: STRICT}")], "DISABLE"),
    ],
)
def test_the_narrower_wins(specs: list[tuple[str, str]], mode: str) -> None:
    assert mode_for(policies(*specs), POD, 50051) == mode


def test_ports() -> None:
    bundle = policies(
        ROOT,
        (
            "shop",
            "selector: {matchLabels: {app: echo}}, mtls: {mode: DISABLE},"
            " portLevelMtls: {80: {mode: STRICT}, 81: {mode: UNSET}}",
        ),
    )
    assert {n: mode_for(bundle, POD, n) for n in (80, 81, 82)} == {80: "STRICT", 81: "DISABLE", 82: "DISABLE"}
    assert ports_with_a_mode(bundle, POD) == (80, 81)
    assert ports_with_a_mode(policies(ROOT), POD) == ()


def test_of_a_namespace() -> None:
    bundle = policies(ROOT, NAMESPACE, POD_PERMISSIVE)
    assert (namespace_mode(bundle, "shop"), namespace_mode(bundle, "other")) == ("DISABLE", "STRICT")
    assert namespace_mode(policies(), "shop") == "PERMISSIVE"
