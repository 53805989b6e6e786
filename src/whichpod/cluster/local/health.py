"""gRPC health checks over a connection that is there already (grpc/doc/health-checking.md)."""

from __future__ import annotations

import asyncio
import time

from whichpod.wire import ClientConnection, Failed, Stream, Terminated
from whichpod.wire.codes import GrpcCode
from whichpod.wire.grpc import call_fields, result_of, unary_call

CHECK = "/grpc.health.v1.Health/Check"
SERVING = 1
STATUS = ("UNKNOWN", "SERVING", "NOT_SERVING", "SERVICE_UNKNOWN")
_CHUNK = 65_536


class UnhealthyError(Exception):
    """What the check came to, in words."""


async def check(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, authority: str, service: str
) -> None:
    """Asks once. Raises UnhealthyError for every answer but SERVING, OSError for a connection that breaks."""
    client = ClientConnection(time.monotonic_ns())
    name = service.encode()
    # HealthCheckRequest has one field: 1, the service.
    message = b"\x0a" + _varint(len(name)) + name if name else b""
    client.request(unary_call(call_fields(CHECK, authority), message))
    try:
        while True:
            writer.write(client.take())
            await writer.drain()
            data = await reader.read(_CHUNK)
            now = time.monotonic_ns()
            for event in client.receive(data, now) if data else client.receive_eof(now):
                if isinstance(event, Stream):
                    client.goaway()
                    writer.write(client.take())
                    return _judge(event)
                if isinstance(event, Failed | Terminated):
                    raise UnhealthyError(f"UNAVAILABLE: {event.error or 'it closed the connection'}")
    finally:
        writer.close()


def _judge(stream: Stream) -> None:
    status, message = result_of(stream)
    if status.code is not GrpcCode.OK:
        raise UnhealthyError(f"{status.code.name}: {status.message}")
    # HealthCheckResponse has one field: 1, an enumeration; 0 is left out.
    said = message[1] if message[:1] == b"\x08" and len(message) > 1 else 0
    if said != SERVING:
        raise UnhealthyError(f"it says {STATUS[said] if said < len(STATUS) else said}")


def _varint(number: int) -> bytes:
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)
