"""Reads a pod's spec (kubernetes.io, API reference, PodSpec)."""

from __future__ import annotations

from dataclasses import replace

from whichpod.manifest.containers import read_container
from whichpod.manifest.fields import Fields
from whichpod.manifest.kinds import Container, Deployment, HttpCheck, TcpCheck, Volume
from whichpod.manifest.meta import check_name, labels
from whichpod.manifest.volumes import read_volume

_IDLE = (
    "activeDeadlineSeconds",
    "affinity",
    "automountServiceAccountToken",
    "dnsConfig",
    "dnsPolicy",
    "enableServiceLinks",
    "hostAliases",
    "hostUsers",
    "hostname",
    "subdomain",
    "imagePullSecrets",
    "os",
    "overhead",
    "preemptionPolicy",
    "priority",
    "priorityClassName",
    "readinessGates",
    "resourceClaims",
    "resources",
    "runtimeClassName",
    "schedulerName",
    "schedulingGates",
    "securityContext",
    "setHostnameAsFQDN",
    "shareProcessNamespace",
    "tolerations",
    "topologySpreadConstraints",
)


def read_pod(pod: Fields, found: Deployment, *, always: bool = True) -> Deployment:
    """`found` with what a pod's spec says. `always`: restartPolicy can't be another."""
    containers = tuple(read_container(c) for c in pod.children("containers", required=True))
    init = tuple(read_container(c, init=True) for c in pod.children("initContainers"))
    for c in init:
        pod.findings.note(
            c.where,
            f"{pod.subject}: the init container {c.name} is left out where the lab doesn't know its image.",
        )
    claims = found.volumes
    volumes = tuple(read_volume(v) for v in pod.children("volumes"))
    policy = pod.choice("restartPolicy", ("Always", "OnFailure", "Never"), "Always")
    if policy != "Always":
        if always:
            pod.fail("restartPolicy", f"must be Always in a {found.kind}.")
        else:
            pod.note("restartPolicy", "has no effect in the lab.")
    account = pod.text("serviceAccountName") or pod.text("serviceAccount") or "default"
    pod.silent("serviceAccount")
    check_name(pod, "serviceAccountName", account, "subdomain")
    found = replace(
        found,
        containers=containers,
        init_containers=init,
        volumes=(*volumes, *(c for c in claims if c.name not in {v.name for v in volumes})),
        termination_grace_s=pod.whole("terminationGracePeriodSeconds", 30),
        service_account=account,
        node_name=pod.text("nodeName"),
        node_selector=labels(pod, "nodeSelector"),
    )
    for shared in ("hostNetwork", "hostPID", "hostIPC"):
        if pod.flag(shared):
            pod.unsupported(shared, "is not supported: every pod of a lab stands for itself.")
    pod.without_effect(*_IDLE)
    pod.left_out("ephemeralContainers")
    pod.done()
    _check(pod, (*init, *containers), found.volumes)
    return found


def _check(pod: Fields, containers: tuple[Container, ...], volumes: tuple[Volume, ...]) -> None:
    _unique(pod, "containers", [c.name for c in containers])
    _unique(pod, "volumes", [v.name for v in volumes])
    _unique(pod, "containers", [p.name for c in containers for p in c.ports if p.name], "port name")
    known = {v.name for v in volumes}
    for c in containers:
        names = {p.name for p in c.ports}
        for m in c.mounts:
            if m.name not in known:
                _fail(pod, c, f"mounts the volume {m.name!r}, which the pod doesn't have.")
        for probe in (c.readiness, c.liveness, c.startup):
            port = probe.check.port if probe and isinstance(probe.check, TcpCheck | HttpCheck) else 0
            if isinstance(port, str) and port not in names:
                _fail(pod, c, f"is probed on a port {port!r}, which it doesn't have.")


def _fail(pod: Fields, c: Container, problem: str) -> None:
    pod.findings.fail(c.where, f"{pod.subject}: the container {c.name} {problem}")


def _unique(fields: Fields, field: str, names: list[str], what: str = "name") -> None:
    for name in sorted({n for n in names if n and names.count(n) > 1}):
        fields.fail(field, f"has the {what} {name!r} twice.")
