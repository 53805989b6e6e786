"""Targets as gRPC names them, checked before anything starts.

Source: gRPC Name Resolution, https://github.com/grpc/grpc/blob/master/doc/naming.md
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from typing import Literal
from urllib.parse import unquote, urlsplit

from whichpod.model.errors import UsageError
from whichpod.probe.bootstrap import check_bootstrap

Scheme = Literal["dns", "ipv4", "ipv6", "unix", "unix-abstract", "xds"]
DEFAULT_PORT = 443
"""The port that gRPC takes where a dns name has none."""
DNS_PORT = 53
"""And where the DNS server of dns://SERVER/name has none."""
_LONGEST_SOCKET = 107
"""Bytes of a socket's path (sun_path of unix(7), less its end)."""
_EXAMPLES = (
    "Write host:port, dns:///name:port, dns://SERVER/name:port, ipv4:a:p,b:p, unix:PATH or xds:///name:port."
)


@dataclass(frozen=True, slots=True)
class Address:
    """A target, taken apart."""

    scheme: Scheme
    authority: str = ""
    """The DNS server of dns://authority/name, or xds's."""
    host: str = ""
    port: int = 0
    listed: tuple[str, ...] = ()
    """The host:port pairs of ipv4: and ipv6:."""


def parse_address(target: str) -> Address:
    """Takes a target apart. Raises UsageError, with examples, where it is none."""
    scheme, colon, rest = target.partition(":")
    match scheme:
        case "ipv4" | "ipv6":
            listed = tuple(part.strip() for part in rest.split(","))
            for pair in listed:
                host, _ = split_host_port(pair, target)
                _check_ip(host, 4 if scheme == "ipv4" else 6, target)
            return Address(scheme, listed=listed)
        case "unix" | "unix-abstract":
            path = rest.removeprefix("//") if scheme == "unix" else rest
            if not path:
                raise _bad(target, "it names no socket")
            if len(path.encode()) > _LONGEST_SOCKET:
                raise _bad(target, f"a socket's path has {_LONGEST_SOCKET} bytes at most")
            return Address(scheme, host=path)
        case "xds":
            if not rest.startswith("//"):
                raise _bad(target, "an xds target starts with xds:///")
            check_bootstrap(target)
            parts = urlsplit(target)
            if not parts.path.strip("/"):
                raise _bad(target, "it names nothing")
            return Address("xds", authority=parts.netloc, host=unquote(parts.path.lstrip("/")))
        case "dns" if colon and not rest.isdigit():
            return _dns(target, rest)
    if "://" in target:
        raise _bad(target, f"the scheme {scheme} is none of gRPC's")
    host, port = split_host_port(target, target)
    return Address("dns", host=host, port=port)


def _dns(target: str, rest: str) -> Address:
    authority = ""
    if rest.startswith("//"):
        authority, slash, rest = rest[2:].partition("/")
        if not slash:
            raise _bad(target, "after dns://SERVER comes /name:port")
        if authority:
            split_host_port(authority, target, default=DNS_PORT)
    host, port = split_host_port(rest, target, default=DEFAULT_PORT)
    return Address("dns", authority=authority, host=host, port=port)


def split_host_port(text: str, target: str, *, default: int | None = None) -> tuple[str, int]:
    """`host:port` or `[v6]:port` as its two parts. Raises UsageError naming the target."""
    if text.startswith("["):
        host, bracket, rest = text[1:].partition("]")
        if not bracket or (rest and not rest.startswith(":")):
            raise _bad(target, "a bracket is not closed, or something stands after it")
        port = rest[1:]
    else:
        host, _, port = text.rpartition(":") if ":" in text else (text, "", "")
        if ":" in host:
            raise _bad(target, "an IPv6 address stands in brackets")
    if not host or any(c.isspace() or c in "/?#@," for c in host):
        raise _bad(target, "it names no host")
    if not port:
        if default is None:
            raise _bad(target, "it has no port")
        return host, default
    if not (port.isascii() and port.isdigit() and 0 < int(port) < 65536):
        raise _bad(target, f"{port} is no port")
    return host, int(port)


def _check_ip(host: str, version: int, target: str) -> None:
    try:
        fits = ipaddress.ip_address(host.partition("%")[0]).version == version
    except ValueError:
        fits = False
    if not fits:
        raise _bad(target, f"{host} is no IPv{version} address")


def _bad(target: str, why: str) -> UsageError:
    return UsageError(f"{target!r} is no gRPC target: {why}.", fix=_EXAMPLES)
