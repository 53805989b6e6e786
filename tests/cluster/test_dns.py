from __future__ import annotations

import asyncio
import socket
import struct
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from whichpod.cluster.local.dns.codec import (
    HEADER,
    Code,
    Query,
    Record,
    Type,
    build,
    encode_name,
    parse,
)
from whichpod.cluster.local.dns.server import DnsServer
from whichpod.cluster.local.dns.zone import Zone
from whichpod.manifest.bundle import Bundle
from whichpod.manifest.kinds import Meta, Service, ServicePort, Where
from whichpod.mesh.registry import Endpoint, Registry

WHERE = Where("test", 1)
PORT = ServicePort(50051, "grpc", WHERE, name="grpc")


def service(name: str, **rest: object) -> Service:
    return Service(Meta(name), WHERE, (PORT,), {"app": "echo"}, **rest)  # type: ignore[arg-type]


def pod(n: int, ready: bool = True) -> Endpoint:
    return Endpoint(f"echo-{n}", f"127.9.1.{n + 1}", {"app": "echo"}, {"grpc": 50052}, ready=ready)


def zone(pods: int = 3, *unready: int) -> Zone:
    other = Service(Meta("echo", "prod"), WHERE, (PORT,), {"app": "echo"})
    bundle = Bundle(
        services=(
            service("echo"),
            service("direct", headless=True),
            service("eager", headless=True, publish_not_ready=True),
            other,
        )
    )
    registry = Registry(bundle, tuple(pod(n, n not in unready) for n in range(pods)))
    return Zone(registry, lambda s: None if s.headless else "127.9.128.1")


def question(name: str, kind: int = Type.A, *, edns: int | None = None, number: int = 7) -> bytes:
    head = HEADER.pack(number, 0x0100, 1, 0, 0, 0 if edns is None else 1)
    opt = b"" if edns is None else b"\0" + struct.pack("!HHIH", Type.OPT, edns, 0, 0)
    return head + encode_name(name) + struct.pack("!HH", kind, 1) + opt


@dataclass
class Reply:
    code: int
    truncated: bool
    records: list[tuple[str, int, bytes]]

    @property
    def addresses(self) -> set[str]:
        return {socket.inet_ntoa(d) for _, kind, d in self.records if kind == Type.A}

    @property
    def targets(self) -> set[tuple[str, int]]:
        return {
            (name_at(d, 6)[0], struct.unpack("!H", d[4:6])[0]) for _, k, d in self.records if k == Type.SRV
        }


def name_at(data: bytes, at: int) -> tuple[str, int]:
    labels, end = [], 0
    while data[at]:
        if data[at] >= 0xC0:
            end = end or at + 2
            at = struct.unpack_from("!H", data, at)[0] & 0x3FFF
        else:
            labels.append(data[at + 1 : at + 1 + data[at]].decode("latin-1"))
            at += 1 + data[at]
    return ".".join(labels), end or at + 1


def read(data: bytes) -> Reply:
    _, flags, questions, answers, _, additional = HEADER.unpack_from(data)
    at, code = HEADER.size, flags & 0xF
    for _ in range(questions):
        at = name_at(data, at)[1] + 4
    records = []
    for _ in range(answers + additional):
        name, at = name_at(data, at)
        kind, _, ttl, size = struct.unpack_from("!HHIH", data, at)
        at += 10
        if kind == Type.OPT:
            code |= (ttl >> 24) << 4
        else:
            records.append((name, kind, data[at : at + size]))
        at += size
    assert at == len(data)
    return Reply(code, bool(flags & 0x0200), records)


def ask(what: Zone, name: str, kind: int = Type.A) -> Reply:
    answer = DnsServer(lambda: what).respond(question(name, kind), udp=False)
    assert answer
    return read(answer)


@pytest.mark.parametrize(
    "name", ["echo", "echo.default", "echo.default.svc", "echo.default.svc.cluster.local", "ECHO.Default.svc"]
)
def test_a_service_has_its_cluster_ip_under_each_of_its_names(name: str) -> None:
    assert ask(zone(), name).addresses == {"127.9.128.1"}


def test_a_headless_service_has_one_record_per_ready_pod() -> None:
    assert ask(zone(3, 1), "direct.default").addresses == {"127.9.1.1", "127.9.1.3"}
    assert len(ask(zone(3, 1), "eager").addresses) == 3, "publishNotReadyAddresses"


@pytest.mark.parametrize(
    "name", ["nope", "echo.prod.svc.nope", "echo.other", "local", "", "x.echo", "echo-0.echo"]
)
def test_other_names_do_not_exist(name: str) -> None:
    assert ask(zone(), name).code == Code.NXDOMAIN


def test_a_headless_service_without_ready_pods_does_not_exist() -> None:
    assert ask(zone(1, 0), "direct").code == Code.NXDOMAIN


@pytest.mark.parametrize("kind", [Type.AAAA, 16, 255, 65535])
def test_other_types_are_answered_empty(kind: int) -> None:
    reply = ask(zone(), "direct", kind)
    assert (reply.code, reply.records) == (Code.NOERROR, [])


