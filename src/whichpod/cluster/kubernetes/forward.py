"""Port-forward: a port of this machine that leads into a pod, past its sidecar, as kubectl's does."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from whichpod.cluster.kubernetes.api import Api
from whichpod.cluster.kubernetes.errors import ApiError, ForbiddenError, Request
from whichpod.cluster.kubernetes.kinds import POD
from whichpod.model.errors import ClusterError
from whichpod.model.text import printable

if TYPE_CHECKING:
    from httpx_ws import AsyncWebSocketSession

RULE = '{apiGroups: [""], resources: [pods/portforward], verbs: [get, create]}'
"""Who forwards needs it: `get` for WebSockets, and since Kubernetes 1.35 `create` too."""
PROTOCOL = "v4.channel.k8s.io"
"""Each message begins with its channel: 0 has the data, 1 errors. The first on each is the port's number
(kubernetes/kubernetes, pkg/kubelet/cri/streaming/portforward/websocket.go)."""
_DATA, _ERRORS = b"\x00", b"\x01"
_PIECE = 32 << 10
_LONGEST = 200


class Forwarded:
    """A port that leads to a pod's. Made by `forwarded`."""

    def __init__(self, api: Api, pod: str, namespace: str, port: int) -> None:
        self.address = ""
        """Host and port, on this machine."""
        self.failure = ""
        """Why a connection failed; empty as long as none did."""
        self._api = api
        self._pod = pod
        self._namespace = namespace
        self._port = port
        self._connections: set[asyncio.Task[None]] = set()

    def check(self) -> None:
        """Raises ClusterError where a connection could not be forwarded."""
        if self.failure:
            raise ClusterError(
                f"Forwarding to port {self._port} of pod {self._pod} failed: {self.failure}.",
                fix="Does the pod listen there, and does it still run?",
            )

    async def serve(self) -> asyncio.Server:
        """Listens on a free port of 127.0.0.1."""
        server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        host, port = server.sockets[0].getsockname()[:2]
        self.address = f"{host}:{port}"
        return server

    async def end(self) -> None:
        """Ends all connections."""
        for task in self._connections:
            task.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)

    @asynccontextmanager
    async def tunnel(self) -> AsyncIterator[AsyncWebSocketSession]:
        """A WebSocket that leads to the pod's port. Raises ApiError where the API server refuses it, httpx's
        errors and httpx_ws's where it fails."""
        from httpx_ws import WebSocketUpgradeError

        kr8s = self._api.connection.kr8s
        path = POD.path(self._namespace, self._pod, "portforward")
        base, _, rest = path.rpartition("/")
        try:
            async with kr8s.open_websocket(
                version="",
                base=base,
                url=rest,
                params={"ports": str(self._port)},
                subprotocols=[PROTOCOL],
            ) as found:
                yield found
        except WebSocketUpgradeError as e:
            raise await self._refused(path, e.response.status_code) from None

    async def _refused(self, path: str, status: int) -> ApiError:
        """The body of a WebSocket's refusal is lost; asked without one, the server says it again."""
        request = Request("get", POD, self._namespace, self._pod, "portforward")
        if status != 400:
            try:
                params = {"ports": str(self._port)}
                await self._api.connection.send("GET", path, request, params=params, also=(400,))
            except ApiError as e:
                return e
        if status == 403:
            return ForbiddenError(
                f"To {request} is forbidden.", fix=f"Your user needs a Role with the rule {RULE}", status=403
            )
        return ApiError(
            f"To {request} is refused ({status}).", fix="Is there a proxy that lets no WebSocket through?"
        )

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(self._forward(reader, writer))
        self._connections.add(task)
        task.add_done_callback(self._connections.discard)

    async def _forward(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with self.tunnel() as web:
                ways = {
                    asyncio.create_task(_out(reader, web)),
                    asyncio.create_task(self._back(web, writer)),
                }
                try:
                    await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
                finally:
                    for way in ways:
                        way.cancel()
                    await asyncio.gather(*ways, return_exceptions=True)
        except Exception as e:
            # Whatever it is: the client sees a connection that ends, and this is why.
            self.failure = self.failure or _said(e)
        finally:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()

    async def _back(self, web: AsyncWebSocketSession, writer: asyncio.StreamWriter) -> None:
        numbered: set[bytes] = set()
        while True:
            message = await web.receive_bytes()
            channel = message[:1]
            if channel not in numbered:
                numbered.add(channel)
            elif channel == _ERRORS:
                self.failure = printable(message[1:].decode(errors="replace"), _LONGEST).rstrip(".")
                return
            elif channel == _DATA:
                writer.write(message[1:])
                await writer.drain()


@asynccontextmanager
async def forwarded(api: Api, pod: str, namespace: str, port: int) -> AsyncIterator[Forwarded]:
    """Forwards while it is entered. The API server is in between, and the pod's own network namespace is
    entered on its node, so what dials is the pod's localhost (kubernetes.io, Use Port Forwarding).

    Raises ApiError where the API server refuses, before anything is sent.
    """
    found = Forwarded(api, pod, namespace, port)
    try:
        async with found.tunnel():
            pass
    except ClusterError:
        raise
    except Exception as e:
        request = Request("get", POD, namespace, pod, "portforward")
        raise api.connection.unreachable(e, request) from None
    server = await found.serve()
    try:
        yield found
    finally:
        server.close()
        await found.end()
        await server.wait_closed()


async def _out(reader: asyncio.StreamReader, web: AsyncWebSocketSession) -> None:
    with contextlib.suppress(ConnectionError):
        while data := await reader.read(_PIECE):
            await web.send_bytes(_DATA + data)


def _said(error: BaseException) -> str:
    if isinstance(error, BaseExceptionGroup):
        return _said(error.exceptions[0])
    text = error.message if isinstance(error, ClusterError) else str(error)
    return printable(text or type(error).__name__, _LONGEST).rstrip(".")
