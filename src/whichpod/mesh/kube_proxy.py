"""What kube-proxy does, with a proxy in place of the kernel's NAT: a pod at random for each connection."""

from __future__ import annotations

from whichpod.manifest.kinds import Service, ServicePort
from whichpod.mesh.clusters import eds
from whichpod.mesh.endpoints import load_assignment
from whichpod.mesh.listeners import listener, tcp_filter
from whichpod.mesh.outbound import Listen
from whichpod.mesh.pieces import MOST, JsonObject
from whichpod.mesh.registry import Registry
from whichpod.mesh.resources import Resources


def kube_proxy(registry: Registry, listen: Listen) -> Resources:
    """A TCP listener at `listen(service, port)` per port of each Service that has a ClusterIP.

    Each connection goes to a ready endpoint chosen at random, as the `statistic` and `numgen` rules do. A
    port without ready endpoints has no listener, so connections are refused, as by the REJECT rule.
    `sessionAffinity: ClientIP` becomes a Maglev hash of the client's address: sticky, though not for 3 hours.
    """
    clusters: dict[str, JsonObject] = {}
    endpoints: dict[str, JsonObject] = {}
    listeners: dict[str, JsonObject] = {}
    for service in registry.bundle.services:
        if service.headless:
            continue
        for port in service.ports:
            behind = registry.behind(service, port)
            if port.protocol != "TCP":
                continue
            name = _name(service, port)
            sticky = service.session_affinity == "ClientIP"
            clusters[name] = _cluster(name, sticky)
            endpoints[name] = load_assignment(name, behind)
            if behind:
                filters = [tcp_filter(name, idle_timeout_s=0, by_source=sticky)]
                listeners[name] = listener(name, listen(service, port), "OUTBOUND", filters)
    return Resources(clusters, endpoints, listeners, {})


def _name(service: Service, port: ServicePort) -> str:
    """kube-proxy's name of a Service's port, which numbers tell apart too."""
    named = f":{port.name}" if port.name else ""
    return f"{service.meta.namespace}/{service.meta.name}{named}:{port.port}"


def _cluster(name: str, sticky: bool) -> JsonObject:
    unlimited = {"max_connections": MOST, "max_pending_requests": MOST, "max_requests": MOST}
    return {
        "name": name,
        "connect_timeout": "10s",
        "lb_policy": "MAGLEV" if sticky else "RANDOM",
        # NAT knows nothing of health: it never leaves the ready endpoints for others.
        "common_lb_config": {"healthy_panic_threshold": {"value": 0}},
        "circuit_breakers": {"thresholds": [unlimited]},
    } | eds(name)
