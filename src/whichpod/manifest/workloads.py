"""Reads Deployments (kubernetes.io, API reference apps/v1) down to their containers."""

from __future__ import annotations

import re
from typing import cast

from whichpod.manifest.fields import Fields
from whichpod.manifest.kinds import (
    Container,
    ContainerPort,
    Deployment,
    EnvVar,
    ExecCheck,
    GrpcCheck,
    HttpCheck,
    Protocol,
    Readiness,
    Scheme,
    TcpCheck,
    Volume,
    VolumeMount,
)
from whichpod.manifest.meta import check_name, labels, read_meta

MOST_REPLICAS = 10_000
FIELD_PATHS = (
    "metadata.name",
    "metadata.namespace",
    "metadata.uid",
    "spec.nodeName",
    "spec.serviceAccountName",
    "status.hostIP",
    "status.podIP",
)
_KEYED = re.compile(r"metadata\.(labels|annotations)\['[^']+'\]")

_POD_IDLE = (
    "affinity",
    "automountServiceAccountToken",
    "dnsConfig",
    "dnsPolicy",
    "enableServiceLinks",
    "imagePullSecrets",
    "nodeSelector",
    "priorityClassName",
    "schedulerName",
    "securityContext",
    "tolerations",
    "topologySpreadConstraints",
)
_CONTAINER_IDLE = (
    "imagePullPolicy",
    "lifecycle",
    "livenessProbe",
    "resources",
    "securityContext",
    "startupProbe",
    "stdin",
    "terminationMessagePath",
    "terminationMessagePolicy",
    "tty",
)


def read_deployment(top: Fields) -> Deployment:
    """Reads a Deployment."""
    meta = read_meta(top, "subdomain")
    spec = top.child("spec", required=True)
    if spec is None:
        return Deployment(meta, top.where, 0, {}, {}, ())
    replicas = spec.whole("replicas", 1, high=MOST_REPLICAS)
    selector = _selector(spec)
    spec.without_effect("strategy", "minReadySeconds", "revisionHistoryLimit", "progressDeadlineSeconds")
    template = spec.child("template", required=True)
    spec.done()
    if template is None:
        return Deployment(meta, top.where, replicas, selector, {}, ())
    pod_labels, annotations = _pod_meta(template)
    if any(pod_labels.get(k) != v for k, v in selector.items()):
        spec.fail(
            "selector",
            "does not match spec.template.metadata.labels.",
            fix="Kubernetes refuses such a Deployment: give the template every label of the selector.",
        )
    pod = template.child("spec", required=True)
    template.done()
    if pod is None:
        return Deployment(meta, top.where, replicas, selector, pod_labels, (), annotations)
    containers = tuple(_container(c) for c in pod.children("containers", required=True))
    volumes = tuple(_volume(v) for v in pod.children("volumes"))
    grace = pod.whole("terminationGracePeriodSeconds", 30)
    if pod.text("restartPolicy", "Always") != "Always":
        pod.fail("restartPolicy", "must be Always in a Deployment.")
    account = pod.text("serviceAccountName") or pod.text("serviceAccount") or "default"
    pod.silent("serviceAccount")
    check_name(pod, "serviceAccountName", account, "subdomain")
    pod.without_effect(*_POD_IDLE)
    pod.done()
    _check_pod(pod, containers, volumes)
    return Deployment(
        meta, top.where, replicas, selector, pod_labels, containers, annotations, volumes, grace, account
    )


def _selector(spec: Fields) -> dict[str, str]:
    selector = spec.child("selector", required=True)
    if selector is None:
        return {}
    found = labels(selector, "matchLabels")
    selector.done()
    if not found and set(selector.node.items) <= {"matchLabels"}:
        spec.fail("selector", "selects nothing.", fix="Give it matchLabels that the template has too.")
    return found


def _pod_meta(template: Fields) -> tuple[dict[str, str], dict[str, str]]:
    meta = template.child("metadata")
    if meta is None:
        return {}, {}
    found = labels(meta, "labels"), meta.strings("annotations")
    meta.silent("creationTimestamp", "name")
    meta.done()
    return found


def _container(c: Fields) -> Container:
    name = c.text("name", required=True)
    check_name(c, "name", name, "label")
    found = Container(
        name=name,
        image=c.text("image", required=True),
        where=c.where,
        command=c.texts("command"),
        args=c.texts("args"),
        env=tuple(_env(e) for e in c.children("env")),
        ports=tuple(_port(p) for p in c.children("ports")),
        readiness=_readiness(probe) if (probe := c.child("readinessProbe")) else None,
        mounts=tuple(_mount(m) for m in c.children("volumeMounts")),
        working_dir=c.text("workingDir"),
    )
    c.without_effect(*_CONTAINER_IDLE)
    c.done()
    return found


