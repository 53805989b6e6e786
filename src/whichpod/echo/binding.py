"""Addresses to listen on, and why one can't be had."""

from __future__ import annotations

import contextlib
import errno
import socket
from typing import Any

from whichpod.model.errors import LabError, UsageError, WhichpodError

BACKLOG = 1_024
"""Connections that the kernel keeps until they are accepted."""


def bracketed(host: str) -> str:
    """The host as it stands before a port."""
    return f"[{host}]" if ":" in host and not host.startswith("[") else host


def resolve(host: str, port: int) -> list[tuple[socket.AddressFamily, Any]]:
    """(family, address) of each address that the host's name has. Raises UsageError."""
    try:
        found = socket.getaddrinfo(host.strip("[]"), port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except (socket.gaierror, UnicodeError):
        raise UsageError(
            f"--host {host} is no address of this machine.", fix="Give an IP or a name."
        ) from None
    return [(family, address) for family, _, _, _, address in found]


def bound(family: socket.AddressFamily, address: Any) -> socket.socket:
    """A socket bound to the address; [::] takes IPv4 too. Raises OSError."""
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            with contextlib.suppress(OSError):
                sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        sock.bind(address)
    except OSError:
        sock.close()
        raise
    return sock


def refusal(host: str, port: int, error: OSError) -> WhichpodError:
    """What a user is told of a bind that failed."""
    why = {
        errno.EADDRINUSE: "the port is in use",
        errno.EACCES: "ports below 1024 need privileges",
        errno.EADDRNOTAVAIL: "this machine does not have that address",
    }.get(error.errno or 0, error.strerror)
    return LabError(
        f"{bracketed(host)}:{port} can't be bound: {why}.", fix="Choose another --port or --host."
    )


def is_any(host: str) -> bool:
    """Whether the host stands for all addresses."""
    return host.strip("[]") in ("::", "")


def listening(host: str, port: int) -> list[socket.socket]:
    """Listening sockets, one for each address that the host's name has, all on one port; 0 takes a free one.
    Raises UsageError and LabError."""
    made: list[socket.socket] = []
    places = list(dict.fromkeys(resolve(host, port)))
    if is_any(host):
        places.append((socket.AF_INET, ("0.0.0.0", port)))
    lacking: OSError | None = None
    try:
        for family, address in places:
            if made and is_any(host):
                break  # all of IPv4 is only for where there is no IPv6
            taken = made[0].getsockname()[1] if made else port
            try:
                sock = bound(family, (address[0], taken, *address[2:]))
            except OSError as error:
                if error.errno not in (errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL):
                    raise
                lacking = error
                continue
            made.append(sock)
            sock.listen(BACKLOG)
            sock.setblocking(False)
        if lacking is not None and not made:
            raise lacking
    except OSError as error:
        for sock in made:
            sock.close()
        raise refusal(host, port, error) from None
    return made
