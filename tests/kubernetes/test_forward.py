"""Port-forward, through a WebSocket of the API server's to a pod's port."""

from __future__ import annotations

import asyncio
import contextlib
import socketserver
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import pytest

from tests.kubernetes.standin import ApiServer, Fault
from tests.kubernetes.test_inside import closed_port
from whichpod.cluster.kubernetes.api import Api
from whichpod.cluster.kubernetes.errors import ForbiddenError
from whichpod.cluster.kubernetes.forward import RULE, Forwarded, forwarded
from whichpod.model.errors import ClusterError

pytestmark = pytest.mark.anyio
EVERYTHING = [{"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]}]


def served(version: str) -> Iterator[ApiServer]:
    with ApiServer(version=version, validate=False) as api:
        pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "echo-1", "namespace": "default"}}
        api.store.create(pod | {"spec": {"containers": [{"name": "echo"}]}})
        yield api


@pytest.fixture
def server() -> Iterator[ApiServer]:
    yield from served("1.32")


class Again(socketserver.BaseRequestHandler):
    def handle(self) -> None:
        with contextlib.suppress(OSError):
            while data := self.request.recv(65536):
                self.request.sendall(data)


@contextmanager
def pod(server: ApiServer) -> Iterator[int]:
    """What listens in the pod: it says everything again."""
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Again) as listening:
        listening.daemon_threads = True
        thread = threading.Thread(target=listening.serve_forever, args=(0.02,))
        thread.start()
        host, port = listening.socket.getsockname()
        server.tunnels = lambda *_: (host, port)
        try:
            yield port
        finally:
            listening.shutdown()
            thread.join()


@asynccontextmanager
async def opened(server: ApiServer, tmp_path: Path, port: int) -> AsyncIterator[Forwarded]:
    async with (
        Api.open(str(server.kubeconfig(tmp_path)), patience_s=1.0) as api,
        forwarded(api, "echo-1", "default", port) as found,
    ):
        yield found


async def said_through(found: Forwarded, data: bytes) -> bytes:
    """What comes back."""
    host, _, port = found.address.rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    try:
        writer.write(data)
        async with asyncio.timeout(30):
            return await reader.readexactly(len(data))
    finally:
        writer.close()


async def test_connections_lead_into_the_pod(server: ApiServer, tmp_path: Path) -> None:
    with pod(server) as port:
        async with opened(server, tmp_path, port) as found:
            # More than a message holds, and several at a time.
            texts = [bytes([65 + n]) * (200_000 if n == 0 else 10) for n in range(4)]
            assert await asyncio.gather(*(said_through(found, text) for text in texts)) == texts
            found.check()
    host, _, number = found.address.rpartition(":")
    with pytest.raises(OSError):
        await asyncio.open_connection(host, int(number))


async def test_who_may_not_is_told_the_rule_before_anything_is_sent(
    server: ApiServer, tmp_path: Path
) -> None:
    server.rules = [{"verbs": ["*"], "apiGroups": [""], "resources": ["pods"]}]
    with pod(server) as port, pytest.raises(ForbiddenError) as caught:
        async with opened(server, tmp_path, port):
            pass
    assert 'rule {apiGroups: [""], resources: ["pods/portforward"], verbs: ["get"]}' in caught.value.fix


async def test_since_1_35_it_takes_the_right_to_create(tmp_path: Path) -> None:
    for server in served("1.35"):
        server.rules = [{"verbs": ["get"], "apiGroups": [""], "resources": ["pods", "pods/portforward"]}]
        with pod(server) as port:
            with pytest.raises(ForbiddenError) as caught:
                async with opened(server, tmp_path, port):
                    pass
            assert RULE in caught.value.fix
            server.rules = EVERYTHING
            async with opened(server, tmp_path, port) as found:
                assert await said_through(found, b"hello") == b"hello"


async def test_where_nobody_listens_in_the_pod(server: ApiServer, tmp_path: Path) -> None:
    port = closed_port()
    server.tunnels = lambda *_: ("127.0.0.1", port)
    async with opened(server, tmp_path, port) as found:
        with pytest.raises((asyncio.IncompleteReadError, ConnectionError)):
            await said_through(found, b"hello")
        with pytest.raises(ClusterError, match=rf"port {port} of pod echo-1 failed: .*connection refused"):
            found.check()


async def test_an_api_server_that_goes_away_ends_connections_and_is_told(
    server: ApiServer, tmp_path: Path
) -> None:
    with pod(server) as port:
        async with opened(server, tmp_path, port) as found:
            server.faults.append(Fault(".*/portforward", do="drop", times=-1))
            with pytest.raises((asyncio.IncompleteReadError, ConnectionError)):
                await said_through(found, b"hello")
            with pytest.raises(ClusterError, match="failed: "):
                found.check()
    with pytest.raises(ClusterError, match=r"can't be reached \(to get pods/portforward echo-1 in default\)"):
        async with opened(server, tmp_path, port):
            pass
