"""The Job of a client, and the task that it takes along."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.kubernetes.manifests import MARKS, Document, validate
from whichpod.cluster.kubernetes.harden import pod_security
from whichpod.cluster.kubernetes.jobs import GRACE_S, INSIDE, client_job
from whichpod.cluster.kubernetes.names import ours
from whichpod.cluster.kubernetes.task import QUIT, READY, TASK, Task
from whichpod.cluster.local.expand import expand
from whichpod.load.call import Call, Identify
from whichpod.model.errors import UsageError
from whichpod.model.plan import Plan
from whichpod.model.target import Target, Tls

TARGET = Target("dns:///echo.lab.svc.cluster.local:50051", known=("echo-0", "echo-1"), known_by="lab")
INJECT, HOLD = "sidecar.istio.io/inject", {"proxy.istio.io/config": "holdApplicationUntilProxyStarts: true"}


def job(**changes: Any) -> Document:
    return client_job("r1", "client-1", "lab", "registry.example/whichpod:1", **{"deadline_s": 90} | changes)


def pod_of(document: Document) -> Document:
    found: Document = document["spec"]["template"]
    return found


def env_of(document: Document) -> dict[str, str]:
    """As a kubelet gives it to the container."""
    values: dict[str, str] = {}
    for variable in pod_of(document)["spec"]["containers"][0]["env"]:
        values[variable["name"]] = expand(variable.get("value", "a pod's"), values)
    return values


@pytest.mark.parametrize("version", ["1.27", "1.31", "1.35"])
@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"meshed": True},
        {"meshed": True, "native_sidecars": True},
        {"proxyless": True, "revision": "canary"},
        {"parallelism": 3, "indexed": True, "per_index": False},
        {"service_account": "whichpod", "pull_policy": "Always", "env": {"A": "1"}},
    ],
)
def test_kubernetes_takes_it(version: str, changes: dict[str, Any]) -> None:
    validate(job(**changes), version)


def test_kubernetes_lets_an_index_fail_alone() -> None:
    found = job(parallelism=3, indexed=True)
    validate(found, "1.29")
    assert found["spec"]["completionMode"] == "Indexed"
    assert found["spec"]["completions"] == found["spec"]["parallelism"] == 3
    assert found["spec"]["backoffLimitPerIndex"] == 0
    # Together with it, no failure at all would be borne.
    assert "backoffLimit" not in found["spec"]
    assert job(parallelism=3, indexed=True, per_index=False)["spec"]["backoffLimit"] == 0


def test_it_runs_once_with_no_more_rights_than_it_needs() -> None:
    found = job(service_account="s", pull_policy="Never")
    pod = pod_of(found)["spec"]
    assert pod_security([found], istio_init=True) == "restricted"
    assert found["spec"]["backoffLimit"] == 0
    assert pod["restartPolicy"] == "Never"
    assert pod["containers"][0]["command"] == list(INSIDE)
    assert pod["containers"][0]["securityContext"]["readOnlyRootFilesystem"]
    assert pod["containers"][0]["resources"]["requests"].keys() == {"cpu", "memory"}
    assert pod["containers"][0]["imagePullPolicy"] == "Never"
    assert pod["serviceAccountName"] == "s"
    assert pod["automountServiceAccountToken"] is False
    assert "topologySpreadConstraints" not in pod


def test_pods_end_before_the_job_deletes_them_and_both_go_by_themselves() -> None:
    found = job(deadline_s=42.4)
    assert pod_of(found)["spec"]["activeDeadlineSeconds"] == 42
    assert found["spec"]["activeDeadlineSeconds"] > 42 + GRACE_S
    assert found["spec"]["ttlSecondsAfterFinished"] > 0


def test_it_is_marked_and_no_service_of_a_manifest_selects_it() -> None:
    found = job()
    assert ours(found, "r1")
    labels = pod_of(found)["metadata"]["labels"]
    assert labels == MARKS | {"whichpod.io/role": "client", INJECT: "false"}
    assert found["metadata"]["namespace"] == "lab"
    assert found["metadata"]["annotations"].keys() == {"whichpod.io/created-by"}


@pytest.mark.parametrize(
    ("changes", "inject", "annotations", "waits"),
    [
        ({}, "false", {}, False),
        ({"native_sidecars": True}, "false", {}, False),
        ({"meshed": True}, "true", HOLD, True),
        ({"meshed": True, "native_sidecars": True}, "true", {}, False),
        ({"proxyless": True}, "true", HOLD | {"inject.istio.io/templates": "grpc-agent"}, True),
        (
            {"proxyless": True, "native_sidecars": True},
            "true",
            HOLD | {"inject.istio.io/templates": "grpc-agent"},
            True,
        ),
    ],
)
def test_a_sidecar_is_asked_for_awaited_and_ended_where_that_is_due(
    changes: dict[str, Any], inject: str, annotations: dict[str, str], waits: bool
) -> None:
    found = job(**changes)
    metadata = pod_of(found)["metadata"]
    assert metadata["labels"][INJECT] == inject
    assert {k: v for k, v in metadata["annotations"].items() if "istio" in k} == annotations
    assert (READY in env_of(found)) == (QUIT in env_of(found)) == waits
    assert "istio.io/rev" not in metadata["labels"]
    of_revision = pod_of(job(**changes, revision="canary"))["metadata"]["labels"]
    assert of_revision.get("istio.io/rev") == ("canary" if inject == "true" else None)


def test_a_sidecar_leaves_the_gate_alone() -> None:
    name = "traffic.sidecar.istio.io/excludeInboundPorts"
    assert pod_of(job(meshed=True, gate=15999))["metadata"]["annotations"][name] == "15999"
    for changes in ({"gate": 15999}, {"meshed": True}, {"proxyless": True, "gate": 15999}):
        assert name not in pod_of(job(**changes))["metadata"]["annotations"]


def test_several_are_spread_over_the_nodes() -> None:
    (spread,) = pod_of(job(parallelism=2))["spec"]["topologySpreadConstraints"]
    assert spread["labelSelector"] == {"matchLabels": {"job-name": "client-1"}}
    assert spread["whenUnsatisfiable"] == "ScheduleAnyway"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"parallelism": 0}, "0 pods can't run"),
        ({"deadline_s": 0}, "0 s is no time"),
        ({"deadline_s": float("nan")}, "nan s is no time"),
        ({"deadline_s": float("inf")}, "inf s is no time"),
        ({"meshed": True, "proxyless": True}, "can't have a sidecar"),
    ],
)
def test_what_makes_no_sense_is_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        job(**changes)


@pytest.mark.parametrize(
    ("name", "indexed"), [("", False), ("A", False), ("x" * 64, False), ("x" * 60, True)]
)
def test_names_are_such_that_pods_can_bear_them(name: str, indexed: bool) -> None:
    with pytest.raises(UsageError, match="can't name a Job"):
        client_job("r1", name, "lab", "i", deadline_s=1, indexed=indexed)


# Tasks


TASKS = st.builds(
    Task,
    do=st.sampled_from(["probe", "bench"]),
    target=st.builds(
        Target, st.text(), tls=st.none() | st.builds(Tls, ca_file=st.text()), authority=st.text(),
        known=st.lists(st.text()).map(tuple),
    ),
    plan=st.builds(
        Plan, method=st.text(), data=st.text() | st.sampled_from(["$(POD_NAME)", "$$(A)", "$", "$$$"]),
        metadata=st.lists(st.tuples(st.text(), st.text())).map(tuple), seed=st.integers(0, 2**31),
    ),
    call=st.none() | st.builds(
        Call, st.text(), st.binary(),
        st.builds(Identify, st.just("field"), st.text(), st.lists(st.integers(1, 9)).map(tuple)),
    ),
    limit_s=st.floats(0, 1e6),
    progress_s=st.floats(0, 1e6),
    gate=st.integers(0, 65_535),
)  # fmt: skip


@given(TASKS)
def test_a_task_reaches_the_container_as_it_is(task: Task) -> None:
    assert Task.of_env(env_of(job(env=task.env()))) == task


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "There is no WHICHPOD_TASK"),
        ("{", "Expecting"),
        ("[]", "expected an object"),
        ('{"do": "dance"}', "'dance' is not one of"),
        ('{"do": "probe"}', "missing 7 required"),
        ('{"do": "probe", "plan": {"requests": "x"}}', "Plan.requests|plan.requests"),
        ('{"do": "probe", "limit_s": []}', "limit_s: expected float"),
        ('{"do": "probe", "call": 1}', "call: expected an object"),
    ],
)
def test_a_task_that_cannot_be_read_is_told(text: str | None, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        Task.of_env({} if text is None else {TASK: text})


def test_a_task_fits_a_variable() -> None:
    many = Target("ipv4:" + ",".join(f"10.0.{n // 256}.{n % 256}:50051" for n in range(2000)))
    assert Task("bench", many, Plan()).env()
    with pytest.raises(UsageError, match="more than a variable of a container holds"):
        Task("bench", TARGET, Plan(), Call("/a.B/C", bytes(100_000))).env()
