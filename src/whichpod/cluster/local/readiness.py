"""Readiness probes, as a kubelet does them but without its whole seconds of waiting."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping

from whichpod.cluster.local import health
from whichpod.manifest.kinds import Container, ExecCheck, GrpcCheck, HttpCheck, TcpCheck

Check = GrpcCheck | TcpCheck | HttpCheck | ExecCheck
Connect = Callable[[str, int], Awaitable[tuple[asyncio.StreamReader, asyncio.StreamWriter]]]
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.01, 0.25
"""Between attempts. Most pods take some hundredths of a second; a slow one is not to be hammered."""
_HTTP_HEAD = 4096


class NotReadyError(Exception):
    """An attempt failed; the message says how."""


async def attempts(deadline: float) -> AsyncIterator[None]:
    """Paces attempts until the loop's time is past `deadline`: at least one, with growing pauses."""
    loop, pause = asyncio.get_running_loop(), FIRST_PAUSE_S
    while True:
        yield
        if loop.time() + pause > deadline:
            return
        await asyncio.sleep(pause)
        pause = min(pause * 1.5, LONGEST_PAUSE_S)


async def attempt(
    check: GrpcCheck | TcpCheck | HttpCheck,
    host: str,
    ports: Mapping[str, int],
    timeout_s: float,
    connect: Connect = asyncio.open_connection,
) -> None:
    """One attempt against the pod at `host`; `ports` has the numbers of named ports. Raises NotReadyError."""
    try:
        async with asyncio.timeout(timeout_s):
            match check:
                case GrpcCheck():
                    await _grpc(connect, host, check.port, check.service)
                case TcpCheck():
                    await _tcp(connect, host, _number(check.port, ports))
                case HttpCheck():
                    await _http(connect, host, _number(check.port, ports), check)
    except TimeoutError:
        raise NotReadyError(f"no answer within {timeout_s:g} s") from None
    except OSError as e:
        raise NotReadyError(e.strerror or str(e)) from None


def describe(check: Check) -> str:
    """What a probe asks, for an error message."""
    match check:
        case GrpcCheck():
            service = f" of service {check.service!r}" if check.service else ""
            return f"the gRPC health check{service} on port {check.port}"
        case TcpCheck():
            return f"a connection to port {check.port}"
        case HttpCheck():
            return f"GET {check.path} on port {check.port}"
        case ExecCheck():
            return f"the command {' '.join(check.command)}"


def assumed(container: Container) -> tuple[TcpCheck, ...]:
    """What stands for the probe of a container that has none.

    Kubernetes calls it ready as soon as it has started, seconds before any client looks. A lab's client
    looks at once, so the declared ports are awaited.
    """
    return tuple(TcpCheck(p.port) for p in container.ports if p.protocol == "TCP")


def _number(port: int | str, ports: Mapping[str, int]) -> int:
    if isinstance(port, int):
        return port
    if port not in ports:
        raise NotReadyError(f"the pod has no port named {port!r}")
    return ports[port]


async def _tcp(connect: Connect, host: str, port: int) -> None:
    _, writer = await connect(host, port)
    writer.transport.abort()


async def _grpc(connect: Connect, host: str, port: int, service: str) -> None:
    reader, writer = await connect(host, port)
    try:
        await health.check(reader, writer, f"{host}:{port}", service)
    except health.UnhealthyError as e:
        raise NotReadyError(str(e)) from None


async def _http(connect: Connect, host: str, port: int, check: HttpCheck) -> None:
    reader, writer = await connect(host, port)
    try:
        if check.scheme == "HTTPS":  # as a kubelet: any certificate will do
            tls = ssl.create_default_context()
            tls.check_hostname, tls.verify_mode = False, ssl.CERT_NONE
            await writer.start_tls(tls)
        request = f"GET {check.path} HTTP/1.1\r\nHost: {host}:{port}\r\nConnection: close\r\n\r\n"
        writer.write(request.encode())
        head = await reader.read(_HTTP_HEAD)
    finally:
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()
    words = head.split(b" ", 2)
    if len(words) < 2 or not words[0].startswith(b"HTTP/") or not words[1].isdigit():
        raise NotReadyError("the answer is not HTTP/1.1")
    if not 200 <= int(words[1]) < 400:
        raise NotReadyError(f"it answers with status {int(words[1])}")
