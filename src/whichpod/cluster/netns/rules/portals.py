"""What kube-proxy knows of a Service's port, and the names that it gives its chains."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable
from dataclasses import dataclass

from whichpod.manifest.kinds import Service
from whichpod.mesh.registry import Registry

MASQUERADE_MARK = 0x4000
"""The bit of a packet's mark that asks for source NAT: kube-proxy's iptables.masqueradeBit, 14."""


@dataclass(frozen=True, slots=True)
class Portal:
    """A port of a ClusterIP, and who is behind it."""

    namespace: str
    service: str
    port_name: str
    address: str
    """The ClusterIP."""
    port: int
    endpoints: tuple[tuple[str, int], ...] = ()
    affinity_s: int | None = None
    """How long a client's address keeps its endpoint, for sessionAffinity ClientIP."""
    protocol: str = "tcp"

    @property
    def name(self) -> str:
        """As in kube-proxy's comments: NAMESPACE/SERVICE:PORT (proxy.ServicePortName)."""
        return f"{self.namespace}/{self.service}" + (f":{self.port_name}" if self.port_name else "")

    @property
    def chain(self) -> str:
        """KUBE-SVC-x: iptables' servicePortPolicyClusterChain."""
        return f"KUBE-SVC-{_hash(self.name + self.protocol)[:16]}"

    def endpoint_chain(self, endpoint: tuple[str, int]) -> str:
        """KUBE-SEP-x: iptables' servicePortEndpointChainName."""
        return f"KUBE-SEP-{_hash(f'{self.name}{self.protocol}{endpoint[0]}:{endpoint[1]}')[:16]}"

    @property
    def nft_base(self) -> str:
        """What nftables' chains of the port have in their names: servicePortChainNameBase."""
        return _hashed(f"{self.namespace}/{self.service}/{self.protocol}/{self.port_name}")

    def nft_endpoint_base(self, endpoint: tuple[str, int]) -> str:
        """The same of an endpoint: servicePortEndpointChainNameBase."""
        base = f"{self.namespace}/{self.service}/{self.protocol}/{self.port_name}"
        return _hashed(f"{base}__{endpoint[0]}/{endpoint[1]}")


def portals(registry: Registry, address: Callable[[Service], str]) -> tuple[Portal, ...]:
    """The TCP ports of all Services that have a ClusterIP, which `address` gives."""
    return tuple(
        Portal(
            service.meta.namespace,
            service.meta.name,
            port.name,
            address(service),
            port.port,
            registry.addresses(service, port),
            service.affinity_timeout_s if service.session_affinity == "ClientIP" else None,
        )
        for service in registry.bundle.services
        if not service.headless
        for port in service.ports
        if port.protocol == "TCP"
    )


def _hash(text: str) -> str:
    return base64.b32encode(hashlib.sha256(text.encode()).digest()).decode()


def _hashed(name: str) -> str:
    return f"{_hash(name)[:8]}-{name}"
