"""Reads containers and their environment (kubernetes.io, API reference, Container)."""

from __future__ import annotations

from decimal import Decimal
from typing import cast

from whichpod.manifest.fields import Fields
from whichpod.manifest.kinds import Container, ContainerPort, EnvFrom, EnvVar, Holder, KeyRef, Protocol
from whichpod.manifest.meta import check_name
from whichpod.manifest.pod_fields import read_field
from whichpod.manifest.probes import read_pre_stop, read_probe
from whichpod.manifest.quantities import in_units, quantity
from whichpod.manifest.volumes import read_mount

_IDLE = (
    "imagePullPolicy",
    "resizePolicy",
    "restartPolicyRules",
    "securityContext",
    "stdin",
    "stdinOnce",
    "terminationMessagePath",
    "terminationMessagePolicy",
    "tty",
    "volumeDevices",
)
_HOLDERS: tuple[tuple[str, Holder], ...] = (("configMap", "ConfigMap"), ("secret", "Secret"))
_SOURCES = "one of fieldRef, configMapKeyRef, secretKeyRef and resourceFieldRef"


def read_container(c: Fields, *, init: bool = False) -> Container:
    """Reads a container, or an init container."""
    name = c.text("name", required=True)
    check_name(c, "name", name, "label")
    resources = _resources(c)
    always = c.choice("restartPolicy", ("", "Always"), "") if init else "Always"
    found = Container(
        name=name,
        image=c.text("image", required=True),
        where=c.where,
        command=c.texts("command"),
        args=c.texts("args"),
        env=tuple(v for e in c.children("env") if (v := _env(e, resources))),
        ports=tuple(_port(p) for p in c.children("ports")),
        readiness=read_probe(c, "readinessProbe"),
        mounts=tuple(read_mount(m) for m in c.children("volumeMounts")),
        working_dir=c.text("workingDir"),
        env_from=tuple(s for e in c.children("envFrom") if (s := _env_from(e))),
        liveness=read_probe(c, "livenessProbe"),
        startup=read_probe(c, "startupProbe"),
        pre_stop=read_pre_stop(c),
        restarts=always == "Always",
    )
    c.without_effect(*_IDLE)
    if not init:
        c.without_effect("restartPolicy")
    c.done()
    return found


def _resources(c: Fields) -> dict[str, Decimal]:
    """What is asked for, as `limits.cpu`: only a resourceFieldRef can tell."""
    found: dict[str, Decimal] = {}
    resources = c.child("resources")
    if resources is None:
        return found
    for kind in ("limits", "requests"):
        amounts = resources.child(kind)
        for name, text in amounts.amounts().items() if amounts else ():
            value = quantity(text)
            if value is not None:
                found[f"{kind}.{name}"] = value
            elif amounts:
                amounts.fail(name, f"{text!r} is not an amount.", fix="Write it like 500m.")
    resources.silent("claims")
    resources.done()
    c.note("resources", "has no effect in the lab.")
    return found


def _env(e: Fields, resources: dict[str, Decimal]) -> EnvVar | None:
    name = e.text("name", required=True)
    check_name(e, "name", name, "variable")
    has_value, source = "value" in e, e.child("valueFrom")
    value = e.text("value")
    e.done()
    if source is None:
        return EnvVar(name, value)
    if has_value:
        e.fail("valueFrom", "and value can't both be given.")
    found: list[EnvVar] = []
    if "fieldRef" in source:
        found.append(EnvVar(name, field_path=read_field(source, "fieldRef")))
    for start, kind in _HOLDERS:
        if reference := source.child(f"{start}KeyRef"):
            found.append(EnvVar(name, key=_key(reference, kind)))
    if resource := source.child("resourceFieldRef"):
        found.append(EnvVar(name, _amount(resource, resources)))
    source.done()
    if len(found) != 1:
        source.findings.unsupported(source.where, f"{e.subject}: {source.path} must have {_SOURCES}.")
        return None
    return found[0]


def _key(reference: Fields, kind: Holder) -> KeyRef:
    found = KeyRef(
        kind,
        reference.text("name", required=True),
        reference.text("key", required=True),
        reference.where,
        reference.flag("optional"),
    )
    reference.done()
    return found


def _amount(reference: Fields, resources: dict[str, Decimal]) -> str:
    resource = reference.text("resource", required=True)
    reference.silent("containerName")
    text = reference.amount("divisor") or "1"
    divisor = quantity(text)
    if not divisor or divisor <= 0:
        reference.fail("divisor", f"{text!r} is not an amount.", fix="Write it like 1Mi.")
        divisor = Decimal(1)
    reference.done()
    if resource and resource not in resources:
        reference.unsupported("resource", f"{resource} is not set, and a lab has no node to take it from.")
        return ""
    return in_units(resources.get(resource, Decimal(0)), divisor)


def _env_from(e: Fields) -> EnvFrom | None:
    prefix, found = e.text("prefix"), []
    for start, kind in _HOLDERS:
        if reference := e.child(f"{start}Ref"):
            name, optional = reference.text("name", required=True), reference.flag("optional")
            reference.done()
            found.append(EnvFrom(kind, name, e.where, prefix, optional))
    e.done()
    if len(found) != 1:
        e.findings.fail(e.where, f"{e.subject}: {e.path} must have one of configMapRef and secretRef.")
        return None
    return found[0]


def _port(p: Fields) -> ContainerPort:
    name = p.text("name")
    check_name(p, "name", name, "port")
    protocol = cast(Protocol, p.choice("protocol", ("TCP", "UDP", "SCTP"), "TCP"))
    number = p.whole("containerPort", low=1, high=65535, required=True)
    p.without_effect("hostPort", "hostIP")
    p.done()
    return ContainerPort(number, name, protocol)
