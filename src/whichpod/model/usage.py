"""CPU time of a lab's processes while a client ran, by what they are."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Role(StrEnum):
    """What a process of a lab is there for."""

    CLIENT = "client"
    PROXY = "proxy"
    """A sidecar, or a proxy among the pods."""
    SERVER = "server"
    """An echo pod."""
    STAND_IN = "stand-in"
    """Does what a cluster does otherwise: in the loopback lab an Envoy stands for kube-proxy's NAT."""


@dataclass(frozen=True, slots=True)
class ProcessUsage:
    """What one process and its children used."""

    name: str
    """As a person calls it: `pod echo-0`."""
    role: Role
    cpu_s: float
    """User and system time, by the kernel's own counters."""
    thread_s: float = 0.0
    """What its busiest thread used: a thread runs on one core at a time."""


@dataclass(frozen=True, slots=True)
class Usage:
    """What the processes of a lab used while a client ran. Empty where the cluster can't tell."""

    wall_s: float = 0.0
    """How long RPCs were sent, warm-up included."""
    processes: tuple[ProcessUsage, ...] = ()
    """The client's time is that of the measured phase; that of others covers the warm-up too."""
    elsewhere_cores: float = 0.0
    """Cores kept busy by all else on this machine, on average."""
    cpus: int = 0
    """Cores that all of them share."""

    def cpu_s(self, role: Role) -> float:
        """CPU seconds of the processes of a role."""
        return sum(p.cpu_s for p in self.processes if p.role is role)

    def cores(self, cpu_s: float) -> float:
        """CPU seconds as cores kept busy all the time."""
        return cpu_s / self.wall_s if self.wall_s > 0 else 0.0

    @property
    def busy_cores(self) -> float:
        """Cores kept busy by the lab and by all else together."""
        return self.cores(sum(p.cpu_s for p in self.processes)) + self.elsewhere_cores
