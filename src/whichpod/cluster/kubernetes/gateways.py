"""The Gateway API in a cluster: whether somebody carries a route out, and where a gateway is."""

from __future__ import annotations

import asyncio
import ipaddress
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from whichpod.cluster.kubernetes.address import pods_address, service_address
from whichpod.cluster.kubernetes.api import Api, Document
from whichpod.cluster.kubernetes.kinds import GATEWAY, GRPC_ROUTE, SERVICE
from whichpod.model.errors import ClusterError
from whichpod.model.text import printable

GATEWAY_NAME = "gateway.networking.k8s.io/gateway-name"
"""Label of what a controller makes for a Gateway (GEP-1762, In Cluster Gateway Deployments)."""
_PAUSE_S = 0.2


async def await_routes(
    api: Api, documents: Iterable[Mapping[str, Any]], *, within_s: float, says: Callable[[str], None]
) -> None:
    """Until every GRPCRoute among them is carried out by somebody.

    Raises ClusterError at once where one is refused (its condition says why), and where nobody takes it.
    """
    deadline = time.monotonic() + within_s
    for name, namespace in _named(documents, GRPC_ROUTE.kind):
        while True:
            found = await api.get(GRPC_ROUTE, name, namespace)
            parents = ((found or {}).get("status") or {}).get("parents") or ()
            if any(_is(p, "Accepted", "True") and not _is(p, "ResolvedRefs", "False") for p in parents):
                break
            for parent in parents:
                for condition in ("Accepted", "ResolvedRefs"):
                    if said := _said(parent, condition):
                        by = parent.get("controllerName", "its controller")
                        raise ClusterError(
                            f"The GRPCRoute {name} isn't carried out by {by}: {said}.",
                            fix="Does the controller know GRPCRoutes with such a parent?",
                        )
            if time.monotonic() > deadline:
                raise ClusterError(
                    f"Nobody carried the GRPCRoute {name} out within {within_s:g} s.",
                    fix="Routes of Services need a mesh that knows them (GAMMA), as Istio does.",
                )
            says(f"waiting for the GRPCRoute {name} to be carried out")
            await asyncio.sleep(_PAUSE_S)


async def await_gateway(
    api: Api, name: str, namespace: str, port: int, *, within_s: float, says: Callable[[str], None]
) -> str:
    """Until the Gateway is carried out; its address in gRPC's terms, as a client within the cluster dials it:
    the Service that its controller made for it, else what its status says.

    Raises ClusterError where the Gateway is refused, or has no address in time.
    """
    deadline = time.monotonic() + within_s
    while True:
        found = await api.get(GATEWAY, name, namespace) or {}
        status = found.get("status") or {}
        if said := _said(status, "Accepted"):
            given = (found.get("spec") or {}).get("gatewayClassName", "")
            raise ClusterError(
                f"The Gateway {name} of the class {given} is refused: {said}.",
                fix="Choose another: --gateway-class",
            )
        if _is(status, "Programmed", "True") and (
            address := await _address(api, name, namespace, status, port)
        ):
            return address
        # Without a load balancer a gateway isn't called programmed, and yet serves the cluster.
        if _said(status, "Programmed", "AddressNotAssigned") and (
            address := await _own_service(api, name, namespace, port)
        ):
            return address
        if time.monotonic() > deadline:
            said = _said(status, "Programmed") or "it has no address"
            raise ClusterError(
                f"The Gateway {name} was not ready within {within_s:g} s: {said}.",
                fix="Does its class's controller run, and can it give it an address?",
            )
        says(f"waiting for the gateway {name}")
        await asyncio.sleep(_PAUSE_S)


async def _address(api: Api, name: str, namespace: str, status: Mapping[str, Any], port: int) -> str:
    if own := await _own_service(api, name, namespace, port):
        return own
    for address in status.get("addresses") or ():
        value = str(address.get("value") or "")
        try:
            ipaddress.ip_address(value)
        except ValueError:
            if value:
                return f"dns:///{value}:{port}"
        else:
            return pods_address([value], port)
    return ""


async def _own_service(api: Api, name: str, namespace: str, port: int) -> str:
    services = await api.objects(SERVICE, namespace, labels=f"{GATEWAY_NAME}={name}")
    for service in services:
        if any(p.get("port") == port for p in (service.get("spec") or {}).get("ports") or ()):
            return service_address(str(service["metadata"]["name"]), namespace, port)
    return ""


def _named(documents: Iterable[Mapping[str, Any]], kind: str) -> list[tuple[str, str]]:
    return [(d["metadata"]["name"], d["metadata"]["namespace"]) for d in documents if d["kind"] == kind]


def _condition(status: Mapping[str, Any], kind: str) -> Document:
    return next((c for c in status.get("conditions") or () if c.get("type") == kind), {})


def _is(status: Mapping[str, Any], kind: str, state: str) -> bool:
    return bool(_condition(status, kind).get("status") == state)


def _said(status: Mapping[str, Any], kind: str, reason: str = "") -> str:
    """Why a condition doesn't hold; empty where it does, isn't known yet, or has another reason."""
    condition = _condition(status, kind)
    given = str(condition.get("reason") or "")
    # Conditions begin as Unknown, and an older API's as False with the reason Pending.
    if condition.get("status") != "False" or given == "Pending" or (reason and given != reason):
        return ""
    message = printable(str(condition.get("message") or "")).rstrip(".")
    return f"{given} ({message})" if message else given
