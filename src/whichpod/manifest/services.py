"""Reads Services, Namespaces and Nodes (kubernetes.io, API reference v1)."""

from __future__ import annotations

from typing import Literal, cast

from whichpod.manifest.fields import Fields
from whichpod.manifest.kinds import Affinity, Meta, Namespace, Node, Protocol, Service, ServicePort
from whichpod.manifest.meta import check_name, labels, read_meta

_IDLE = (
    "allocateLoadBalancerNodePorts",
    "externalIPs",
    "externalTrafficPolicy",
    "healthCheckNodePort",
    "ipFamilies",
    "ipFamilyPolicy",
    "internalTrafficPolicy",
    "loadBalancerClass",
    "loadBalancerIP",
    "loadBalancerSourceRanges",
)


def read_service(top: Fields) -> Service:
    """Reads a Service."""
    meta = read_meta(top, "service")
    spec = top.child("spec", required=True)
    top.silent("status")
    if spec is None:
        return Service(meta, top.where, ())
    types = ("ClusterIP", "NodePort", "LoadBalancer")
    kind = spec.choice("type", types, "ClusterIP", beyond=("ExternalName",))
    spec.left_out("externalName")
    if kind != "ClusterIP":
        spec.note("type", f"{kind} is taken as ClusterIP: the lab opens no ports to the outside.")
    address = spec.text("clusterIP")
    headless = address == "None"
    if address and not headless:
        spec.note("clusterIP", "is chosen by the lab.")
    for other in spec.texts("clusterIPs"):
        if (other == "None") != headless:
            spec.fail("clusterIPs", "does not agree with clusterIP.")
    affinity = cast(Affinity, spec.choice("sessionAffinity", ("None", "ClientIP"), "None"))
    found = Service(
        meta=meta,
        where=top.where,
        ports=tuple(_port(p) for p in spec.children("ports", required=not headless)),
        selector=labels(spec, "selector"),
        headless=headless,
        publish_not_ready=spec.flag("publishNotReadyAddresses"),
        session_affinity=affinity,
        affinity_timeout_s=_affinity_timeout(spec),
        distribution=_distribution(spec, meta),
    )
    spec.without_effect(*_IDLE)
    spec.done()
    _check_ports(spec, found.ports)
    return found


def _affinity_timeout(spec: Fields) -> int:
    seconds = 10_800
    if config := spec.child("sessionAffinityConfig"):
        if client := config.child("clientIP"):
            seconds = client.whole("timeoutSeconds", seconds, low=1, high=86_400)
            client.note("timeoutSeconds", "has an effect in namespaces only, not on loopback.")
            client.done()
        config.done()
    return seconds


def _distribution(spec: Fields, meta: Meta) -> Literal["", "PreferSameZone", "PreferSameNode"]:
    """trafficDistribution, or Istio's annotation for it. PreferClose is the old name of PreferSameZone."""
    known = ("", "PreferClose", "PreferSameZone", "PreferSameNode")
    annotated = meta.annotations.get("networking.istio.io/traffic-distribution", "")
    found = spec.choice("trafficDistribution", known, "") or (annotated if annotated in known else "")
    if "trafficDistribution" in spec:
        spec.note("trafficDistribution", "holds in sidecars and proxyless clients, not for a ClusterIP.")
    if found == "PreferSameNode":
        return "PreferSameNode"
    return "PreferSameZone" if found else ""


def _port(p: Fields) -> ServicePort:
    name = p.text("name")
    check_name(p, "name", name, "label")
    number = p.whole("port", low=1, high=65535, required=True)
    target = p.port("targetPort", required=False) or number
    if isinstance(target, str):
        check_name(p, "targetPort", target, "port")
    protocol = cast(Protocol, p.choice("protocol", ("TCP", "UDP", "SCTP"), "TCP"))
    if protocol != "TCP":
        p.note("protocol", f"{protocol} is not served in the lab.")
    found = ServicePort(number, target, p.where, name, p.text("appProtocol"), protocol)
    p.without_effect("nodePort")
    p.done()
    return found


def _check_ports(spec: Fields, ports: tuple[ServicePort, ...]) -> None:
    names = [p.name for p in ports]
    if len(ports) > 1 and "" in names:
        spec.fail("ports", "must each have a name, since there are several.")
    for name in sorted({n for n in names if n and names.count(n) > 1}):
        spec.fail("ports", f"has the name {name!r} twice.")
    numbers = [(p.port, p.protocol) for p in ports]
    for number, protocol in sorted({n for n in numbers if n[0] and numbers.count(n) > 1}):
        spec.fail("ports", f"has the port {number}/{protocol} twice.")


def read_namespace(top: Fields) -> Namespace:
    """Reads a Namespace."""
    meta = read_meta(top, "label")
    top.silent("spec", "status")
    return Namespace(meta, top.where)


def read_node(top: Fields) -> Node:
    """Reads a Node, for its name and its labels."""
    meta = read_meta(top, "subdomain")
    top.silent("spec", "status")
    return Node(meta, top.where)
