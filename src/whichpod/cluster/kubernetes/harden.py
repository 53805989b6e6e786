"""What pods may do: as little as they need, and which of Kubernetes' Pod Security Standards they keep to."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Literal

from whichpod.cluster.kubernetes.names import INJECT

Level = Literal["restricted", "baseline", "privileged"]

_HOST = ("hostNetwork", "hostPID", "hostIPC")
_BASELINE_CAPABILITIES = frozenset(
    {"AUDIT_WRITE", "CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "KILL", "MKNOD", "NET_BIND_SERVICE",
     "SETFCAP", "SETGID", "SETPCAP", "SETUID", "SYS_CHROOT"}
)  # fmt: skip
_RESTRICTED_VOLUMES = frozenset(
    {"name", "configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "persistentVolumeClaim", "projected",
     "secret"}
)  # fmt: skip


def pod_templates(document: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """The pods that an object makes, or is, each with `metadata` and `spec`."""
    found: Any = document
    if document["kind"] != "Pod":
        spec = document.get("spec") or {}
        if document["kind"] == "CronJob":
            spec = (spec.get("jobTemplate") or {}).get("spec") or {}
        found = spec.get("template")
    if isinstance(found, dict) and isinstance((found.get("spec") or {}).get("containers"), list):
        yield found


def harden_pod(spec: dict[str, Any]) -> None:
    """Takes from a pod what none of ours needs; what its author said stays."""
    # The variables of a Service called `grpc` would include GRPC_PORT.
    spec.setdefault("enableServiceLinks", False)
    spec.setdefault("automountServiceAccountToken", False)
    _within(spec, "securityContext").setdefault("seccompProfile", {"type": "RuntimeDefault"})


def harden_container(container: dict[str, Any], resources: Mapping[str, Mapping[str, str]]) -> None:
    """The same for a container of whichpod's image, which runs without privileges: level `restricted`.

    The image says as whom. No user id is set here, since some clusters (OpenShift) assign one.
    """
    context = _within(container, "securityContext")
    context.setdefault("allowPrivilegeEscalation", False)
    _within(context, "capabilities").setdefault("drop", ["ALL"])
    context.setdefault("readOnlyRootFilesystem", True)
    context.setdefault("runAsNonRoot", True)
    if not container.get("resources"):
        container["resources"] = {kind: dict(amounts) for kind, amounts in resources.items()}


def _within(owner: dict[str, Any], field: str) -> dict[str, Any]:
    # An object that is written as null is none.
    found: dict[str, Any] = owner.get(field) or {}
    owner[field] = found
    return found


def pod_security(documents: Iterable[Mapping[str, Any]], *, istio_init: bool) -> Level:
    """The strictest level that a namespace with these objects can enforce.

    `istio_init`: sidecars come with the init container that sets iptables, for which `baseline` is too
    strict; with the Istio CNI plug-in they don't. Source: kubernetes.io, Pod Security Standards.
    """
    documents = list(documents)
    pods = [pod for document in documents for pod in pod_templates(document)]
    meshed = any(((pod.get("metadata") or {}).get("labels") or {}).get(INJECT) == "true" for pod in pods)
    if (meshed and istio_init) or not all(_baseline(pod["spec"]) for pod in pods):
        return "privileged"
    if any(document["kind"] == "Gateway" for document in documents):
        return "baseline"  # of the proxy that its controller makes nobody knows more
    return "restricted" if all(_restricted(pod["spec"]) for pod in pods) else "baseline"


def _containers(spec: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    kinds = ("containers", "initContainers", "ephemeralContainers")
    return [container for kind in kinds for container in spec.get(kind) or ()]


def _baseline(spec: Mapping[str, Any]) -> bool:
    if any(spec.get(key) for key in _HOST) or any("hostPath" in v for v in spec.get("volumes") or ()):
        return False
    if _unconfined(spec.get("securityContext") or {}):
        return False
    for container in _containers(spec):
        context = container.get("securityContext") or {}
        added = (context.get("capabilities") or {}).get("add") or ()
        if context.get("privileged") or _unconfined(context) or not _BASELINE_CAPABILITIES.issuperset(added):
            return False
        if any(port.get("hostPort") for port in container.get("ports") or ()):
            return False
    return True


def _unconfined(context: Mapping[str, Any]) -> bool:
    profile = (context.get("seccompProfile") or {}).get("type")
    # Beyond these, the standard has a list of harmless sysctls and SELinux types; here any is one too many.
    return profile == "Unconfined" or bool(context.get("sysctls") or context.get("seLinuxOptions"))


def _restricted(spec: Mapping[str, Any]) -> bool:
    if any(not _RESTRICTED_VOLUMES.issuperset(volume) for volume in spec.get("volumes") or ()):
        return False
    pod = spec.get("securityContext") or {}
    if pod.get("runAsUser") == 0:
        return False
    for container in _containers(spec):
        own = container.get("securityContext") or {}
        capabilities = own.get("capabilities") or {}
        if (
            own.get("allowPrivilegeEscalation") is not False
            or "ALL" not in (capabilities.get("drop") or ())
            or not {"NET_BIND_SERVICE"}.issuperset(capabilities.get("add") or ())
            or own.get("runAsNonRoot", pod.get("runAsNonRoot")) is not True
            or own.get("runAsUser") == 0
            or not (own.get("seccompProfile") or pod.get("seccompProfile"))
        ):
            return False
    return True
