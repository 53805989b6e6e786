"""The control plane's server: one aggregated discovery stream (ADS) per proxy or gRPC client.

State of the world, over grpc.aio (envoyproxy.io, "xDS REST and gRPC protocol").
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any, NamedTuple

from whichpod.mesh.pieces import UNIX
from whichpod.mesh.resources import Resources
from whichpod.mesh.stream import Stream
from whichpod.mesh.xds import discovery
from whichpod.model.errors import LabError

METHOD = "StreamAggregatedResources"
SERVICE = "envoy.service.discovery.v3.AggregatedDiscoveryService"


class Nack(NamedTuple):
    """A configuration that a node refused."""

    node: str
    type_url: str
    message: str
    """In the node's words."""


class AdsServer:
    """Hands each node its Resources. Belongs to one event loop; all methods are called in it.

    A node that has no Resources yet waits for them. Changes are pushed at once, and only what a node has
    subscribed to is sent.
    """

    def __init__(self) -> None:
        self.nacks: list[Nack] = []
        self._snapshots: dict[str, Resources] = {}
        self._streams: dict[str, set[Stream]] = {}
        self._turn = asyncio.Event()
        self._server: Any = None
        self.address = ""

    async def start(self, host: str = "127.0.0.1", port: int = 0) -> str:
        """Starts to serve; returns HOST:PORT. `host` may be unix:PATH, which is returned as it is then: the
        socket is there for other network namespaces too. Raises LabError, MissingExtraError (no xDS types).
        """
        import grpc
        from grpc import aio

        types = discovery()
        server = aio.server(options=[("grpc.so_reuseport", 0), ("grpc.max_receive_message_length", -1)])
        handler = grpc.stream_stream_rpc_method_handler(
            self._serve,
            request_deserializer=types.DiscoveryRequest.FromString,
            response_serializer=types.DiscoveryResponse.SerializeToString,
        )
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, {METHOD: handler}),))
        shown = f"[{host}]" if ":" in host else host
        wanted = host if host.startswith(UNIX) else f"{shown}:{port}"
        try:
            bound = server.add_insecure_port(wanted)
        except RuntimeError:
            bound = 0
        if not bound:
            fix = "Is its path over 107 characters?" if wanted == host else "Is the port in use?"
            raise LabError(f"The control plane can't listen on {wanted}.", fix=fix)
        await server.start()
        self._server = server
        self.address = wanted if wanted == host else f"{shown}:{bound}"
        return self.address

    async def stop(self) -> None:
        """Ends all streams and stops serving. Proxies keep what they have."""
        server, self._server = self._server, None
        if server is not None:
            await server.stop(grace=None)

    def set(self, node: str, resources: Resources) -> None:
        """Gives a node its resources; what has changed is pushed."""
        self._snapshots[node] = resources
        for stream in self._streams.get(node, ()):
            stream.wake.set()
        self._announce()

    def forget(self, node: str) -> None:
        """Drops what is kept of a node that is gone."""
        self._snapshots.pop(node, None)

    def connected(self, node: str) -> bool:
        """Whether a node has a stream open."""
        return bool(self._streams.get(node))

    async def acked(self, node: str, timeout_s: float = 10) -> None:
        """Waits until a node has accepted all of its resources as they are now.

        For a proxy that is every type it has resources of; a gRPC client asks by name, and what it has
        asked for counts. Raises LabError with the node's own words when it refuses one, or after
        `timeout_s` with what is missing.
        """
        try:
            async with asyncio.timeout(timeout_s):
                while not self._settled(node):
                    await self._turn.wait()
        except TimeoutError:
            raise LabError(f"{node} has not taken its configuration: {self._missing(node)}.") from None

    def _settled(self, node: str) -> bool:
        snapshot = self._snapshots.get(node)
        if snapshot is None:
            return False
        for stream in self._streams.get(node, ()):
            if refused := stream.refusal(snapshot):
                type_url, message = refused
                raise LabError(f"{node} refused its {_short(type_url)} configuration: {message}")
            if not stream.pending(snapshot):
                return True
        return False

    def _missing(self, node: str) -> str:
        snapshot, streams = self._snapshots.get(node), self._streams.get(node)
        if snapshot is None:
            return "it was given none"
        if not streams:
            return f"it did not connect to the control plane{'' if self._server else ', which is down'}"
        waiting = sorted({_short(t) for s in streams for t in s.pending(snapshot)})
        return f"it did not acknowledge {', '.join(waiting)}"

    def _announce(self) -> None:
        """Wakes all who wait in `acked`."""
        turn, self._turn = self._turn, asyncio.Event()
        turn.set()

    async def _serve(self, requests: AsyncIterator[Any], context: Any) -> None:
        """One stream: requests are taken in by a task of its own, so that pushes don't wait for them."""
        stream = Stream()
        reader = asyncio.create_task(self._read(stream, requests))
        try:
            while not stream.ended:
                await stream.wake.wait()
                stream.wake.clear()
                snapshot = self._snapshots.get(stream.node)
                for response in stream.due(snapshot) if snapshot else ():
                    await context.write(response)
        finally:
            reader.cancel()
            (outcome,) = await asyncio.gather(reader, return_exceptions=True)
            streams = self._streams.get(stream.node, set())
            streams.discard(stream)
            if not streams:
                self._streams.pop(stream.node, None)
            self._announce()
        if isinstance(outcome, Exception):
            raise outcome

    async def _read(self, stream: Stream, requests: AsyncIterator[Any]) -> None:
        try:
            async for request in requests:
                known = bool(stream.node)
                message = stream.take(request)
                if not known:
                    self._streams.setdefault(stream.node, set()).add(stream)
                if message is not None:
                    self.nacks.append(Nack(stream.node, request.type_url, message))
                stream.wake.set()
                self._announce()
        finally:
            stream.ended = True
            stream.wake.set()


def _short(type_url: str) -> str:
    return type_url.rpartition(".")[2]
