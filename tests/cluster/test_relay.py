from __future__ import annotations

import asyncio
from contextlib import suppress

from whichpod.cluster.local.relay import Relay
from whichpod.cluster.local.streams import StreamServer


async def reverse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answers with everything reversed, once the client has said all."""
    writer.write((await reader.read())[::-1])
    await writer.drain()


def relay_to(host: str, port: int) -> Relay:
    return Relay(lambda: asyncio.open_connection(host, port))


def test_bytes_pass_both_ways_and_half_closing_is_kept() -> None:
    async def run() -> None:
        server = StreamServer(reverse)
        relay = relay_to(*await server.start("127.0.0.1"))
        host, _, port = (await relay.start()).rpartition(":")
        data = bytes(range(256)) * 4000
        for _ in range(2):
            reader, writer = await asyncio.open_connection(host, int(port))
            writer.write(data)
            writer.write_eof()
            assert await reader.read() == data[::-1]
            writer.close()
        await relay.stop()
        await server.stop()

    asyncio.run(run())


def test_a_pod_that_refuses_closes_the_connection() -> None:
    async def run() -> None:
        server = StreamServer(reverse)
        address = await server.start("127.0.0.1")
        await server.stop()
        relay = relay_to(*address)
        host, _, port = (await relay.start()).rpartition(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        assert await reader.read() == b""
        writer.close()
        await relay.stop()

    asyncio.run(run())


def test_stopping_ends_open_connections() -> None:
    async def run() -> None:
        server = StreamServer(reverse)
        relay = relay_to(*await server.start("127.0.0.1"))
        host, _, port = (await relay.start()).rpartition(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(b"x")
        await writer.drain()
        await relay.stop()
        with suppress(ConnectionResetError):  # where the relay had not read the byte yet
            assert await reader.read() == b""
        writer.close()
        await server.stop()
        await relay_to("127.0.0.1", 1).stop()

    asyncio.run(run())
