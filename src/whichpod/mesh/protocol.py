"""The protocol of a Service's port, as Istio tells it (istio.io, Protocol Selection)."""

from __future__ import annotations

from enum import Enum

from whichpod.manifest.kinds import ServicePort


class Wire(Enum):
    """How a sidecar treats a port."""

    HTTP2 = "http2"
    """HTTP/2 on both sides: each request is balanced."""
    HTTP = "http"
    """Requests are balanced, and go on as HTTP/1.1: gRPC does not survive it."""
    TCP = "tcp"
    """Connections are balanced."""
    SNIFFED = "sniffed"
    """HTTP/2 when a connection begins with its preface, HTTP/1.1 when with a request, else TCP."""
    UDP = "udp"
    """Not handled by a sidecar."""


_NAMES = {
    "grpc": Wire.HTTP2,
    "http2": Wire.HTTP2,
    "http": Wire.HTTP,
    "http_proxy": Wire.HTTP,
    "tcp": Wire.TCP,
    "tls": Wire.TCP,
    "https": Wire.TCP,
    "mongo": Wire.TCP,
    "redis": Wire.TCP,
    "mysql": Wire.TCP,
    "hbone": Wire.TCP,
    "udp": Wire.UDP,
}
_STANDARD = {
    "kubernetes.io/h2c": Wire.HTTP2,
    "kubernetes.io/ws": Wire.HTTP,
    "kubernetes.io/wss": Wire.TCP,
}
SERVER_FIRST = frozenset({25, 53, 3306, 27017})
"""Ports whose servers speak first (SMTP, DNS, MySQL, MongoDB), so that sniffing would wait for ever."""


def wire(port: ServicePort) -> Wire:
    """How a sidecar treats a port.

    UDP comes first; `appProtocol` beats the name; either counts up to its first `-`, in any case; grpc-web
    is the one name with a `-` of its own. What is not known is sniffed.
    """
    if port.protocol != "TCP":
        return Wire.UDP
    if port.app_protocol in _STANDARD:
        return _STANDARD[port.app_protocol]
    name = (port.app_protocol or port.name).lower()
    if name.startswith("grpc-web"):
        return Wire.HTTP2
    found = _NAMES.get(name.partition("-")[0])
    if found is not None:
        return found
    return Wire.TCP if port.port in SERVER_FIRST else Wire.SNIFFED
