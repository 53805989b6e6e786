"""A lab as it is now."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence

from whichpod.cluster.local.lab import LocalLab
from whichpod.cluster.local.pods import Pod
from whichpod.cluster.session.desk import Desk
from whichpod.manifest.kinds import Service
from whichpod.mesh.brief import cluster_brief
from whichpod.mesh.caller import Caller
from whichpod.mesh.clusters import outbound_cluster
from whichpod.mesh.mutual_tls import secured
from whichpod.mesh.outbound import destinations
from whichpod.mesh.protocol import Wire, wire
from whichpod.mesh.registry import Registry
from whichpod.model.lab import EventStatus, LabStatus, PodStatus, PortStatus, ServiceStatus


def status_of(desk: Desk, lab: LocalLab, events: Sequence[EventStatus]) -> LabStatus:
    """All of it."""
    environment, registry = lab.environment(), lab.registry()
    if any(p.echo for p in lab.workloads.pods):
        environment["engine"] = desk.manifests.engine
    return LabStatus(
        name=desk.name,
        cluster=environment.pop("cluster"),
        pid=desk.pid,
        version=desk.version,
        up_s=time.monotonic() - desk.began,
        manifests=tuple(name for name, _ in desk.manifests.texts),
        control_plane=lab.control_plane_up,
        dns=lab.dns_up,
        dns_address=lab.fabric.dns,
        stand_ins=tuple(lab.fabric.stand_ins()),
        environment={k: v for k, v in environment.items() if k not in ("stand-ins", "real")},
        pods=tuple(map(_pod, lab.workloads.pods)),
        services=tuple(_service(s, lab, registry) for s in lab.bundle.services),
        events=tuple(events),
    )


def _pod(pod: Pod) -> PodStatus:
    meta = pod.deployment.meta
    return PodStatus(
        name=pod.name,
        namespace=meta.namespace,
        workload=meta.name,
        kind=pod.deployment.kind,
        ready=pod.ready,
        state=pod.where,
        reason="" if pod.ready else pod.reason,
        restarts=pod.restarts,
        age_s=(time.monotonic_ns() - pod.created_ns) / 1e9,
        ip=pod.ip,
        node=pod.node,
        zone=pod.zone,
        sidecar=pod.meshed,
        faults=dict(pod.faults),
    )


def _service(service: Service, lab: LocalLab, registry: Registry) -> ServiceStatus:
    going = {p.ip for p in lab.workloads.pods if p.ending}
    selected = [
        e for e in registry.endpoints if service.selects(e.namespace, e.labels) and e.address not in going
    ]
    return ServiceStatus(
        name=service.meta.name,
        namespace=service.meta.namespace,
        cluster_ip="" if service.headless else lab.fabric.cluster_ip(service),
        ports=tuple(PortStatus(p.port, p.name, str(p.target_port), wire(p).value) for p in service.ports),
        ready=tuple(e.pod for e in selected if e.ready),
        pods=len(selected),
        policies=tuple(_policies(service, registry)) if any(e.meshed for e in registry.endpoints) else (),
    )


def _policies(service: Service, registry: Registry) -> Iterator[str]:
    """What a sidecar in the Service's namespace is told, by port and subset."""
    for port in service.ports:
        kind = wire(port)
        if kind is Wire.UDP:
            continue
        for to in destinations(registry, service, port, Caller(service.meta.namespace)):
            weighted = to.preference.weighted
            cluster = outbound_cluster(to.name, kind, to.policy, passing=service.headless, weighted=weighted)
            cluster = secured(registry, service, port, kind, to.policy, to.subset, cluster)
            which = f"{port.port}, subset {to.subset.name}" if to.subset else str(port.port)
            yield f"port {which}: {cluster_brief(cluster)}"
