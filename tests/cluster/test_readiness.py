from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from concurrent import futures
from contextlib import asynccontextmanager

import grpc
import pytest
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

from whichpod.cluster.local import readiness
from whichpod.cluster.local.readiness import Check, NotReadyError
from whichpod.cluster.local.streams import StreamServer
from whichpod.manifest.kinds import Container, ContainerPort, ExecCheck, GrpcCheck, HttpCheck, TcpCheck, Where

HOST = "127.0.0.1"


def once(
    check: GrpcCheck | TcpCheck | HttpCheck, ports: dict[str, int] | None = None, timeout_s: float = 5
) -> None:
    asyncio.run(readiness.attempt(check, HOST, ports or {}, timeout_s))


@asynccontextmanager
async def answering(text: bytes | None) -> AsyncIterator[int]:
    """A server that answers each connection's first bytes with `text`, or never."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(100)
        if text is None:
            await asyncio.sleep(60)
        writer.write(text or b"")
        await writer.drain()

    server = StreamServer(serve)
    _, port = await server.start(HOST)
    try:
        yield port
    finally:
        await server.stop()


def test_grpc_health_decides() -> None:
    server = grpc.server(futures.ThreadPoolExecutor(1))
    servicer = health.HealthServicer()
    health_pb2_grpc.add_HealthServicer_to_server(servicer, server)
    port = server.add_insecure_port(f"{HOST}:0")
    server.start()
    try:
        once(GrpcCheck(port))
        with pytest.raises(NotReadyError, match="NOT_FOUND"):
            once(GrpcCheck(port, "mine"))
        servicer.set("mine", health_pb2.HealthCheckResponse.NOT_SERVING)
        with pytest.raises(NotReadyError, match="NOT_SERVING"):
            once(GrpcCheck(port, "mine"))
        servicer.set("mine", health_pb2.HealthCheckResponse.SERVING)
        once(GrpcCheck(port, "mine"))
        once(TcpCheck("grpc"), {"grpc": port})
    finally:
        server.stop(None).wait()
    for check in (GrpcCheck(port), TcpCheck(port), HttpCheck(port)):
        with pytest.raises(NotReadyError, match="Connect"):
            once(check)


@pytest.mark.parametrize(
    ("answer", "problem"),
    [
        (b"HTTP/1.1 200 OK\r\n\r\n", None),
        (b"HTTP/1.1 302 Found\r\n\r\n", None),
        (b"HTTP/1.1 404 Not Found\r\n\r\n", "status 404"),
        (b"HTTP/1.1 503\r\n\r\n", "not HTTP|503"),
        (b"SSH-2.0\r\n", "not HTTP/1.1"),
        (b"", "not HTTP/1.1"),
        (None, "no answer within"),
    ],
)
def test_http_status_decides(answer: bytes | None, problem: str | None) -> None:
    async def run() -> None:
        async with answering(answer) as port:
            await readiness.attempt(HttpCheck(port, "/x"), HOST, {}, 5 if answer is not None else 0.1)

    if problem is None:
        asyncio.run(run())
    else:
        with pytest.raises(NotReadyError, match=problem):
            asyncio.run(run())


def test_what_can_not_be_asked() -> None:
    with pytest.raises(NotReadyError, match="no port named 'nope'"):
        once(TcpCheck("nope"), {"grpc": 1})


@pytest.mark.parametrize(
    ("check", "said"),
    [
        (GrpcCheck(1), "the gRPC health check on port 1"),
        (GrpcCheck(1, "x"), "the gRPC health check of service 'x' on port 1"),
        (TcpCheck("web"), "a connection to port web"),
        (HttpCheck(1, "/up"), "GET /up on port 1"),
        (ExecCheck(("a", "b")), "the command a b"),
    ],
)
def test_checks_are_described(check: Check, said: str) -> None:
    assert readiness.describe(check) == said


def test_without_a_probe_the_declared_ports_are_awaited() -> None:
    ports = (ContainerPort(80), ContainerPort(53, protocol="UDP"), ContainerPort(81))
    container = Container("c", "x", Where("f", 1), ports=ports)
    assert readiness.assumed(container) == (TcpCheck(80), TcpCheck(81))


def test_attempts_come_at_least_once_and_end_by_the_deadline() -> None:
    async def count(within_s: float) -> int:
        loop = asyncio.get_running_loop()
        return len([0 async for _ in readiness.attempts(loop.time() + within_s)])

    assert asyncio.run(count(-1)) == 1
    assert 2 <= asyncio.run(count(0.1)) <= 10
