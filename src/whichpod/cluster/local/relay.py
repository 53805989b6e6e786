"""What `kubectl port-forward` does: relays a local port to one pod's own port."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from whichpod.cluster.local.streams import Bind, StreamServer, bound
from whichpod.model.errors import LabError

_CHUNK = 65_536
Onward = Callable[[], Awaitable[tuple[asyncio.StreamReader, asyncio.StreamWriter]]]


class Relay:
    """Relays connections to where `onward` connects. Bytes only: it knows nothing of HTTP."""

    def __init__(self, onward: Onward) -> None:
        self._onward = onward
        self._server = StreamServer(self._serve)

    async def start(self, bind: Bind = bound, *, host: str = "127.0.0.1", port: int = 0) -> str:
        """Listens, on a free port of 127.0.0.1 where nothing else is said; returns HOST:PORT.

        Raises LabError.
        """
        try:
            host, port = await self._server.start(host, port, bind)
        except OSError as e:
            at = f"{host}:{port}" if port else host
            raise LabError(f"The port-forward can't listen on {at}: {e.strerror}.") from None
        return f"{host}:{port}"

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        # Where the pod refuses, kubectl drops the connection likewise.
        back, onward = await self._onward()
        try:
            async with asyncio.TaskGroup() as both:
                both.create_task(_copy(reader, onward))
                both.create_task(_copy(back, writer))
        except* OSError:
            pass
        finally:
            onward.close()

    async def stop(self) -> None:
        """Closes the port and all connections. Safe to call when it never started."""
        await self._server.stop()


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(_CHUNK):
        writer.write(data)
        await writer.drain()
    if writer.can_write_eof():
        writer.write_eof()
