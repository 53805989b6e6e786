"""Why pods don't come, read from what the API server knows of them: the reason that a user can act on."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

Document = Mapping[str, Any]
PROXY = "istio-proxy"
"""The sidecar's container; an init container where it is a native sidecar (Istio, since Kubernetes 1.29)."""

_IMAGE = {"ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull", "RegistryUnavailable"}
_CONFIG = {"CreateContainerConfigError", "CreateContainerError", "RunContainerError"}
_FINAL = {"InvalidImageName", "ErrImageNeverPull", "ImagePullBackOff", "CreateContainerConfigError"}
"""Reasons that don't go away while one waits. A back-off comes after at least one failed pull."""
MOST_TEXT = 300


@dataclass(frozen=True, slots=True)
class Trouble:
    """What holds up a pod or a Deployment."""

    message: str
    """The thing and the cause, a sentence."""
    fix: str
    final: bool
    """Waiting longer is of no use."""
    pod: str = ""
    container: str = ""
    more: Literal["", "events", "log"] = ""
    """Where the cluster says more of it: in the pod's events, or the log of the container's last run."""


def pod_trouble(pod: Document, *, meshed: bool = False) -> Trouble | None:
    """What is wrong with a pod, None where nothing is (yet). `meshed`: a sidecar was asked for."""
    name = pod["metadata"]["name"]
    status = pod.get("status") or {}
    if meshed and not has_sidecar(pod):
        return Trouble(
            f"Pod {name} has no sidecar, though one was asked for.",
            "Does Istio's injector run, and watch this namespace? See: whichpod k8s doctor",
            final=True,
        )
    if status.get("reason") in (
        "Evicted",
        "NodeLost",
        "Preempting",
        "NodeAffinity",
        "OutOfcpu",
        "OutOfmemory",
    ):
        return Trouble(
            f"Pod {name} was ended by the cluster: {status['reason']}{_said(status)}.",
            "The node is short of something: free it, or choose another node.",
            final=True,
        )
    for container in _containers(status):
        found = _container_trouble(name, container)
        if found:
            return found
    for condition in status.get("conditions") or ():
        if condition.get("type") == "PodScheduled" and condition.get("status") == "False":
            return Trouble(
                f"Pod {name} can't be scheduled{_said(condition)}.",
                "The cluster is too small or its nodes don't fit: give fewer --pods, or add a node.",
                final=False,
            )
    return None


def workload_trouble(workload: Document, events: Iterable[Document] = ()) -> Trouble | None:
    """What keeps a Deployment, ReplicaSet or Job from making its pods (quota, admission), None where nothing
    does. `events` are those of its namespace."""
    metadata = workload["metadata"]
    what = f"{workload.get('kind') or 'Deployment'} {metadata['name']}"
    for condition in (workload.get("status") or {}).get("conditions") or ():
        kind, state = condition.get("type"), condition.get("status")
        if kind == "ReplicaFailure" and state == "True":
            return _refused(what, condition.get("message", ""))
        if kind == "Progressing" and state == "False":
            return Trouble(f"{what} makes no progress{_said(condition)}.", _LOOK, final=True)
        if kind == "Failed" and state == "True":
            return Trouble(
                f"{what} failed: {condition.get('reason', '')}{_said(condition)}.", _LOOK, final=True
            )
    for event in events:
        involved = event.get("involvedObject") or {}
        mine = str(involved.get("name", "")).startswith(metadata["name"])
        if mine and event.get("reason") == "FailedCreate":
            return _refused(what, event.get("message", ""))
    return None


_LOOK = "Look at its events: kubectl describe"


def has_sidecar(pod: Document) -> bool:
    """Whether Istio's sidecar was injected, native or not."""
    spec = pod.get("spec") or {}
    containers = [*(spec.get("containers") or ()), *(spec.get("initContainers") or ())]
    return any(container.get("name") == PROXY for container in containers)


def is_ready(pod: Document) -> bool:
    """Whether a pod is ready and not on its way out."""
    if pod["metadata"].get("deletionTimestamp"):
        return False
    conditions = (pod.get("status") or {}).get("conditions") or ()
    return any(c.get("type") == "Ready" and c.get("status") == "True" for c in conditions)


def _containers(status: Document) -> list[Document]:
    return [*(status.get("initContainerStatuses") or ()), *(status.get("containerStatuses") or ())]


def _container_trouble(pod: str, container: Document) -> Trouble | None:
    name, image = container.get("name", "?"), container.get("image", "?")
    state = container.get("state") or {}
    waiting = state.get("waiting") or {}
    reason = waiting.get("reason", "")
    if reason in _IMAGE:
        return Trouble(
            f"The image {image} of pod {pod} can't be pulled: {reason}{_said(waiting)}.",
            "Is the name right, and may the node pull it? Give --image, or load it into the nodes.",
            final=reason in _FINAL,
            pod=pod,
            container=name,
            more="events",
        )
    if reason in _CONFIG:
        return Trouble(
            f"Container {name} of pod {pod} can't be made: {reason}{_said(waiting)}.",
            "What it names (a ConfigMap, a key, a volume) must be there.",
            final=reason in _FINAL,
        )
    ended = (container.get("lastState") or {}).get("terminated") or state.get("terminated") or {}
    if reason == "CrashLoopBackOff":
        why = ended.get("reason", "Error")
        code = f" with exit code {ended['exitCode']}" if "exitCode" in ended else ""
        fix = "It needs more memory." if why == "OOMKilled" else "Is it the image that you mean? See --image."
        message = f"Container {name} of pod {pod} keeps ending ({why}{code})."
        return Trouble(message, fix, final=True, pod=pod, container=name, more="log")
    return None


def _refused(what: str, message: str) -> Trouble:
    text = message[:MOST_TEXT].rstrip(".")
    lowered = message.lower()
    if "exceeded quota" in lowered:
        fix = "Give fewer --pods, or raise the namespace's ResourceQuota."
    elif "admission webhook" in lowered or "podsecurity" in lowered or "violates" in lowered:
        fix = "An admission policy of the cluster refuses the pods; its message says which rule."
    elif "forbidden" in lowered:
        fix = "The cluster forbids such pods in this namespace."
    else:
        fix = _LOOK
    return Trouble(f"{what} can't make its pods: {text}.", fix, final=True)


def _said(state: Document) -> str:
    message = " ".join(str(state.get("message") or "").split())[:MOST_TEXT].rstrip(".")
    return f" ({message})" if message else ""
