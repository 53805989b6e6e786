"""Where RPCs go, and who is expected to answer."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from whichpod.model.text import printable

Learnt = Literal["identity", "header", "peer", "resolved", "given", "lab", "endpoints"]
"""How a backend is known: it said so itself (identity), a response header named it, it is the address
of the TCP peer, it was in the name's DNS answer, the user gave it, the lab started it, or the Service's
EndpointSlices have it."""


@dataclass(frozen=True, slots=True)
class Backend:
    """Who answered, or what stands in for it."""

    id: str
    """Unique per process start where the backend tells (the echo service's server id); else what stood in."""
    pod: str = ""
    ip: str = ""
    namespace: str = ""
    node: str = ""
    zone: str = ""
    learnt: Learnt = "identity"

    @property
    def label(self) -> str:
        """The name to show: the pod's, else the id. Printable, as it came over the wire."""
        name = self.pod or self.id
        return name if name.isprintable() else printable(name) or "?"

    def matches(self, name: str) -> bool:
        """Whether `name` (a pod, id, IP or IP:port) means this backend."""
        return name in (self.pod, self.id, self.ip) or (bool(self.ip) and name.rpartition(":")[0] == self.ip)


@dataclass(frozen=True, slots=True)
class Tls:
    """TLS of the client. Paths are to PEM files."""

    ca_file: str = ""
    """Roots to trust; empty means grpc's default roots."""
    cert_file: str = ""
    key_file: str = ""
    """Client certificate and its key, for mutual TLS: both or neither."""
    server_name: str = ""
    """Name to expect in the server's certificate, where it isn't the target's."""


@dataclass(frozen=True, slots=True)
class Target:
    """A gRPC target and the backends that should answer, when known."""

    address: str
    """As gRPC names it: host:port, dns:///…, dns://authority/…, ipv4:a:p,b:p, unix:…, xds:///…"""
    tls: Tls | None = None
    authority: str = ""
    known: tuple[str, ...] = field(default=())
    """Names of the backends that should answer (pods, ids or addresses), where they are known by name."""
    known_count: int = 0
    """How many should answer, where only the number is known; 0 means unknown."""
    known_by: Learnt | None = None
