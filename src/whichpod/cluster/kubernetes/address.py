"""What a scenario's client dials in a cluster."""

from __future__ import annotations

from whichpod.cluster.protocol import Client, Via, dialled
from whichpod.manifest.bundle import Bundle
from whichpod.model.errors import UsageError

DOMAIN = "cluster.local"
"""Of nearly every cluster. Only xDS names need it, as istiod's listeners carry the full name."""


def address_of(client: Client, bundle: Bundle, namespace: str) -> str:
    """The address in gRPC's terms (grpc.io, Name Resolution), for clients via DNS and XDS.

    Raises UsageError where pods' addresses are dialled, which nobody knows before they run.
    """
    if client.via not in (Via.DNS, Via.XDS):
        raise UsageError(f"A client via {client.via} dials pods, whose addresses aren't known ahead.")
    return service_address(
        dialled(bundle, client).meta.name, namespace, client.port, xds=client.via is Via.XDS
    )


def service_address(service: str, namespace: str, port: int, *, xds: bool = False) -> str:
    """A Service's address. DNS names leave the cluster's domain to the resolver's search list, so that they
    hold in a cluster with another one too; Istio's routes have them so as well."""
    if xds:
        return f"xds:///{service}.{namespace}.svc.{DOMAIN}:{port}"
    return f"dns:///{service}.{namespace}.svc:{port}"


def pods_address(ips: list[str], port: int) -> str:
    """A static list of pods, of the family of the first."""
    six = ":" in ips[0]
    if six:
        return "ipv6:" + ",".join(f"[{ip}]:{port}" for ip in ips if ":" in ip)
    return "ipv4:" + ",".join(f"{ip}:{port}" for ip in ips if ":" not in ip)
