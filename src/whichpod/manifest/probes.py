"""Reads a container's probes and hooks (kubernetes.io, API reference, Probe and Lifecycle)."""

from __future__ import annotations

from typing import cast

from whichpod.manifest.fields import Fields
from whichpod.manifest.kinds import (
    ExecCheck,
    GrpcCheck,
    HttpCheck,
    PreStop,
    Probe,
    Scheme,
    Sleep,
    TcpCheck,
)


def read_probe(container: Fields, name: str) -> Probe | None:
    """Reads `readinessProbe`, `livenessProbe` or `startupProbe`."""
    probe = container.child(name)
    if probe is None:
        return None
    checks: list[GrpcCheck | TcpCheck | HttpCheck | ExecCheck] = []
    if grpc := probe.child("grpc"):
        checks.append(GrpcCheck(grpc.whole("port", low=1, high=65535, required=True), grpc.text("service")))
        grpc.done()
    if tcp := probe.child("tcpSocket"):
        checks.append(TcpCheck(tcp.port("port")))
        tcp.without_effect("host")
        tcp.done()
    if http := probe.child("httpGet"):
        checks.append(_http(http))
    if command := probe.child("exec"):
        checks.append(_exec(command))
    once = name != "readinessProbe"
    found = {
        "initial_delay_s": probe.whole("initialDelaySeconds"),
        "period_s": probe.whole("periodSeconds", 10, low=1),
        "timeout_s": probe.whole("timeoutSeconds", 1, low=1),
        "success_threshold": probe.whole("successThreshold", 1, low=1, high=1 if once else 2**31 - 1),
        "failure_threshold": probe.whole("failureThreshold", 3, low=1),
    }
    grace = probe.optional_whole("terminationGracePeriodSeconds")
    if grace is not None and not once:
        probe.fail("terminationGracePeriodSeconds", "can't be set for a readiness probe.")
    probe.done()
    if len(checks) != 1:
        message = f"{probe.subject}: {probe.path} must have one of grpc, tcpSocket, httpGet and exec."
        probe.findings.fail(probe.where, message)
        return None
    return Probe(checks[0], **found, grace_s=grace)


def read_pre_stop(container: Fields) -> PreStop | None:
    """Reads `lifecycle`, of which `preStop` is kept."""
    lifecycle = container.child("lifecycle")
    if lifecycle is None:
        return None
    lifecycle.without_effect("postStart", "stopSignal")
    hook, found = lifecycle.child("preStop"), None
    lifecycle.done()
    if hook is None:
        return None
    hooks: list[PreStop] = []
    if sleep := hook.child("sleep"):
        hooks.append(Sleep(sleep.whole("seconds", required=True)))
        sleep.done()
    if command := hook.child("exec"):
        hooks.append(_exec(command))
    if http := hook.child("httpGet"):
        hooks.append(_http(http))
    hook.without_effect("tcpSocket")
    hook.done()
    if len(hooks) == 1:
        found = hooks[0]
    elif "tcpSocket" not in hook or hooks:
        message = f"{hook.subject}: {hook.path} must have one of sleep, exec and httpGet."
        hook.findings.fail(hook.where, message)
    return found


def _http(http: Fields) -> HttpCheck:
    scheme = cast(Scheme, http.choice("scheme", ("HTTP", "HTTPS"), "HTTP"))
    found = HttpCheck(http.port("port"), http.text("path", "/"), scheme)
    http.without_effect("host", "httpHeaders")
    http.done()
    return found


def _exec(command: Fields) -> ExecCheck:
    words = command.texts("command")
    if not words:
        command.fail("command", "is missing.")
    command.done()
    return ExecCheck(words)
