"""The rights that whichpod asks for: enough for what it applies, and nothing that would give it more."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest

from tests.kubernetes.deployed import written
from tests.kubernetes.manifests import SCENARIOS, Document, dressed
from whichpod.cluster.kubernetes.doctor import needed
from whichpod.cluster.kubernetes.dress import namespace_document
from whichpod.cluster.kubernetes.jobs import client_job
from whichpod.manifest.documents import documents

LEAST = written("rbac.yaml")
WIDER = written("rbac-own-namespaces.yaml")
OWNED = {"get", "list", "create", "patch", "delete"}
Right = tuple[str, str, str]
"""Group, resource, verb."""


def named(found: Iterable[Document], kind: str, name: str) -> Document:
    [only] = [d for d in found if d["kind"] == kind and d["metadata"]["name"] == name]
    return only


def rights(rules: Iterable[dict[str, Any]]) -> set[Right]:
    return {
        (group, resource, verb)
        for rule in rules
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }


def resource_of(document: Document) -> tuple[str, str]:
    group, slash, _ = document["apiVersion"].rpartition("/")
    return group if slash else "", f"{document['kind'].lower()}s"


RUN = rights(named(LEAST, "ClusterRole", "whichpod-run")["rules"])
JOB = client_job("r1", "client-1", "lab", "whichpod", deadline_s=60)


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda s: s.name)
def test_a_run_may_make_and_remove_what_it_applies(scenario: Any) -> None:
    for document in [*dressed(documents(scenario.bundle())), JOB]:
        group, resource = resource_of(document)
        assert {(group, resource, verb) for verb in OWNED} <= RUN


def test_a_run_may_do_what_it_does_and_no_more() -> None:
    """`k8s doctor` asks for what is used: see the test that runs rows with these rights."""
    assert {(r.kind.group, r.resource, r.verb) for r in needed()} == RUN


def test_port_forward_works_before_and_since_1_35() -> None:
    assert {("", "pods/portforward", "get"), ("", "pods/portforward", "create")} <= RUN


def test_namespaces_of_its_own_are_an_addition() -> None:
    given = [r for d in LEAST if "rules" in d for r in d["rules"]]
    made = {("", "namespaces", verb) for verb in OWNED}
    assert rights(given) & made == {("", "namespaces", "get"), ("", "namespaces", "list")}
    assert made == rights(named(WIDER, "ClusterRole", "whichpod-namespaces")["rules"])
    assert resource_of(namespace_document("lab", run="r1")) == ("", "namespaces")


@pytest.mark.parametrize("found", [LEAST, LEAST + WIDER], ids=["least", "own namespaces"])
def test_no_right_leads_to_more(found: list[Document]) -> None:
    every = rights(r for d in found if "rules" in d for r in d["rules"])
    assert not any("*" in part for right in every for part in right)
    verbs = {verb for *_, verb in every}
    assert verbs <= OWNED | {"watch"}
    resources = {resource for _, resource, _ in every}
    assert not resources & {"secrets", "pods/exec", "pods/attach", "serviceaccounts/token", "nodes/proxy"}
    groups = {group for group, *_ in every}
    assert "rbac.authorization.k8s.io" not in groups
    # Pods come from Jobs and Deployments only, whose own rights rbac-own-namespaces.yaml warns of.
    assert {verb for group, resource, verb in every if (group, resource) == ("", "pods")} <= {
        "get",
        "list",
        "watch",
    }


def test_outside_its_namespace_it_only_reads() -> None:
    bound = {
        d["roleRef"]["name"]: d["kind"] for d in LEAST if "roleRef" in d and d["kind"] == "ClusterRoleBinding"
    }
    assert bound == {"whichpod-facts": "ClusterRoleBinding"}
    facts = rights(named(LEAST, "ClusterRole", "whichpod-facts")["rules"])
    assert {verb for *_, verb in facts} == {"get", "list"}
    [binding] = [d for d in LEAST if d["kind"] == "RoleBinding" and d["roleRef"]["name"] == "whichpod-run"]
    assert binding["metadata"]["namespace"] == "whichpod"


def test_every_binding_binds_something_that_is_there() -> None:
    found = LEAST + WIDER
    account = named(found, "ServiceAccount", "whichpod")
    assert account["metadata"]["namespace"] == named(found, "Namespace", "whichpod")["metadata"]["name"]
    bindings = [d for d in found if "roleRef" in d]
    assert len(bindings) == 5
    for binding in bindings:
        role = named(found, binding["roleRef"]["kind"], binding["roleRef"]["name"])
        if role["kind"] == "Role":
            assert role["metadata"]["namespace"] == binding["metadata"]["namespace"]
        [subject] = binding["subjects"]
        assert subject == {
            "kind": "ServiceAccount",
            "name": account["metadata"]["name"],
            "namespace": account["metadata"]["namespace"],
        }
    used = {(d["roleRef"]["kind"], d["roleRef"]["name"]) for d in bindings}
    assert used == {(d["kind"], d["metadata"]["name"]) for d in found if "rules" in d}
