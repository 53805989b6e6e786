"""GET over a connection that may be in another network."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import io
from typing import Any, cast

from whichpod.cluster.local.readiness import Connect
from whichpod.model.errors import LabError


class _Received:
    """What HTTPResponse takes for a socket: bytes that are all there."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    def makefile(self, *_: Any) -> io.BytesIO:
        return io.BytesIO(self._data)


async def get(connect: Connect, host: str, port: int, path: str, timeout_s: float) -> bytes:
    """The body of a 200. Raises LabError for every other answer, and for none."""
    try:
        async with asyncio.timeout(timeout_s):
            reader, writer = await connect(host, port)
            try:
                writer.write(f"GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
                data = await reader.read()
            finally:
                writer.close()
                with contextlib.suppress(OSError):
                    await writer.wait_closed()
        response = http.client.HTTPResponse(cast(Any, _Received(data)))
        response.begin()
        body = response.read()
    except TimeoutError:
        raise LabError(f"http://{host}:{port}{path} does not answer within {timeout_s:g} s.") from None
    except (OSError, http.client.HTTPException) as e:
        raise LabError(f"http://{host}:{port}{path} does not answer: {e}.") from None
    if response.status != 200:
        raise LabError(
            f"http://{host}:{port}{path} says {response.status} {body[:200].decode(errors='replace')}."
        )
    return body
