"""The DNS server: UDP and TCP on one address and port."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from typing import cast

from whichpod.cluster.local.dns.codec import LONGEST_MESSAGE, MalformedError, build, parse
from whichpod.cluster.local.dns.zone import Zone
from whichpod.cluster.local.streams import Bind, StreamServer, bound
from whichpod.model.errors import LabError

_TCP_IDLE_S = 10.0
_TRIES = 20


class DnsServer:
    """Answers from the zone that `zone` gives at that moment."""

    def __init__(self, zone: Callable[[], Zone]) -> None:
        self._zone = zone
        self._udp: asyncio.DatagramTransport | None = None
        self._tcp = StreamServer(self._serve_tcp)
        self.address = ""
        """HOST:PORT, once started."""

    async def start(self, host: str, port: int = 0, bind: Bind = bound) -> str:
        """Listens on `port` of `host`, 0 for a free one; returns HOST:PORT. Raises LabError."""
        loop = asyncio.get_running_loop()
        for _ in range(1 if port else _TRIES):
            udp: socket.socket | None = None
            try:
                udp = await bind("udp", host, port)
                number = udp.getsockname()[1]
                await self._tcp.start(host, number, bind)
            except OSError:
                if udp:  # the port is free for UDP and not for TCP: another one
                    udp.close()
                continue
            self._udp, _ = await loop.create_datagram_endpoint(lambda: _Udp(self.respond), sock=udp)
            self.address = f"{host}:{number}"
            return self.address
        raise LabError(f"The lab's DNS server found no free port on {host}.")

    def respond(self, data: bytes, *, udp: bool) -> bytes | None:
        """The bytes to answer with; None to stay silent."""
        try:
            query = parse(data)
        except MalformedError as e:
            return build(e.query, e.code) if e.query else None
        if query is None:
            return None
        answer = self._zone().answer(query.name, query.type)
        most = query.most_udp if udp else LONGEST_MESSAGE
        return build(query, answer.code, answer.records, answer.extra, most=most)

    async def _serve_tcp(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            async with asyncio.timeout(_TCP_IDLE_S):
                size = int.from_bytes(await reader.readexactly(2), "big")
                answer = self.respond(await reader.readexactly(size), udp=False)
                if answer is None:
                    return
                writer.write(len(answer).to_bytes(2, "big") + answer)
                await writer.drain()

    async def stop(self) -> None:
        """Closes the sockets. `address` stays. Safe to call when it never started."""
        if self._udp:
            self._udp.close()
            self._udp = None
        await self._tcp.stop()


class _Udp(asyncio.DatagramProtocol):
    def __init__(self, respond: Callable[..., bytes | None]) -> None:
        self._respond = respond
        self._transport: asyncio.DatagramTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.DatagramTransport, transport)

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        answer = self._respond(data, udp=True)
        if answer is not None and self._transport:
            self._transport.sendto(answer, addr)
