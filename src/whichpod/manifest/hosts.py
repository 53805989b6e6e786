"""How Istio reads host names in its objects."""

from __future__ import annotations


def full_host(host: str, namespace: str) -> str:
    """A short name becomes `NAME.NAMESPACE.svc.cluster.local`, in the namespace of the object it stands in.

    A name with a dot, a wildcard included, is taken as complete: `echo.default` is *not* the Service echo
    (istio.io, Destination Rule, `host`).
    """
    if not host or "." in host or host.startswith("*"):
        return host
    return f"{host}.{namespace}.svc.cluster.local"


def matches(pattern: str, host: str) -> bool:
    """Whether a complete name, or a wildcard such as `*.default.svc.cluster.local` or `*`, means a host."""
    if pattern.startswith("*"):
        return host.endswith(pattern[1:])
    return pattern == host
