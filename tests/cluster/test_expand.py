from __future__ import annotations

import pytest

from whichpod.cluster.local.expand import environment, expand
from whichpod.manifest.kinds import EnvVar


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("$(A)", "1"),
        ("x$(A)$(A)y", "x11y"),
        ("$(NOPE)", "$(NOPE)"),
        ("$$(A)", "$(A)"),
        ("$$$(A)", "$1"),
        ("$A ${A} $", "$A ${A} $"),
        ("$(A", "$(A"),
        ("$()", "$()"),
        ("cost: 5$$", "cost: 5$"),
    ],
)
def test_expansion_as_kubernetes_does_it(text: str, expected: str) -> None:
    assert expand(text, {"A": "1"}) == expected


def test_a_variable_may_refer_to_those_before_it_only() -> None:
    declared = [
        EnvVar("A", "$(B)"),
        EnvVar("B", field_path="status.podIP"),
        EnvVar("C", "$(B):$(A)"),
        EnvVar("CLUSTER_DNS", "10.96.0.10:53"),
    ]
    found = environment(declared, lambda path: f"<{path}>", {"CLUSTER_DNS": "127.9.0.1:53", "OTHER": "x"})
    assert found == {
        "A": "$(B)",
        "B": "<status.podIP>",
        "C": "<status.podIP>:$(B)",
        "CLUSTER_DNS": "127.9.0.1:53",
    }
