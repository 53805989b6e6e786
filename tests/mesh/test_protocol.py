from __future__ import annotations

import pytest

from whichpod.manifest.kinds import Protocol, ServicePort, Where
from whichpod.mesh.protocol import Wire, wire


def port(name: str = "", app: str = "", number: int = 50051, protocol: Protocol = "TCP") -> ServicePort:
    return ServicePort(number, number, Where("f", 1), name, app, protocol)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("grpc", Wire.HTTP2),
        ("grpc-echo", Wire.HTTP2),
        ("GRPC-echo", Wire.HTTP2),
        ("grpc-web", Wire.HTTP2),
        ("grpc-web-x", Wire.HTTP2),
        ("http2", Wire.HTTP2),
        ("http2-echo", Wire.HTTP2),
        ("http", Wire.HTTP),
        ("http-grpc", Wire.HTTP),
        ("tcp", Wire.TCP),
        ("tcp-grpc", Wire.TCP),
        ("tls-grpc", Wire.TCP),
        ("https", Wire.TCP),
        ("mongo", Wire.TCP),
        ("redis-grpc", Wire.TCP),
        ("mysql", Wire.TCP),
        ("", Wire.SNIFFED),
        ("web", Wire.SNIFFED),
        ("grpcecho", Wire.SNIFFED),
        ("echo-grpc", Wire.SNIFFED),
    ],
)
def test_by_name(name: str, expected: Wire) -> None:
    assert wire(port(name)) is expected


@pytest.mark.parametrize(
    ("app", "expected"),
    [
        ("grpc", Wire.HTTP2),
        ("http2", Wire.HTTP2),
        ("tcp", Wire.TCP),
        ("kubernetes.io/h2c", Wire.HTTP2),
        ("kubernetes.io/ws", Wire.HTTP),
        ("kubernetes.io/wss", Wire.TCP),
        ("something", Wire.SNIFFED),
    ],
)
def test_app_protocol_beats_the_name(app: str, expected: Wire) -> None:
    assert wire(port("http-echo", app)) is expected


@pytest.mark.parametrize("number", [25, 53, 3306, 27017])
def test_ports_whose_servers_speak_first_are_not_sniffed(number: int) -> None:
    assert wire(port("", number=number)) is Wire.TCP
    assert wire(port("grpc", number=number)) is Wire.HTTP2


def test_udp_comes_first() -> None:
    assert wire(port("grpc", "grpc", protocol="UDP")) is Wire.UDP
