from __future__ import annotations

import json

import pytest

from whichpod.cluster.kubernetes.errors import (
    ApiError,
    ForbiddenError,
    Request,
    UnknownUserError,
    UnreachableError,
    refused,
)
from whichpod.cluster.kubernetes.kinds import DEPLOYMENT, NAMESPACE, POD, SERVICE, kind_of
from whichpod.model.errors import ClusterLostError, ExitCode, UsageError


def status(message: str, reason: str = "", **details: object) -> bytes:
    return json.dumps(
        {"kind": "Status", "status": "Failure", "message": message, "reason": reason, "details": details}
    ).encode()


def test_forbidden_names_the_rule_of_the_role_that_grants_it() -> None:
    said = 'pods is forbidden: User "ann" cannot get resource "pods/log" in API group "" in the namespace "x"'
    error = refused(403, status(said, "Forbidden"), Request("get", POD, "x", "echo-1", "log"))
    assert isinstance(error, ForbiddenError)
    assert error.message == f"To get pods/log echo-1 in x is forbidden: {said}"
    assert error.fix == (
        'Your user needs a Role in x with the rule {apiGroups: [""], resources: ["pods/log"], verbs: ["get"]}'
    )
    assert error.exit_code is ExitCode.FAILED


def test_what_is_not_a_namespaces_needs_a_cluster_role() -> None:
    error = refused(403, status("no", "Forbidden"), Request("create", NAMESPACE, "", "whichpod-1"))
    assert "a ClusterRole with the rule" in error.fix
    error = refused(403, status("no", "Forbidden"), Request("list", DEPLOYMENT))
    assert 'a ClusterRole with the rule {apiGroups: ["apps"], resources: ["deployments"]' in error.fix
    assert error.message.startswith("To list deployments.apps is forbidden")


@pytest.mark.parametrize(
    ("message", "causes", "fix"),
    [
        ("forbidden: exceeded quota: small, requested: pods=1", [], "quota"),
        ('pods "a" is forbidden: violates PodSecurity "restricted:latest"', [], "Pod Security"),
        ('admission webhook "v" denied the request: no tags', [], "policy"),
        ("unable to create new content", [{"reason": "NamespaceTerminating"}], "being deleted"),
    ],
)
def test_other_reasons_for_403_are_no_matter_of_roles(
    message: str, causes: list[dict[str, str]], fix: str
) -> None:
    error = refused(403, status(message, "Forbidden", causes=causes), Request("patch", DEPLOYMENT, "x", "a"))
    assert fix in error.fix
    assert "Role" not in error.fix


def test_credentials_that_are_refused_end_a_whole_run() -> None:
    error = refused(401, status("Unauthorized", "Unauthorized"), Request("get", POD, "x", "a"))
    assert isinstance(error, UnknownUserError)
    assert isinstance(error, ClusterLostError)
    assert "credentials" in error.message
    assert "expired" in error.fix
    assert isinstance(UnreachableError("x"), ClusterLostError)


def test_a_conflict_names_the_manager_and_the_field() -> None:
    cause = {
        "reason": "FieldManagerConflict",
        "message": 'conflict with "argocd" using apps/v1',
        "field": ".spec.replicas",
    }
    error = refused(
        409, status("Apply failed", "Conflict", causes=[cause]), Request("patch", DEPLOYMENT, "x", "a")
    )
    assert 'conflict with "argocd" using apps/v1: .spec.replicas' in error.message


@pytest.mark.parametrize(
    "body", [b"", b"<html>502 Bad Gateway</html>", b"[]", b'{"message": 7}', b"\xff\xfe"]
)
def test_answers_that_are_no_status(body: bytes) -> None:
    error = refused(502, body, Request("get", SERVICE, "x", "a"))
    assert type(error) is ApiError
    assert error.status == 502
    assert "control plane" in error.fix


def test_long_messages_are_cut() -> None:
    error = refused(422, status("x" * 5000), Request("patch", SERVICE, "x", "a"))
    assert len(error.message) < 500


def test_paths() -> None:
    assert POD.path("x", "a:8080", "proxy") == "/api/v1/namespaces/x/pods/a:8080/proxy"
    assert DEPLOYMENT.path() == "/apis/apps/v1/deployments"
    assert NAMESPACE.path("ignored", "x") == "/api/v1/namespaces/x"
    assert POD.path("x", "a/../../b") == "/api/v1/namespaces/x/pods/a%2F..%2F..%2Fb"


def test_kinds_of_objects_keep_their_version() -> None:
    found = kind_of({"apiVersion": "networking.istio.io/v1beta1", "kind": "DestinationRule"})
    assert found.path("x") == "/apis/networking.istio.io/v1beta1/namespaces/x/destinationrules"
    with pytest.raises(UsageError, match="is not a kind"):
        kind_of({"apiVersion": "example.org/v1", "kind": "Thing"})
    with pytest.raises(UsageError, match="is not a kind"):
        kind_of({"apiVersion": "example.org/v1", "kind": "Deployment"})
