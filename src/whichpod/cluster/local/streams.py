"""A TCP server whose connections end with it."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable
from typing import Literal

Kind = Literal["tcp", "udp"]
Bind = Callable[[Kind, str, int], Awaitable[socket.socket]]
"""Makes a socket that is bound to an address and a port, 0 for a free one. Raises OSError."""
Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


async def bound(kind: Kind, host: str, port: int) -> socket.socket:
    """A `Bind` in our own network."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    made = socket.socket(family, socket.SOCK_STREAM if kind == "tcp" else socket.SOCK_DGRAM)
    try:
        made.setblocking(False)
        if kind == "tcp":
            made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.bind((host, port))
    except OSError:
        made.close()
        raise
    return made


class StreamServer:
    """Serves each connection in a task of its own; `stop` leaves neither tasks nor sockets.

    asyncio's own server doesn't know its handlers' tasks: they would outlive it.
    """

    def __init__(self, serve: Serve) -> None:
        self._serve = serve
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    async def start(self, host: str, port: int = 0, bind: Bind = bound) -> tuple[str, int]:
        """Listens; returns the address. Raises OSError."""
        self._server = await asyncio.start_server(self._accept, sock=await bind("tcp", host, port))
        address: tuple[str, int] = self._server.sockets[0].getsockname()
        return address

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(self._guard(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _guard(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await self._serve(reader, writer)
        except (OSError, TimeoutError, asyncio.IncompleteReadError):
            pass  # the peer's affair
        finally:
            writer.close()

    async def stop(self) -> None:
        """Closes the port and every connection. Safe to call when it never started."""
        if not self._server:
            return
        self._server.close()
        tasks = tuple(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
