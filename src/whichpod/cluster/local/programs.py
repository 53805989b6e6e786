"""Programs of the user's, run where a pod or a client of the lab stands."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from whichpod.cluster.local.fabric import Fabric, Standing
from whichpod.cluster.protocol import Client
from whichpod.manifest.bundle import Bundle
from whichpod.manifest.kinds import Service, ServicePort
from whichpod.model.errors import LabError
from whichpod.probe.resolve import resolved_addresses

_PLACE = re.compile(r"\{([a-z0-9][-a-z0-9./]*)(?::([a-z0-9-]+))?\}")


@dataclass(frozen=True, slots=True)
class Command:
    """What is to run, in the words of the user."""

    argv: Sequence[str]
    """`argv[0]` is the program's absolute path. `{SERVICE}` and `{SERVICE:PORT}` stand for addresses."""
    env: Mapping[str, str]
    folder: Path
    descriptors: Sequence[int]
    """Its stdin, stdout and stderr."""
    terminal: bool = False
    """Whether these are a terminal that is to be its own."""


@dataclass(frozen=True, slots=True)
class Reach:
    """How programs in one place reach Services."""

    bundle: Bundle
    fabric: Fabric
    client: Client
    standing: Standing

    async def filled_in(self, argv: Sequence[str]) -> list[str]:
        """The words with addresses for `{SERVICE}`; braces around anything else stay. Raises LabError."""
        found = {}
        for word in argv:
            for match in _PLACE.finditer(word):
                if (service := self._service(match[1])) and match[0] not in found:
                    found[match[0]] = await self.address(service, match[2] or "")
        return [_PLACE.sub(lambda m: found.get(m[0], m[0]), word) for word in argv]

    async def environment(self) -> dict[str, str]:
        """What Kubernetes tells containers of Services (kubernetes.io, Discovering services, environment
        variables), of those in the namespace `default`; and where the lab's DNS is asked."""
        found = {"WHICHPOD_DNS": self.dns}
        for service in self.bundle.services:
            if service.meta.namespace == "default" and not service.headless and service.ports:
                found |= service_variables(service, await self._host(service))
        return found

    @property
    def dns(self) -> str:
        """HOST:PORT of the DNS server that a client here asks."""
        for service in self.bundle.services:
            uri = self.fabric.uri(self.client, service)
            if uri.startswith("dns://"):
                return uri.removeprefix("dns://").partition("/")[0]
        return self.fabric.dns

    async def address(self, service: Service, port: str) -> str:
        """HOST:PORT that a program dials to reach a Service: a name where the place has the cluster's DNS,
        else an address; where the name stands for several, a gRPC name that asks the lab's DNS.

        Raises LabError for a port that the Service hasn't.
        """
        number = _port(service, port).port
        uri = f"{self.fabric.uri(self.client, service)}:{number}"
        if self.standing.network or not uri.startswith("dns://"):
            return f"{service.host}:{number}"
        if not self.client.meshed and not service.headless:
            return f"{self.fabric.cluster_ip(service)}:{number}"
        found = await asyncio.to_thread(resolved_addresses, uri)
        return found[0] if len(found) == 1 else uri

    async def _host(self, service: Service) -> str:
        if self.standing.network:
            return self.fabric.cluster_ip(service)
        return (await self.address(service, "")).rpartition(":")[0]

    def _service(self, name: str) -> Service | None:
        wanted = name.replace("/", ".")
        for s in self.bundle.services:
            own, namespace = s.meta.name, s.meta.namespace
            if name == f"{namespace}/{own}" or wanted in (own, f"{own}.{namespace}", s.host):
                return s
        return None


def service_variables(service: Service, host: str) -> dict[str, str]:
    """The variables of one Service."""
    name = service.meta.name.upper().replace("-", "_")
    first = service.ports[0]
    found = {f"{name}_SERVICE_HOST": host, f"{name}_SERVICE_PORT": str(first.port)}
    for port in service.ports:
        if port.name:
            found[f"{name}_SERVICE_PORT_{port.name.upper().replace('-', '_')}"] = str(port.port)
    found[f"{name}_PORT"] = f"{first.protocol.lower()}://{host}:{first.port}"
    return found


def _port(service: Service, port: str) -> ServicePort:
    found = service.find_port(port) if port else next(iter(service.ports), None)
    if found is None:
        ports = ", ".join(str(p.port) for p in service.ports)
        raise LabError(
            f"{service.where}: the Service {service.meta.name} has no port {port or 'at all'}.",
            fix=f"It has {ports or 'none'}.",
        )
    return found
