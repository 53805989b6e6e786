"""Static lists of endpoints as targets."""

from __future__ import annotations

import ipaddress
import socket

from whichpod.model.errors import TargetError, UsageError
from whichpod.model.target import Target
from whichpod.probe.address import split_host_port

MOST = 10_000


def parse_endpoints(text: str) -> Target:
    """The target of `a:p,b:p`. Names in it are resolved once, to their first address.

    Raises UsageError where it isn't such a list, TargetError for a name that doesn't resolve.
    """
    pairs = [split_host_port(part.strip(), text) for part in text.split(",") if part.strip()]
    if not pairs:
        raise UsageError("--endpoints lists nothing.", fix="Write it like 10.0.0.1:50051,10.0.0.2:50051.")
    return _listed(pairs)


def consecutive(target: str, count: int) -> Target:
    """The target of `count` consecutive ports of a host, from the one in `target` (host:port) on.

    Raises UsageError where the ports run out, TargetError where the host doesn't resolve.
    """
    if not 1 <= count <= MOST:
        raise UsageError(f"--endpoint-count {count} makes no sense.", fix=f"It takes 1 to {MOST}.")
    host, port = split_host_port(target, target)
    if port + count - 1 > 65535:
        raise UsageError(f"{count} ports from {port} on end past 65535.", fix="Start at a lower port.")
    return _listed([(host, port + i) for i in range(count)])


def _listed(pairs: list[tuple[str, int]]) -> Target:
    hosts = {host: _resolved(host) for host, _ in dict.fromkeys(pairs)}
    versions = {ip.version for ip in hosts.values()}
    if len(versions) > 1:
        raise UsageError(
            "The list mixes IPv4 and IPv6, which one gRPC target can't hold.", fix="List one kind of address."
        )
    v6 = versions == {6}
    addresses = tuple(
        f"[{hosts[host]}]:{port}" if v6 else f"{hosts[host]}:{port}" for host, port in dict.fromkeys(pairs)
    )
    return Target(
        f"{'ipv6' if v6 else 'ipv4'}:{','.join(addresses)}",
        known=addresses,
        known_count=len(addresses),
        known_by="given",
    )


def _resolved(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        pass
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except (socket.gaierror, UnicodeError):
        raise TargetError(
            f"The name {host} does not resolve.", fix="Check the name and the DNS server."
        ) from None
    # IPv4 first: a list of several hosts is then of one kind more often.
    addresses = sorted(
        {ipaddress.ip_address(str(entry[4][0]).partition("%")[0]) for entry in found}, key=lambda a: a.version
    )
    return addresses[0]
