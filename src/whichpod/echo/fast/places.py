"""Where the pods of a process listen, and who they are."""

from __future__ import annotations

import ipaddress
import resource
import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace

from whichpod.echo.binding import bracketed
from whichpod.echo.identity import Identity
from whichpod.echo.settings import ServerSettings
from whichpod.model.errors import UsageError

SPARE = 64
"""Descriptors for the process itself and a few clients."""


@dataclass(frozen=True, slots=True)
class Place:
    """One pod: who it is and where it listens."""

    identity: Identity
    host: str
    port: int

    @property
    def address(self) -> str:
        """HOST:PORT."""
        return f"{bracketed(self.host)}:{self.port}"


def places(settings: ServerSettings, identity: Identity) -> list[Place]:
    """The pods that the settings ask for; several are called NAME-0, NAME-1, … after the pod or the host.
    Raises UsageError where ports, addresses or descriptors run out."""
    if settings.pods == 1:
        return [Place(identity, settings.host, settings.port)]
    _check_descriptors(settings.pods)
    name = identity.pod or socket.gethostname()
    found = []
    for number, (host, port) in enumerate(
        _addresses(settings) if settings.pods_on == "addresses" else _ports(settings)
    ):
        pod = f"{name}-{number}"
        own = {"pod": pod, "server_id": f"{pod}-{time.time_ns()}"}
        if _is_ip(host):
            own["pod_ip"] = host.strip("[]")
        found.append(Place(replace(identity, **own), host, port))
    return found


def _is_ip(host: str) -> bool:
    """Whether the host is one address, neither a name nor all of them."""
    try:
        return not ipaddress.ip_address(host.strip("[]")).is_unspecified
    except ValueError:
        return False


def _ports(settings: ServerSettings) -> Iterator[tuple[str, int]]:
    first, count = settings.port, settings.pods
    if first and first + count - 1 > 65_535:
        raise UsageError(
            f"--pods {count} from --port {first} on end at {first + count - 1}, but ports end at 65535.",
            fix=f"Give --port {max(1, 65_536 - count)} or a lower one, or --pods-on addresses."
            if count < 65_536
            else "Give fewer pods.",
        )
    return ((settings.host, first + i if first else 0) for i in range(count))


def _addresses(settings: ServerSettings) -> Iterator[tuple[str, int]]:
    count = settings.pods
    try:
        first = ipaddress.ip_address(settings.host.strip("[]"))
    except ValueError:
        first = ipaddress.ip_address("::")
    if first.is_unspecified:
        raise UsageError(
            f"--pods-on addresses counts from an IP address on, not from --host {settings.host}.",
            fix="Give the first one, for example --host 127.0.1.1.",
        )
    last = int(first) + count - 1
    if first.version == 4 and first.is_loopback:
        end = int(ipaddress.IPv4Address("127.255.255.254"))
    else:
        end = 2**first.max_prefixlen - 2
    if last > end:
        raise UsageError(
            f"--pods {count} don't fit into the addresses from {first} on.",
            fix="Give a lower --host, or fewer pods.",
        )
    return ((str(first + i), settings.port) for i in range(count))


def _check_descriptors(pods: int) -> None:
    """Raises the limit on open files as far as it may be. Raises UsageError where that isn't enough."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    # A listener and a client each.
    needed = 2 * pods + SPARE
    if soft == resource.RLIM_INFINITY or soft >= needed:
        return
    if hard != resource.RLIM_INFINITY and hard < needed:
        raise UsageError(
            f"--pods {pods} need about {needed} open files; this process may have {hard}.",
            fix=f"Raise the limit (ulimit -n {needed}), or give fewer pods.",
        )
    resource.setrlimit(resource.RLIMIT_NOFILE, (needed if hard == resource.RLIM_INFINITY else hard, hard))
