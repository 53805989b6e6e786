"""What a target's name stands for."""

from __future__ import annotations

import contextlib
import dataclasses
import ipaddress
import socket

from whichpod.model.errors import TargetError
from whichpod.model.target import Target
from whichpod.probe.address import DNS_PORT, parse_address, split_host_port
from whichpod.probe.dns_query import AAAA, A, DnsError, ask

CONNECT_S = 1.0
TRIED = 3
"""Addresses of an IP version that are tried before the other version's turn."""


def resolved_addresses(target: str) -> tuple[str, ...]:
    """The host:port pairs behind a target; () where that can't be asked (unix, xds, a name that fails)."""
    try:
        return lookup(target)
    except TargetError:
        return ()


def lookup(target: str) -> tuple[str, ...]:
    """The host:port pairs behind a target, of both IP versions; () for unix and xds.

    Raises TargetError where the name does not resolve, or the DNS server doesn't answer.
    """
    address = parse_address(target)
    if address.listed:
        return address.listed
    if address.scheme != "dns":
        return ()
    try:
        hosts = _query(address.authority, address.host) if address.authority else _system(address.host)
    except (DnsError, OSError, UnicodeError) as error:
        hosts = []
        # The system's own words for an unknown name differ from one libc to the next.
        why = f" ({error})" if isinstance(error, DnsError) else ""
    else:
        why = ""
    if not hosts:
        raise TargetError(
            f"The name in {target} does not resolve{why}.", fix="Check the name and the DNS server."
        )
    return tuple(f"[{h}]:{address.port}" if ":" in h else f"{h}:{address.port}" for h in hosts)


def reachable(target: str) -> tuple[str, ...]:
    """The addresses that a client connects to which takes turns over all of them: those of one IP version.

    A server with both an IPv4 and an IPv6 address (localhost has) would else count as two. It is the
    version that comes first in the answer, unless only the other accepts a connection. Raises TargetError
    as `lookup` does.
    """
    found = tuple(dict.fromkeys(lookup(target)))
    versions = {version: [a for a in found if _version(a) == version] for version in map(_version, found)}
    for same in versions.values():
        if len(versions) == 1 or any(map(_accepts, same[:TRIED])):
            return tuple(same)
    return tuple(next(iter(versions.values()), ()))


def _version(pair: str) -> int:
    return 6 if pair.startswith("[") else 4


def _accepts(pair: str) -> bool:
    try:
        socket.create_connection(split_host_port(pair, pair), CONNECT_S).close()
    except OSError:
        return False
    return True


def known_backends(target: Target) -> Target:
    """The target with the backends that should answer: the addresses of its name, where they are several.

    A single address tells nothing (it may be a ClusterIP or a balancer), unless the user gave it as a list.
    """
    if target.known or target.known_count:
        return target
    found = resolved_addresses(target.address)
    if len(found) < 2 or _one_host_twice(found):
        return target
    return dataclasses.replace(target, known=found, known_count=len(found), known_by="resolved")


def _one_host_twice(found: tuple[str, ...]) -> bool:
    """localhost is 127.0.0.1 and ::1, which is one server."""
    hosts = [ipaddress.ip_address(split_host_port(pair, pair)[0].partition("%")[0]) for pair in found]
    return all(host.is_loopback for host in hosts) and {h.version for h in hosts} == {4, 6}


def _query(authority: str, name: str) -> list[str]:
    with contextlib.suppress(ValueError):
        return [str(ipaddress.ip_address(name))]
    host, port = split_host_port(authority, authority, default=DNS_PORT)
    server = (socket.getaddrinfo(host, port, type=socket.SOCK_DGRAM)[0][4][0], port)
    return ask((str(server[0]), port), name, A) or ask((str(server[0]), port), name, AAAA)


def _system(host: str) -> list[str]:
    found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(entry[4][0]).partition("%")[0] for entry in found))
