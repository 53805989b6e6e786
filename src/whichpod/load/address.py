"""Addresses that connections are opened to."""

from __future__ import annotations

import ipaddress

from whichpod.model.errors import UsageError

Address = tuple[str, int] | str
"""(IP address, port), or a Unix socket's path."""


def parse(text: str) -> Address:
    """`ip:port`, `[v6]:port` or `unix:/path`. Raises UsageError for anything else, names too."""
    if text.startswith("unix:") and len(text) > len("unix:"):
        path = text.removeprefix("unix:")
        return path.removeprefix("//") if path.startswith("///") else path
    host, _, port = text.rpartition(":")
    bare = host[1:-1] if host.startswith("[") and host.endswith("]") else host
    try:
        ipaddress.ip_address(bare.partition("%")[0])
        number = int(port)
    except ValueError:
        number = -1
    if not 0 < number <= 65535 or (":" in bare) != host.startswith("["):
        raise UsageError(f"{text!r} is no address.", fix="Write it like 10.0.0.1:50051 or [::1]:50051.")
    return bare, number
