"""From manifests to what a run applies: nothing lost, nothing of others' touched."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.kubernetes.gateway_api import of_gateway_api
from tests.kubernetes.istio import of_istio
from tests.kubernetes.manifests import (
    MARKS,
    SCENARIOS,
    Document,
    config,
    deployment,
    dressed,
    of_kind,
    raw,
    service,
    validate,
)
from whichpod.cluster.kubernetes.dress import read_documents
from whichpod.cluster.kubernetes.harden import pod_templates
from whichpod.cluster.kubernetes.names import ours
from whichpod.manifest.documents import documents
from whichpod.model.errors import ManifestError, UsageError
from whichpod.scenarios.scenario import Scenario
from whichpod.version import __version__

ROW = pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda s: s.name)


def kept(before: Any, after: Any) -> bool:
    """Whether all that was there is there, save what a run is to decide."""
    if isinstance(before, dict):
        return all(k in after and (k == "image" or kept(v, after[k])) for k, v in before.items())
    if isinstance(before, list):
        return len(before) == len(after) and all(map(kept, before, after))
    if isinstance(before, str):
        decided = before.replace(".default.svc", ".whichpod-r1.svc").replace("10.96.0.10", "10.43.0.10")
        return bool(after == decided)
    return bool(before == after)


@ROW
def test_built_in_scenarios_lose_nothing(scenario: Scenario) -> None:
    given = documents(scenario.bundle())
    before = copy.deepcopy(given)
    found = dressed(given)
    assert given == before
    by_name = {(d["kind"], d["metadata"]["name"]): d for d in found}
    assert len(by_name) == len(found) == len(given)
    for document in given:
        assert kept(document, by_name[document["kind"], document["metadata"]["name"]])


@ROW
@pytest.mark.parametrize("istio", [True, False])
def test_dressing_twice_is_dressing_once(scenario: Scenario, istio: bool) -> None:
    once = dressed(documents(scenario.bundle()), istio=istio, pods=7, pull_policy="Always", revision="canary")
    assert dressed(once, istio=istio, pods=7, pull_policy="Always", revision="canary") == once


@ROW
def test_all_is_marked_and_selectors_are_what_they_were(scenario: Scenario) -> None:
    given = documents(scenario.bundle())
    selectors = {(d["kind"], d["metadata"]["name"]): d["spec"].get("selector") for d in given if "spec" in d}
    for document in dressed(given):
        assert ours(document, "r1")
        assert not ours(document, "r2")
        assert document["metadata"]["namespace"] == "whichpod-r1"
        assert document["metadata"]["annotations"]["whichpod.io/created-by"] == f"whichpod {__version__}"
        for pod in pod_templates(document):
            assert MARKS.items() <= pod["metadata"]["labels"].items()
        if "spec" in document:
            at = document["kind"], document["metadata"]["name"]
            assert document["spec"].get("selector") == selectors[at]
            assert not MARKS.keys() & str(document["spec"].get("selector"))


@ROW
@pytest.mark.parametrize("version", ["1.27", "1.35"])
def test_kubernetes_takes_what_is_dressed(scenario: Scenario, version: str) -> None:
    for document in dressed(documents(scenario.bundle())):
        if not of_istio(document) and not of_gateway_api(document):
            validate(document, version)


def test_names_of_services_move_along_wherever_they_stand() -> None:
    rule = of_kind(dressed(raw("istio")), "DestinationRule")
    assert rule["spec"]["host"] == "echo.whichpod-r1.svc.cluster.local"
    for row, where in (
        ("edge-nginx", "ConfigMap"),
        ("edge-haproxy", "ConfigMap"),
        ("edge-envoy", "Deployment"),
    ):
        texts = str([d for d in dressed(raw(row)) if d["kind"] == where])
        assert "echo-headless.whichpod-r1.svc.cluster.local" in texts
        assert "default.svc" not in texts


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("dns:///echo.default.svc.cluster.local:50051", "dns:///echo.lab.svc.cluster.local:50051"),
        ("echo.default.svc", "echo.lab.svc"),
        ("pod-0.echo.default.svc:1", "pod-0.echo.lab.svc:1"),
        ("echo.default:50051", "echo.lab:50051"),
        ("*.default.svc.cluster.local", "*.lab.svc.cluster.local"),
        ("a echo.default.svc, echo.default.svc b", "a echo.lab.svc, echo.lab.svc b"),
        # Of others, or no name of a Service at all.
        ("kubernetes.default.svc", "kubernetes.default.svc"),
        ("my-echo.default.svc", "my-echo.default.svc"),
        ("my_echo.default.svc", "my_echo.default.svc"),
        ("echo.default.svcs", "echo.default.svcs"),
        ("echo.default", "echo.default"),
        ("echo.other.svc", "echo.other.svc"),
        ("echoXdefault.svc", "echoXdefault.svc"),
    ],
)
def test_a_text_is_changed_where_it_names_what_moves(before: str, after: str) -> None:
    found = dressed([service(), config(before)], namespace="lab")
    assert of_kind(found, "ConfigMap")["data"] == {"labels": after}


def test_labels_stay_whatever_they_say() -> None:
    odd = deployment()
    odd["metadata"]["labels"] = {"host": "echo.default.svc"}
    odd["spec"]["selector"]["matchLabels"]["host"] = "echo.default.svc"
    odd["spec"]["template"]["metadata"]["labels"]["host"] = "echo.default.svc"
    found = of_kind(dressed([service(), odd]), "Deployment")
    assert found["spec"]["selector"] == odd["spec"]["selector"]
    assert found["metadata"]["labels"]["host"] == "echo.default.svc"
    assert found["spec"]["template"]["metadata"]["labels"]["host"] == "echo.default.svc"


def test_references_follow_what_is_moved_and_no_other() -> None:
    account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "a", "namespace": "shop"}}
    binding = {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "RoleBinding",
        "metadata": {"name": "b", "namespace": "shop"},
        "subjects": [
            {"kind": "ServiceAccount", "name": "a", "namespace": "shop"},
            {"kind": "ServiceAccount", "name": "other", "namespace": "shop"},
        ],
    }
    rule = {
        "apiVersion": "networking.istio.io/v1",
        "kind": "VirtualService",
        "metadata": {"name": "v", "namespace": "shop"},
        "spec": {"exportTo": [".", "shop", "far"], "http": [{"match": [{"sourceNamespace": "shop"}]}]},
    }
    found = dressed([account, binding, rule], namespace="lab")
    assert [s["namespace"] for s in of_kind(found, "RoleBinding")["subjects"]] == ["lab", "shop"]
    spec = of_kind(found, "VirtualService")["spec"]
    assert spec["exportTo"] == [".", "lab", "far"]
    assert spec["http"][0]["match"] == [{"sourceNamespace": "lab"}]


def test_containers_of_whichpod_get_its_image_and_no_more_rights_than_they_need() -> None:
    found = dressed(raw("edge-nginx"), pull_policy="Never")
    echo, edge = (next(d for d in found if d["metadata"]["name"] == n and d["kind"] == "Deployment")
                  for n in ("echo", "edge"))  # fmt: skip
    spec = echo["spec"]["template"]["spec"]
    container = spec["containers"][0]
    assert container["image"] == "registry.example/whichpod:1"
    assert container["imagePullPolicy"] == "Never"
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
        "readOnlyRootFilesystem": True,
        "runAsNonRoot": True,
    }
    assert container["resources"]["requests"].keys() == {"cpu", "memory"}
    assert spec["securityContext"] == {"seccompProfile": {"type": "RuntimeDefault"}}
    assert not spec["enableServiceLinks"]
    assert not spec["automountServiceAccountToken"]
    other = edge["spec"]["template"]["spec"]["containers"][0]
    assert other["image"] == "nginx:1.29"
    assert not other.keys() & {"imagePullPolicy", "securityContext", "resources"}
    assert {"name": "CLUSTER_DNS_HOST", "value": "10.43.0.10"} in other["env"]
    assert {"name": "CLUSTER_DNS_PORT", "value": "53"} in other["env"]


def test_what_an_author_decided_stays() -> None:
    given = deployment(
        securityContext={"seccompProfile": {"type": "Localhost", "localhostProfile": "x"}, "runAsUser": 5},
        automountServiceAccountToken=True,
    )
    container = given["spec"]["template"]["spec"]["containers"][0]
    container |= {
        "securityContext": {"runAsNonRoot": False, "capabilities": None},
        "resources": {"limits": {"cpu": "1"}},
    }
    spec = dressed([given])[0]["spec"]["template"]["spec"]
    assert spec["securityContext"]["seccompProfile"]["type"] == "Localhost"
    assert spec["automountServiceAccountToken"] is True
    assert spec["containers"][0]["securityContext"]["runAsNonRoot"] is False
    assert spec["containers"][0]["resources"] == {"limits": {"cpu": "1"}}
    assert "imagePullPolicy" not in spec["containers"][0]


def test_without_an_address_of_the_dns_server_the_manifest_has_the_word() -> None:
    edge = of_kind(dressed(raw("edge-envoy"), cluster_dns=""), "Deployment")
    assert "10.43.0.10" not in str(edge)
    assert "10.96.0.10" in str(dressed(raw("edge-envoy"), cluster_dns=""))


@pytest.mark.parametrize(
    ("row", "expected"),
    [("istio", {"echo": 3}), ("local-single", {"echo": 1}), ("edge-nginx", {"echo": 3, "edge": 1})],
)
def test_pods_scale_servers_but_not_what_is_single(row: str, expected: dict[str, int]) -> None:
    found = [d for d in dressed(raw(row), pods=3) if d["kind"] == "Deployment"]
    assert {d["metadata"]["name"]: d["spec"]["replicas"] for d in found} == expected


def labels_of(found: list[Document]) -> dict[str, str]:
    labels: dict[str, str] = of_kind(found, "Deployment")["spec"]["template"]["metadata"]["labels"]
    return labels


@pytest.mark.parametrize(
    ("namespace", "label", "annotation", "expected"),
    [
        (None, None, None, "false"),
        (None, "true", None, "true"),
        (None, None, "true", "true"),
        ("enabled", None, None, "true"),
        ("enabled", "false", None, "false"),
        ("enabled", None, "false", "false"),
        ("disabled", "true", None, "false"),
    ],
)
def test_pods_say_themselves_what_their_namespace_said(
    namespace: str | None, label: str | None, annotation: str | None, expected: str
) -> None:
    given = deployment()
    metadata = given["spec"]["template"]["metadata"]
    metadata["labels"] |= {"sidecar.istio.io/inject": label} if label else {}
    metadata["annotations"] = {"sidecar.istio.io/inject": annotation} if annotation else None
    home = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "default", "labels": None}}
    if namespace:
        home["metadata"] = {"name": "default", "labels": {"istio-injection": namespace}}
    found = dressed([home, given])
    assert [d["kind"] for d in found] == ["Deployment"]
    assert labels_of(found)["sidecar.istio.io/inject"] == expected
    assert "istio.io/rev" not in labels_of(found)
    of_revision = labels_of(dressed([home, given], revision="1-27"))
    assert of_revision.get("istio.io/rev") == ("1-27" if expected == "true" else None)


def test_pods_wait_for_a_sidecar_that_is_no_native_one() -> None:
    def annotations(**changes: Any) -> Any:
        return of_kind(dressed(raw("istio"), **changes), "Deployment")["spec"]["template"]["metadata"].get(
            "annotations"
        )

    assert annotations() == {"proxy.istio.io/config": "holdApplicationUntilProxyStarts: true"}
    assert annotations(native_sidecars=True) is None
    assert annotations(istio=False) is None


def test_without_istio_its_objects_are_left_out() -> None:
    found = dressed(raw("istio"), istio=False)
    assert [d["kind"] for d in found] == ["Service", "Deployment"]


def test_objects_come_in_an_order_in_which_they_can_be_applied() -> None:
    account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "a"}}
    budget = {"apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": {"name": "p"}, "spec": {}}
    given = [deployment("a"), deployment("b"), *raw("istio")[2:], budget, service(), config(""), account]
    found = [d["kind"] for d in dressed(given)]
    assert found == ["ServiceAccount", "ConfigMap", "Service", "DestinationRule", "PodDisruptionBudget",
                     "Deployment", "Deployment"]  # fmt: skip


@pytest.mark.parametrize(
    ("given", "changes", "message"),
    [
        ([{**service("x"), "kind": "ClusterRole"}], {}, "ClusterRole x belongs to the whole cluster"),
        ([service(), service(namespace="shop")], {}, "Service echo is there twice"),
        ([], {"run": "R 1"}, "'R 1' can't name a run"),
        ([], {"run": ""}, "'' can't name a run"),
        ([], {"namespace": "a.b"}, "'a.b' can't name a namespace"),
        ([], {"namespace": ""}, "'' can't name a namespace"),
        ([], {"pods": -1}, "-1 pods are not possible"),
    ],
)  # fmt: skip
def test_what_a_run_does_not_make_is_refused(
    given: list[Document], changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(UsageError, match=message) as e:
        dressed(given, **changes)
    assert e.value.fix


NAMES = st.sampled_from(["default", "a", "b", "lab", "svc"])
TEXTS = st.lists(
    st.sampled_from(["a.", "b.", "echo.", "default.", "lab.", "svc", "svc.", "*.", ":", "1", "-", " "])
).map("".join)
DOCUMENTS = st.lists(
    st.one_of(
        st.builds(lambda n, at: service(n, namespace=at), st.sampled_from(["echo", "a", "b"]), NAMES),
        st.builds(lambda text, at: config(text, namespace=at), TEXTS, NAMES),
        st.builds(
            lambda n, at, image, replicas, text: {
                **(d := deployment(n, image=image, replicas=replicas, hostname=text)),
                "metadata": {**d["metadata"], "namespace": at},
            },
            NAMES, NAMES, st.sampled_from(["whichpod", "nginx", "i"]), st.integers(0, 3), TEXTS,
        ),
    ),
    unique_by=lambda d: (d["kind"], d["metadata"]["name"]),
)  # fmt: skip


@given(
    DOCUMENTS,
    NAMES,
    st.booleans(),
    st.booleans(),
    st.none() | st.integers(0, 3),
)
def test_dressing_is_idempotent_and_harmless(
    given: list[Document], namespace: str, istio: bool, native: bool, pods: int | None
) -> None:
    before = copy.deepcopy(given)
    said: dict[str, Any] = {
        "namespace": namespace, "istio": istio, "native_sidecars": native, "pods": pods, "image": "i",
    }  # fmt: skip
    once = dressed(given, **said)
    assert given == before
    assert dressed(once, **said) == once
    assert sorted((d["kind"], d["metadata"]["name"]) for d in once) == sorted(
        (d["kind"], d["metadata"]["name"]) for d in given
    )
    for document in once:
        assert MARKS.items() <= document["metadata"]["labels"].items()
        original = next(
            d for d in given
            if (d["kind"], d["metadata"]["name"]) == (document["kind"], document["metadata"]["name"])
        )  # fmt: skip
        assert document.get("spec", {}).get("selector") == original.get("spec", {}).get("selector")


# Reading


def test_objects_are_read_as_they_are_written(tmp_path: Path) -> None:
    first, second = tmp_path / "a.yaml", tmp_path / "b.json"
    first.write_text(
        "# a comment\n---\napiVersion: example.org/v9\nkind: Odd\nmetadata: {name: x}\nspec: {on: yes}\n---\n"
        "apiVersion: v1\nkind: List\nitems:\n- {apiVersion: v1, kind: Service, metadata: {name: s}}\n"
    )
    second.write_text('{"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "t"}}')
    found = read_documents(first, second)
    assert [d["metadata"]["name"] for d in found] == ["x", "s", "t"]
    assert found[0]["spec"] == {"true": True}


@pytest.mark.parametrize(
    ("text", "error", "message"),
    [
        ("a: [", ManifestError, "a.yaml:1: broken YAML"),
        ("\n- 1\n", UsageError, "what begins in line 2 is no Kubernetes object"),
        ("kind: List\nitems: [{kind: x}]\n", UsageError, "no Kubernetes object"),
        ("apiVersion: v1\nkind: Pod\n", UsageError, "no Kubernetes object"),
    ],
)
def test_what_is_no_object_is_refused(
    tmp_path: Path, text: str, error: type[UsageError], message: str
) -> None:
    file = tmp_path / "a.yaml"
    file.write_text(text)
    with pytest.raises(error, match=message):
        read_documents(file)


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"none\.yaml can't be read: No such file"):
        read_documents(tmp_path / "none.yaml")
    (tmp_path / "x").write_bytes(b"\xff")
    with pytest.raises(UsageError, match="not UTF-8"):
        read_documents(tmp_path / "x")