def test_pods_of_a_headless_service_have_names() -> None:
    assert ask(zone(), "echo-1.direct.default.svc.cluster.local").addresses == {"127.9.1.2"}
    assert ask(zone(), "127-9-1-3.direct").addresses == {"127.9.1.3"}
    assert ask(zone(), "echo-9.direct").code == Code.NXDOMAIN


def test_srv_of_a_headless_service_names_the_pods_and_their_ports() -> None:
    reply = ask(zone(2), "_grpc._tcp.direct.default.svc.cluster.local", Type.SRV)
    host = "direct.default.svc.cluster.local"
    assert reply.targets == {(f"127-9-1-1.{host}", 50052), (f"127-9-1-2.{host}", 50052)}
    assert reply.addresses == {"127.9.1.1", "127.9.1.2"}, "additional records"


def test_srv_of_a_normal_service_names_it_and_its_port() -> None:
    reply = ask(zone(), "_grpc._tcp.echo", Type.SRV)
    assert reply.targets == {("echo.default.svc.cluster.local", 50051)}
    assert ask(zone(), "_http._tcp.echo", Type.SRV).code == Code.NXDOMAIN
    assert ask(zone(), "_grpc._udp.echo", Type.SRV).code == Code.NXDOMAIN


def test_what_does_not_fit_is_truncated_and_edns_makes_room() -> None:
    many = zone(60)
    server = DnsServer(lambda: many)
    for edns, fits in [(None, False), (512, False), (1232, True), (65535, True)]:
        data = server.respond(question("direct", edns=edns), udp=True)
        assert data
        assert len(data) <= max(512, edns or 0)
        reply = read(data)
        assert reply.truncated is not fits
        assert len(reply.addresses) == (60 if fits else 0)


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (HEADER.pack(7, 0x0100, 0, 0, 0, 0), Code.FORMERR),
        (HEADER.pack(7, 0x0100, 2, 0, 0, 0) + encode_name("a") * 2, Code.FORMERR),
        (HEADER.pack(7, 0x2100, 1, 0, 0, 0), Code.NOTIMP),
        (question("echo")[:-1], Code.FORMERR),
        (HEADER.pack(7, 0, 1, 0, 0, 0) + b"\xc0\x0c\0\1\0\1", Code.FORMERR),
        (HEADER.pack(7, 0, 1, 0, 0, 0) + b"\x3f" + b"a" * 10, Code.FORMERR),
        (HEADER.pack(7, 0, 1, 0, 0, 0) + (b"\x3f" + b"a" * 63) * 4 + b"\0\0\1\0\1", Code.FORMERR),
        (HEADER.pack(7, 0, 1, 0, 0, 9) + encode_name("echo") + b"\0\1\0\1", Code.FORMERR),
        (question("echo")[:-2] + b"\0\3", Code.REFUSED),
        (question("echo", edns=1232)[:-6] + b"\0\1\0\0\0\0", Code.BADVERS),
    ],
)
def test_bad_messages_are_refused(data: bytes, code: Code) -> None:
    answer = DnsServer(zone).respond(data, udp=True)
    assert answer
    assert read(answer).code == code
    assert answer[:2] == data[:2]


@pytest.mark.parametrize("data", [b"", b"\0" * 11, build(Query(7), Code.NOERROR)])
def test_noise_and_responses_are_not_answered(data: bytes) -> None:
    assert DnsServer(zone).respond(data, udp=True) is None


@given(st.binary(max_size=80))
def test_no_bytes_break_it(data: bytes) -> None:
    server = DnsServer(zone)
    server.respond(data, udp=True)
    answer = server.respond(HEADER.pack(1, 0, 1, 0, 0, 1) + data, udp=True)
    assert answer
    read(answer)


@given(st.lists(st.text("abcXYZ019-_", min_size=1, max_size=63), min_size=1, max_size=3))
def test_a_question_is_read_as_it_was_written(labels: list[str]) -> None:
    query = parse(question(".".join(labels), Type.SRV, edns=1400))
    assert query
    assert (query.name, query.type, query.edns_size) == (".".join(labels).lower(), Type.SRV, 1400)
    assert read(build(query, Code.NOERROR, (Record(query.name, "127.0.0.1"),))).addresses == {"127.0.0.1"}


def test_the_server_over_udp_and_tcp() -> None:
    async def run() -> None:
        server = DnsServer(lambda: zone(100))
        try:
            host, _, port = (await server.start("127.0.0.1")).rpartition(":")
            reader, writer = await asyncio.open_connection(host, int(port))
            for number in (1, 2):  # two questions on one connection, the first in two pieces
                data = question("direct", number=number)
                framed = len(data).to_bytes(2, "big") + data
                writer.write(framed[:5])
                await writer.drain()
                writer.write(framed[5:])
                answer = await reader.readexactly(int.from_bytes(await reader.readexactly(2), "big"))
                assert HEADER.unpack_from(answer)[0] == number
                assert len(read(answer).addresses) == 100
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
                udp.setblocking(False)
                loop = asyncio.get_running_loop()
                await loop.sock_sendto(udp, b"noise", (host, int(port)))
                await loop.sock_sendto(udp, question("direct"), (host, int(port)))
                assert read(await loop.sock_recv(udp, 4096)).truncated
        finally:
            await server.stop()
        assert await reader.read() == b""
        writer.close()

    asyncio.run(run())