def _env(e: Fields) -> EnvVar:
    name = e.text("name", required=True)
    check_name(e, "name", name, "variable")
    has_value, source = "value" in e, e.child("valueFrom")
    value = e.text("value")
    e.done()
    if source is None:
        return EnvVar(name, value)
    if has_value:
        e.fail("valueFrom", "and value can't both be given.")
    reference = source.child("fieldRef")
    if reference is None:
        source.done()
        source.findings.fail(
            source.where, f"{e.subject}: {source.path} must have fieldRef; others are not understood."
        )
        return EnvVar(name, "")
    path = reference.text("fieldPath", required=True)
    if path and path not in FIELD_PATHS and not _KEYED.fullmatch(path):
        known = ", ".join((*FIELD_PATHS, "metadata.labels['KEY']", "metadata.annotations['KEY']"))
        reference.fail("fieldPath", f"{path!r} is not understood.", fix=f"Known: {known}.")
    if reference.text("apiVersion", "v1") != "v1":
        reference.fail("apiVersion", "must be v1.")
    reference.done()
    source.done()
    return EnvVar(name, field_path=path)


def _port(p: Fields) -> ContainerPort:
    name = p.text("name")
    check_name(p, "name", name, "port")
    protocol = cast(Protocol, p.choice("protocol", ("TCP", "UDP", "SCTP"), "TCP"))
    number = p.whole("containerPort", low=1, high=65535, required=True)
    p.without_effect("hostPort", "hostIP")
    p.done()
    return ContainerPort(number, name, protocol)


def _readiness(probe: Fields) -> Readiness | None:
    checks: list[GrpcCheck | TcpCheck | HttpCheck | ExecCheck] = []
    if grpc := probe.child("grpc"):
        checks.append(GrpcCheck(grpc.whole("port", low=1, high=65535, required=True), grpc.text("service")))
        grpc.done()
    if tcp := probe.child("tcpSocket"):
        checks.append(TcpCheck(tcp.port("port")))
        tcp.done()
    if http := probe.child("httpGet"):
        scheme = cast(Scheme, http.choice("scheme", ("HTTP", "HTTPS"), "HTTP"))
        checks.append(HttpCheck(http.port("port"), http.text("path", "/"), scheme))
        http.done()
    if command := probe.child("exec"):
        words = command.texts("command")
        if not words:
            command.fail("command", "is missing.")
        checks.append(ExecCheck(words))
        command.done()
    timing = {
        "initial_delay_s": probe.whole("initialDelaySeconds"),
        "period_s": probe.whole("periodSeconds", 10, low=1),
        "timeout_s": probe.whole("timeoutSeconds", 1, low=1),
        "success_threshold": probe.whole("successThreshold", 1, low=1),
        "failure_threshold": probe.whole("failureThreshold", 3, low=1),
    }
    probe.done()
    if len(checks) != 1:
        message = f"{probe.subject}: {probe.path} must have one of grpc, tcpSocket, httpGet and exec."
        probe.findings.fail(probe.where, message)
        return None
    return Readiness(checks[0], **timing)


def _mount(m: Fields) -> VolumeMount:
    found = VolumeMount(
        m.text("name", required=True),
        m.text("mountPath", required=True),
        m.text("subPath"),
        m.flag("readOnly"),
    )
    m.done()
    return found


def _volume(v: Fields) -> Volume:
    name = v.text("name", required=True)
    check_name(v, "name", name, "label")
    config_map, empty = v.child("configMap"), v.child("emptyDir")
    v.done()
    if (config_map is None) == (empty is None):
        v.findings.fail(
            v.where, f"{v.subject}: {v.path} must have configMap or emptyDir; others are not understood."
        )
    if empty is not None:
        empty.without_effect("medium", "sizeLimit")
        empty.done()
    if config_map is None:
        return Volume(name)
    items = []
    for item in config_map.children("items"):
        items.append((item.text("key", required=True), item.text("path", required=True)))
        if ".." in items[-1][1].split("/") or items[-1][1].startswith("/"):
            item.fail("path", "must be relative and without '..'.")
        item.without_effect("mode")
        item.done()
    found = Volume(name, config_map.text("name", required=True), tuple(items), config_map.flag("optional"))
    config_map.without_effect("defaultMode")
    config_map.done()
    return found


def _check_pod(pod: Fields, containers: tuple[Container, ...], volumes: tuple[Volume, ...]) -> None:
    _unique(pod, "containers", [c.name for c in containers])
    _unique(pod, "volumes", [v.name for v in volumes])
    _unique(pod, "containers", [p.name for c in containers for p in c.ports if p.name], "port name")
    known = {v.name for v in volumes}
    for c in containers:
        names = {p.name for p in c.ports}
        for m in c.mounts:
            if m.name not in known:
                _fail(pod, c, f"mounts the volume {m.name!r}, which spec.template.spec.volumes doesn't have.")
        check = c.readiness.check if c.readiness else None
        if (
            isinstance(check, TcpCheck | HttpCheck)
            and isinstance(check.port, str)
            and check.port not in names
        ):
            _fail(pod, c, f"is probed on a port {check.port!r}, which it doesn't have.")


def _fail(pod: Fields, c: Container, problem: str) -> None:
    pod.findings.fail(c.where, f"{pod.subject}: the container {c.name} {problem}")


def _unique(fields: Fields, field: str, names: list[str], what: str = "name") -> None:
    for name in sorted({n for n in names if n and names.count(n) > 1}):
        fields.fail(field, f"has the {what} {name!r} twice.")
