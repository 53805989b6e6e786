"""What pods may do, and the namespace that holds them to it."""

from __future__ import annotations

from typing import Any

import pytest

from tests.kubernetes.manifests import MARKS, deployment, dressed, raw, validate
from whichpod.cluster.kubernetes.dress import namespace_document
from whichpod.cluster.kubernetes.harden import pod_security
from whichpod.cluster.kubernetes.names import ours
from whichpod.model.errors import UsageError

BIND = "NET_BIND_SERVICE"


def test_a_run_has_a_namespace_of_its_own() -> None:
    found = namespace_document("whichpod-r1", run="r1")
    validate(found, "1.33")
    assert ours(found, "r1")
    assert found["metadata"]["labels"] == MARKS | {"pod-security.kubernetes.io/enforce": "restricted"}
    with pytest.raises(UsageError):
        namespace_document("Whichpod", run="r1")


@pytest.mark.parametrize(
    ("row", "istio_init", "expected"),
    [
        ("clusterip", True, "restricted"),
        ("istio", False, "restricted"),
        ("istio", True, "privileged"),
        ("edge-nginx", True, "baseline"),
    ],
)
def test_a_namespace_is_as_strict_as_its_pods_allow(row: str, istio_init: bool, expected: str) -> None:
    assert pod_security(dressed(raw(row)), istio_init=istio_init) == expected


@pytest.mark.parametrize(
    ("pod", "container", "expected"),
    [
        ({"hostNetwork": True}, {}, "privileged"),
        ({"volumes": [{"name": "x", "hostPath": {"path": "/"}}]}, {}, "privileged"),
        ({}, {"ports": [{"containerPort": 1, "hostPort": 1}]}, "privileged"),
        ({}, {"securityContext": {"privileged": True}}, "privileged"),
        ({}, {"securityContext": {"capabilities": {"add": ["NET_ADMIN"]}}}, "privileged"),
        ({"securityContext": {"seccompProfile": {"type": "Unconfined"}}}, {}, "privileged"),
        ({}, {"securityContext": {"capabilities": {"add": ["CHOWN"]}}}, "baseline"),
        ({}, {"securityContext": {"runAsUser": 0}}, "baseline"),
        ({"securityContext": {"runAsUser": 0}}, {}, "baseline"),
        ({"volumes": [{"name": "x", "nfs": {"path": "/", "server": "s"}}]}, {}, "baseline"),
        ({"volumes": [{"name": "x", "emptyDir": {}}]}, {}, "restricted"),
        ({}, {"securityContext": {"capabilities": {"drop": ["ALL"], "add": [BIND]}}}, "restricted"),
    ],
)  # fmt: skip
def test_levels_are_those_of_the_pod_security_standards(
    pod: dict[str, Any], container: dict[str, Any], expected: str
) -> None:
    given = deployment(**pod)
    given["spec"]["template"]["spec"]["containers"][0] |= container
    assert pod_security(dressed([given]), istio_init=True) == expected
