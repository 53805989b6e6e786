"""A client sent into the cluster: a namespace for its Job, the Job, its report, and nothing left of them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any, Literal

from whichpod.cluster.kubernetes.clients import Clients
from whichpod.cluster.kubernetes.cluster import KubernetesCluster, to_its_end
from whichpod.cluster.kubernetes.forward import forwarded
from whichpod.cluster.kubernetes.home import Home, claim
from whichpod.cluster.kubernetes.jobs import GRACE_S, client_job
from whichpod.cluster.kubernetes.lab import PORT_FORWARD, PROGRESS_S, longest_s, probe_here
from whichpod.cluster.kubernetes.names import INJECT, fitting
from whichpod.cluster.kubernetes.service import FoundService
from whichpod.cluster.kubernetes.task import Task
from whichpod.model.errors import ClusterError, UsageError
from whichpod.model.plan import Plan
from whichpod.model.report import Report
from whichpod.model.target import Target

Mesh = Literal["auto", "inside", "outside"]
"""Whether the client has a sidecar; auto: where the cluster has Istio."""
MESHES: dict[str, Mesh] = {"auto": "auto", "inside": "inside", "outside": "outside"}
"""By how a user says it."""


def meshed(cluster: KubernetesCluster, mesh: Mesh) -> bool:
    """Whether a client gets a sidecar. Raises UsageError where there is nothing that would give it one."""
    if mesh == "inside" and not cluster.facts.istio:
        raise UsageError(
            "The cluster has no Istio whose sidecar the client could get.",
            fix="Leave --mesh out, or install Istio: whichpod k8s install-istio",
        )
    return mesh != "outside" and bool(cluster.facts.istio)


@asynccontextmanager
async def home_of(
    cluster: KubernetesCluster, *, sidecar: bool, says: Callable[[str], None]
) -> AsyncIterator[Home]:
    """A namespace for clients, the one of the settings or one of their own; gone when left."""
    settings = cluster.settings
    name = settings.namespace or fitting("whichpod", settings.run)
    # The init container that sets iptables needs more rights than the baseline allows.
    level: Literal["privileged", "restricted"] = (
        "privileged" if sidecar and not cluster.facts.istio_cni else "restricted"
    )
    home = await claim(cluster.api, name, run=settings.run, level=level, says=says)
    try:
        yield home
    finally:
        await to_its_end(cluster.clear(home, says))


async def probe_service(
    cluster: KubernetesCluster,
    service: FoundService,
    target: Target,
    plan: Plan,
    *,
    mesh: Mesh = "auto",
    xds: bool = False,
    ready_timeout_s: float,
    says: Callable[[str], None],
    progress: Callable[[int, dict[str, Any]], None] | None = None,
) -> Report:
    """Probes a Service from a Job, in the mesh where there is one; `xds`: without a proxy, over xds:///.

    Cancelled, it returns the report of what there is. Raises UsageError, ClusterError, TargetError as the
    parts do.
    """
    facts, settings = cluster.facts, cluster.settings
    inside = meshed(cluster, mesh)
    if xds and not facts.istio:
        raise UsageError("xds:/// needs Istio's control plane, and the cluster has none.", fix="Use DNS.")
    by_peer = bool(plan.method) and not plan.identify
    known = target.known or service.known(by_peer=by_peer)
    aim = replace(
        target, address=service.address(xds=xds), known=known, known_by=target.known_by or "endpoints"
    )
    longest = longest_s(plan)
    task = Task("probe", aim, plan, limit_s=longest, progress_s=PROGRESS_S)
    async with home_of(cluster, sidecar=inside or xds, says=says) as home:
        job = client_job(
            settings.run,
            "probe",
            home.name,
            settings.image,
            meshed=inside and not xds,
            proxyless=xds,
            native_sidecars=facts.native_sidecars,
            revision=facts.revision,
            deadline_s=longest + ready_timeout_s + GRACE_S,
            pull_policy=settings.pull_policy,
            env=task.env(),
        )
        if not facts.istio:
            del job["spec"]["template"]["metadata"]["labels"][INJECT]
        clients = Clients(
            cluster.api,
            job,
            meshed=inside or xds,
            ready_timeout_s=ready_timeout_s,
            says=says,
            progress=progress,
        )
        report = await clients.run_one()
    report.environment |= cluster.environment() | {
        "client": "a Job in the mesh" if inside or xds else "a Job",
        "service": f"{service.name}.{service.namespace}:{service.port}",
    }
    return report


async def probe_forwarded(
    cluster: KubernetesCluster, service: FoundService, target: Target, plan: Plan
) -> Report:
    """Probes a Service from here, through port-forward: as kubectl does, into its first ready pod.

    Cancelled, it returns the report of what there is. Raises ClusterError where that can't be forwarded to,
    and what a probe raises.
    """
    endpoint = next((e for e in service.ready if e.pod), None)
    if endpoint is None or service.target_port is None:
        raise ClusterError(
            f"The Service {service.name} has no ready pod that could be forwarded to.",
            fix="Its endpoints are no pods of the cluster.",
        )
    # Through the tunnel every server looks alike: pods that say who they are, by name.
    known = target.known or service.known(by_peer=False)
    async with forwarded(cluster.api, endpoint.pod, service.namespace, service.target_port) as forward:
        aim = replace(target, address=forward.address, known=known, known_by="endpoints")
        try:
            report = await probe_here(aim, plan)
        finally:
            forward.check()
    report.environment |= cluster.environment() | {"client": PORT_FORWARD, "forwarded to": endpoint.pod}
    return report
