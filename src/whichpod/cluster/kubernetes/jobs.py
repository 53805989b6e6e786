"""The Job in which a client runs, in the mesh or outside of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from whichpod.cluster.kubernetes.harden import harden_container, harden_pod
from whichpod.cluster.kubernetes.names import (
    CLIENT,
    HOLD,
    INJECT,
    MOST_NAME,
    PROXY_CONFIG,
    REVISION,
    ROLE,
    creator,
    run_labels,
)
from whichpod.cluster.kubernetes.task import NODE, POD, QUIT, QUIT_AT, READY, READY_AT
from whichpod.manifest.meta import well_formed
from whichpod.model.errors import UsageError

INSIDE = ("python", "-m", "whichpod.cluster.kubernetes.inside")
"""What runs in the container."""
CONTAINER = "client"
GRACE_S = 30
"""From SIGTERM to SIGKILL: RPCs in flight end, and the report is written."""
KEPT_S = 600
"""How long the API server keeps a Job that is over, where whoever made it couldn't delete it."""
MOST_INDEXED = MOST_NAME - len("-99999")
"""Longest name of an indexed Job: its pods' host names have their index behind it."""
RESOURCES = {"requests": {"cpu": "250m", "memory": "128Mi"}, "limits": {"memory": "1Gi"}}
NOT_INBOUND = "traffic.sidecar.istio.io/excludeInboundPorts"
TEMPLATES = "inject.istio.io/templates"
GRPC_AGENT = "grpc-agent"
"""Istio's template for gRPC clients that speak xDS: an agent without a proxy, which writes the bootstrap file
and names it to the other containers in GRPC_XDS_BOOTSTRAP (istio.io, gRPC Proxyless Service Mesh)."""


@dataclass(frozen=True, slots=True)
class Mesh:
    """How a client stands to Istio."""

    sidecar: bool = False
    proxyless: bool = False
    """The agent for xDS instead of a sidecar."""
    native: bool = False
    """The injector makes sidecars init containers that go on, which Kubernetes starts before the others and
    ends after them. The agent for xDS never is one."""
    revision: str = ""
    """Of the control plane, where there is no default one."""
    gate: int = 0
    """A port that a sidecar leaves alone; 0: none."""

    @property
    def injected(self) -> bool:
        """Whether the injector has to do with the pod."""
        return self.sidecar or self.proxyless

    @property
    def waits(self) -> bool:
        """Whether the client has to wait for what was injected, and to end it."""
        return self.proxyless or (self.sidecar and not self.native)


def client_job(
    run: str,
    name: str,
    namespace: str,
    image: str,
    command: Sequence[str] = INSIDE,
    *,
    meshed: bool = False,
    proxyless: bool = False,
    native_sidecars: bool = False,
    revision: str = "",
    parallelism: int = 1,
    indexed: bool = False,
    per_index: bool = True,
    deadline_s: float,
    service_account: str = "",
    pull_policy: str = "",
    gate: int = 0,
    env: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """A Job that runs `command` once in each of `parallelism` pods, with `env` (a task's: `Task.env`).

    It keeps to the level `restricted`, is never tried again, and ends after `deadline_s`: its pods are told
    to, and keep their logs. With Istio: `meshed` gives it a sidecar, `proxyless` the agent for xDS; of what
    is injected, only native sidecars end by themselves, so for others `inside` is told to end it.

    `indexed` pods know their number, and one that is lost doesn't end the others; for that the cluster must
    be able to let an index fail alone (Kubernetes 1.29), else say `per_index=False`. `gate` is the port at
    which they wait to be told to begin, as in the task; a sidecar keeps away from it, since the API server
    has no certificate of the mesh.

    Raises UsageError for a name, number or time that Kubernetes would refuse.
    """
    mesh = Mesh(meshed, proxyless, native_sidecars, revision, gate)
    _check(name, parallelism, deadline_s, mesh, indexed=indexed)
    labels = {**run_labels(run), ROLE: CLIENT}
    limit_s = max(1, round(deadline_s))
    spec: dict[str, Any] = {
        "parallelism": parallelism,
        "completions": parallelism,
        "completionMode": "Indexed" if indexed else "NonIndexed",
        "ttlSecondsAfterFinished": KEPT_S,
        # The pod's own limit comes first. This one deletes pods, and their logs with them.
        "activeDeadlineSeconds": limit_s + 2 * GRACE_S,
        "template": {
            "metadata": {
                "labels": labels | _mesh_labels(mesh),
                "annotations": creator() | _annotations(mesh),
            },
            "spec": _pod(image, command, limit_s, service_account, pull_policy, _env(env or {}, mesh)),
        },
    }
    if indexed and per_index:
        spec["backoffLimitPerIndex"] = 0
    else:
        spec["backoffLimit"] = 0
    if parallelism > 1:
        spec["template"]["spec"]["topologySpreadConstraints"] = [
            {
                "maxSkew": 1,
                "topologyKey": "kubernetes.io/hostname",
                "whenUnsatisfiable": "ScheduleAnyway",
                "labelSelector": {"matchLabels": {"job-name": name}},
            }
        ]
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": name, "namespace": namespace, "labels": labels, "annotations": creator()},
        "spec": spec,
    }


