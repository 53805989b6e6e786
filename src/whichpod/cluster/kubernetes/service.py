"""A Service of the user's, as it is: which port is gRPC's, and which pods are behind it."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from whichpod.cluster.kubernetes.address import service_address
from whichpod.cluster.kubernetes.api import Api, Document
from whichpod.cluster.kubernetes.kinds import ENDPOINT_SLICE, NAMESPACE, SERVICE
from whichpod.model.errors import ClusterError, UsageError

SERVICE_NAME = "kubernetes.io/service-name"
"""Label of a Service's EndpointSlices."""
_GRPC = ("grpc", "grpc-web", "kubernetes.io/h2c", "http2", "h2c")


@dataclass(frozen=True, slots=True)
class Endpoint:
    """An address behind a Service."""

    ip: str
    pod: str = ""
    node: str = ""
    zone: str = ""
    ready: bool = True


@dataclass(frozen=True, slots=True)
class FoundService:
    """A Service, the port that is meant, and its endpoints."""

    name: str
    namespace: str
    port: int
    target_port: int | None
    """Of the pods, as the slices say; None where there are none."""
    headless: bool
    port_name: str
    app_protocol: str
    endpoints: tuple[Endpoint, ...]

    @property
    def ready(self) -> tuple[Endpoint, ...]:
        """Those that take traffic."""
        return tuple(e for e in self.endpoints if e.ready)

    def address(self, *, xds: bool = False) -> str:
        """As gRPC dials it."""
        return service_address(self.name, self.namespace, self.port, xds=xds)

    def known(self, *, by_peer: bool) -> tuple[str, ...]:
        """Who should answer: addresses where a server is told by its peer, else pods."""
        return tuple(e.ip if by_peer or not e.pod else e.pod for e in self.ready)


async def find_service(api: Api, name: str, namespace: str, port: str = "") -> FoundService:
    """Looks a Service up; `port` is a number or a name, empty: the only one, or the one that is gRPC's.

    Raises UsageError where there is no such Service or port (with those that there are), ClusterError where
    it has no ready endpoint.
    """
    document = await api.get(SERVICE, name, namespace)
    if document is None:
        raise await no_service(api, name, namespace)
    spec = document.get("spec") or {}
    if spec.get("type") == "ExternalName":
        raise UsageError(
            f"The Service {name} is another name of {spec.get('externalName')}.", fix="Probe that one."
        )
    chosen = _port(name, spec.get("ports") or (), port)
    slices = await api.objects(ENDPOINT_SLICE, namespace, labels=f"{SERVICE_NAME}={name}")
    found = FoundService(
        name,
        namespace,
        int(chosen["port"]),
        _target_port(slices, str(chosen.get("name") or "")),
        spec.get("clusterIP") == "None",
        str(chosen.get("name") or ""),
        str(chosen.get("appProtocol") or ""),
        tuple(endpoints(slices)),
    )
    if not found.ready:
        raise ClusterError(
            f"The Service {name} in {namespace} has no ready endpoint"
            + (f" ({len(found.endpoints)} aren't ready)." if found.endpoints else "."),
            fix=f"Do its selector and its pods fit? kubectl get endpointslices -n {namespace} "
            f"-l {SERVICE_NAME}={name}",
        )
    return found


def endpoints(slices: Iterable[Mapping[str, Any]]) -> list[Endpoint]:
    """The endpoints in slices of IP addresses, each pod once (of a dual stack, its first family's address).

    A missing condition `ready` means ready (kubernetes.io, EndpointSlices).
    """
    found: dict[str, Endpoint] = {}
    for piece in sorted(slices, key=lambda s: str(s.get("addressType"))):
        for endpoint in piece.get("endpoints") or ():
            reference = endpoint.get("targetRef") or {}
            pod = str(reference.get("name") or "") if reference.get("kind") == "Pod" else ""
            ready = (endpoint.get("conditions") or {}).get("ready") is not False
            for address in endpoint.get("addresses") or ():
                one = Endpoint(
                    str(address),
                    pod,
                    str(endpoint.get("nodeName") or ""),
                    str(endpoint.get("zone") or ""),
                    ready,
                )
                # A pod may be in two slices while it is moved between them.
                key = pod or one.ip
                if key not in found or (ready and not found[key].ready):
                    found[key] = one
    return sorted(found.values(), key=lambda e: (e.pod, e.ip))


def _port(service: str, ports: Iterable[Mapping[str, Any]], asked: str) -> Mapping[str, Any]:
    tcp = [p for p in ports if p.get("protocol", "TCP") == "TCP"]
    said = ", ".join(f"{p['port']}" + (f" ({p['name']})" if p.get("name") else "") for p in tcp) or "none"
    if asked:
        for port in tcp:
            if asked in (str(port["port"]), port.get("name")):
                return port
        raise UsageError(f"The Service {service} has no TCP port {asked}.", fix=f"It has {said}.")
    if len(tcp) == 1:
        return tcp[0]
    speaking = [p for p in tcp if _is_grpc(p)]
    if len(speaking) == 1:
        return speaking[0]
    raise UsageError(f"The Service {service} has several ports: {said}.", fix="Say which: --port")


def _is_grpc(port: Mapping[str, Any]) -> bool:
    """By appProtocol, else by name (Istio, Protocol Selection)."""
    protocol = port.get("appProtocol")
    name = str(port.get("name") or "")
    return protocol in _GRPC if protocol else name.partition("-")[0] in ("grpc", "http2")


def _target_port(slices: Iterable[Mapping[str, Any]], name: str) -> int | None:
    for piece in slices:
        for port in piece.get("ports") or ():
            if (port.get("name") or "") == name and port.get("port"):
                return int(port["port"])
    return None


async def no_service(api: Api, name: str, namespace: str) -> UsageError:
    """There is no such Service: which ones are there."""
    if await api.get(NAMESPACE, namespace) is None:
        return UsageError(f"There is no namespace {namespace}.", fix="Say which with -n.")
    others = [_name(d) for d in await api.objects(SERVICE, namespace)]
    near = difflib.get_close_matches(name, others, n=3) or sorted(others)[:8]
    return UsageError(
        f"There is no Service {name} in {namespace}.",
        fix=f"There is {', '.join(near)}." if near else "There is none at all. Another namespace: -n",
    )


def _name(document: Document) -> str:
    return str(document["metadata"]["name"])
