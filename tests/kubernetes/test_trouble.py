"""The reasons that a user can act on, from statuses as the real ones are."""

from __future__ import annotations

from typing import Any

import pytest

from whichpod.cluster.kubernetes.trouble import has_sidecar, is_ready, pod_trouble, workload_trouble


def pod(**status: Any) -> dict[str, Any]:
    return {"metadata": {"name": "echo-1"}, "spec": {"containers": [{"name": "echo"}]}, "status": status}


def waiting(reason: str, message: str = "", **more: Any) -> dict[str, Any]:
    state = {"name": "echo", "image": "x:1", "state": {"waiting": {"reason": reason, "message": message}}}
    return pod(containerStatuses=[{**state, **more}])


@pytest.mark.parametrize(
    ("given", "text", "fix", "final"),
    [
        (waiting("ErrImagePull", "not found"), "x:1 of pod echo-1 can't be pulled: ErrImagePull (not found).",
         "--image", False),
        (waiting("ImagePullBackOff"), "ImagePullBackOff", "--image", True),
        (waiting("CreateContainerConfigError", 'configmap "edge" not found'),
         '"edge" not found', "ConfigMap", True),
        (waiting("CrashLoopBackOff", lastState={"terminated": {"reason": "Error", "exitCode": 2}}),
         "keeps ending (Error with exit code 2)", "--image", True),
        (waiting("CrashLoopBackOff", lastState={"terminated": {"reason": "OOMKilled", "exitCode": 137}}),
         "OOMKilled", "memory", True),
        (pod(conditions=[{"type": "PodScheduled", "status": "False", "reason": "Unschedulable",
                          "message": "0/3 nodes are available: 3 Insufficient cpu."}]),
         "can't be scheduled (0/3 nodes are available: 3 Insufficient cpu).", "fewer --pods", False),
        (pod(phase="Failed", reason="Evicted", message="The node was low on resource: memory."),
         "Evicted (The node was low on resource: memory)", "node", True),
    ],
)  # fmt: skip
def test_pods(given: dict[str, Any], text: str, fix: str, final: bool) -> None:
    found = pod_trouble(given)
    assert found is not None
    assert text in found.message
    assert fix in found.fix
    assert found.final is final


@pytest.mark.parametrize("reason", ["ContainerCreating", "PodInitializing"])
def test_what_is_under_way_is_no_trouble(reason: str) -> None:
    assert pod_trouble(waiting(reason)) is None
    assert pod_trouble({"metadata": {"name": "new"}}) is None


def test_a_sidecar_that_is_missing() -> None:
    found = pod_trouble(pod(), meshed=True)
    assert found is not None
    assert "no sidecar" in found.message
    for kind in ("containers", "initContainers"):
        meshed = {"metadata": {"name": "a"}, "spec": {kind: [{"name": "istio-proxy"}]}}
        assert has_sidecar(meshed)
        assert pod_trouble(meshed, meshed=True) is None


@pytest.mark.parametrize(
    ("message", "fix"),
    [
        (
            'pods "echo-" is forbidden: exceeded quota: q, requested: pods=1, used: pods=5, limited: pods=5',
            "quota",
        ),
        ('admission webhook "policy.example" denied the request: no', "admission policy"),
        ('pods "a" is forbidden: violates PodSecurity "restricted:latest": runAsNonRoot', "admission policy"),
    ],
)
def test_pods_that_are_refused(message: str, fix: str) -> None:
    condition = {"type": "ReplicaFailure", "status": "True", "reason": "FailedCreate", "message": message}
    by_condition = workload_trouble(
        {"kind": "Deployment", "metadata": {"name": "echo"}, "status": {"conditions": [condition]}}
    )
    event = {
        "reason": "FailedCreate",
        "message": message,
        "involvedObject": {"name": "echo-6f", "kind": "ReplicaSet"},
    }
    by_event = workload_trouble({"kind": "Deployment", "metadata": {"name": "echo"}}, [event])
    assert by_condition == by_event
    assert by_event is not None
    assert message[:60] in by_event.message
    assert fix.lower() in by_event.fix.lower()


def test_workloads_that_fail_or_do_not() -> None:
    job = {"kind": "Job", "metadata": {"name": "client"}}
    late = {
        "type": "Failed",
        "status": "True",
        "reason": "DeadlineExceeded",
        "message": "Job was active too long.",
    }
    found = workload_trouble({**job, "status": {"conditions": [late]}})
    assert found is not None
    assert found.message == "Job client failed: DeadlineExceeded (Job was active too long)."
    stuck = {"type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded"}
    assert workload_trouble({**job, "status": {"conditions": [stuck]}})
    assert (
        workload_trouble({**job, "status": {"conditions": [{"type": "Progressing", "status": "True"}]}})
        is None
    )
    other = {"reason": "FailedCreate", "message": "x", "involvedObject": {"name": "web-1"}}
    assert workload_trouble(job, [other]) is None


def test_ready() -> None:
    ready = pod(conditions=[{"type": "Ready", "status": "True"}])
    assert is_ready(ready)
    assert not is_ready(pod(conditions=[{"type": "Ready", "status": "False"}]))
    assert not is_ready({**ready, "metadata": {"name": "a", "deletionTimestamp": "2026-01-01T00:00:00Z"}})