def _check(name: str, parallelism: int, deadline_s: float, mesh: Mesh, *, indexed: bool) -> None:
    most = MOST_INDEXED if indexed else MOST_NAME
    if not name or not well_formed(name, "label") or len(name) > most:
        raise UsageError(
            f"{name!r} can't name a Job.", fix=f"Use lower-case letters, digits and '-', {most} at most."
        )
    if parallelism < 1:
        raise UsageError(f"{parallelism} pods can't run a client.", fix="Give 1 or more.")
    if not 0 < deadline_s < 1e9:
        raise UsageError(f"{deadline_s:g} s is no time for a client.", fix="Give a number above zero.")
    if mesh.sidecar and mesh.proxyless:
        raise UsageError("A client that speaks xDS itself can't have a sidecar.", fix="Choose one of them.")


def _mesh_labels(mesh: Mesh) -> dict[str, str]:
    found = {INJECT: "true" if mesh.injected else "false"}
    return found | ({REVISION: mesh.revision} if mesh.injected and mesh.revision else {})


def _annotations(mesh: Mesh) -> dict[str, str]:
    found = {PROXY_CONFIG: HOLD} if mesh.waits else {}
    if mesh.sidecar and mesh.gate:
        found[NOT_INBOUND] = str(mesh.gate)
    return found | ({TEMPLATES: GRPC_AGENT} if mesh.proxyless else {})


def _env(given: Mapping[str, str], mesh: Mesh) -> list[dict[str, Any]]:
    told = {READY: READY_AT, QUIT: QUIT_AT} if mesh.waits else {}
    # A kubelet takes $(NAME) for the value of a variable, and $$ for a dollar sign.
    found: list[dict[str, Any]] = [
        {"name": name, "value": value.replace("$", "$$")} for name, value in (dict(given) | told).items()
    ]
    for name, path in ((POD, "metadata.name"), (NODE, "spec.nodeName")):
        found.append({"name": name, "valueFrom": {"fieldRef": {"fieldPath": path}}})
    return found


def _pod(
    image: str,
    command: Sequence[str],
    limit_s: int,
    service_account: str,
    pull_policy: str,
    env: list[dict[str, Any]],
) -> dict[str, Any]:
    container: dict[str, Any] = {
        "name": CONTAINER,
        "image": image,
        "command": list(command),
        "env": env,
        "volumeMounts": [{"name": "tmp", "mountPath": "/tmp"}],  # noqa: S108 - the container's own
    }
    if pull_policy:
        container["imagePullPolicy"] = pull_policy
    harden_container(container, RESOURCES)
    spec: dict[str, Any] = {
        "restartPolicy": "Never",
        "activeDeadlineSeconds": limit_s,
        "terminationGracePeriodSeconds": GRACE_S,
        "containers": [container],
        "volumes": [{"name": "tmp", "emptyDir": {"sizeLimit": "64Mi"}}],
    }
    if service_account:
        spec["serviceAccountName"] = service_account
    harden_pod(spec)
    return spec
