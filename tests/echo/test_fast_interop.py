"""The fast server with the clients and proxies that are there."""

from __future__ import annotations

import asyncio
import re
import shutil
import ssl
import subprocess
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import grpc
import grpc.aio
import h2.config
import h2.connection
import h2.events
import pytest

from tests.certificates import authority, issued, needs_openssl
from tests.echo.client import ASK, REPLY, SEND
from tests.echo.engines import fast
from tests.echo.frames import dial
from whichpod.cluster.loopback import LoopbackCluster
from whichpod.echo import names
from whichpod.echo.fast.server import FastServer
from whichpod.echo.v1 import echo_pb2
from whichpod.scenarios.run import Options, run_row
from whichpod.scenarios.scenario import scenarios
from whichpod.wire.messages import frame

pytestmark = pytest.mark.usefixtures("forking")

FIELDS = [f"-H{field}" for field in (":method: POST", "content-type: application/grpc", "te: trailers")]


@pytest.fixture
def server() -> Iterator[FastServer]:
    with fast() as running:
        yield running


@pytest.fixture
def body(tmp_path: Path) -> Path:
    """An EchoRequest, framed."""
    path = tmp_path / "body"
    path.write_bytes(frame(echo_pb2.EchoRequest(payload=b"x" * 100).SerializeToString()))
    return path


def tool(name: str, *args: str) -> str:
    """What it prints."""
    if shutil.which(name) is None:
        pytest.skip(f"{name} is not on PATH (Debian: package nghttp2-client)")
    done = subprocess.run([name, *args], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_nghttp(server: FastServer, body: Path) -> None:
    """Its HEADERS have priorities, its streams trailers."""
    url = f"http://127.0.0.1:{server.port}{names.ECHO}"
    said = tool("nghttp", "-nv", f"--data={body}", "--trailer=x-after: all", *FIELDS, url)
    for expected in (":status: 200", "grpc-status: 0", "x-whichpod-pod: echo-0"):
        assert expected in said
    assert "RST_STREAM" not in said
    assert "error_code=NO_ERROR" in said


def test_nghttp_gets_a_status_for_what_is_no_call(server: FastServer) -> None:
    said = tool("nghttp", "-nv", f"http://127.0.0.1:{server.port}/")
    assert ":status: 405" in said
    assert "allow: POST" in said


def all_succeeded(said: str, count: int) -> bool:
    found = re.search(r"(\d+) total, \d+ started, \d+ done, (\d+) succeeded, (\d+) failed", said)
    statuses = re.search(r"status codes: (\d+) 2xx", said)
    assert found
    assert statuses
    return [int(n) for n in (*found.groups(), statuses[1])] == [count, count, 0, count]


@pytest.mark.parametrize("window", ["30", "12"])
def test_h2load(server: FastServer, body: Path, window: str) -> None:
    """With windows that never shut, and with some of 4 KiB that always do."""
    url = f"http://127.0.0.1:{server.port}{names.ECHO}"
    load = ["-n3000", "-c5", "-m50", "-t1", f"-w{window}", f"-W{window}", f"--data={body}"]
    assert all_succeeded(tool("h2load", *load, *FIELDS, url), 3_000)


@needs_openssl
def test_nghttp_and_h2load_over_tls(tmp_path: Path, body: Path) -> None:
    ca = authority(tmp_path)
    own = issued(tmp_path, ca, "server")
    with fast(tls_cert=own.cert, tls_key=own.key) as server:
        url = f"https://127.0.0.1:{server.port}{names.ECHO}"
        assert "grpc-status: 0" in tool("nghttp", "-nvy", f"--data={body}", *FIELDS, url)
        said = tool("h2load", "-n500", "-c2", "-m20", "-t1", f"--data={body}", *FIELDS, url)
        assert all_succeeded(said, 500)
        assert "Application protocol: h2" in said


@needs_openssl
@pytest.mark.parametrize("offered", [[], ["http/1.1"]])
def test_tls_without_http2_is_hung_up_on(tmp_path: Path, offered: list[str]) -> None:
    ca = authority(tmp_path)
    own = issued(tmp_path, ca, "server")
    context = ssl.create_default_context(cafile=ca.cert)
    if offered:
        context.set_alpn_protocols(offered)
    with fast(tls_cert=own.cert, tls_key=own.key) as server, dial(server.port) as client:
        try:
            with context.wrap_socket(client.sock, server_hostname="localhost") as secure:
                assert secure.recv(1) == b""
        except (ssl.SSLError, ConnectionResetError):
            pass  # hung up on in the handshake, which is as good


def test_grpc_aio(server: FastServer) -> None:
    requests = [echo_pb2.EchoRequest(payload=bytes([number])) for number in range(5)]

    async def each() -> AsyncIterator[echo_pb2.EchoRequest]:
        for request in requests:
            yield request

    async def run() -> None:
        async with grpc.aio.insecure_channel(f"127.0.0.1:{server.port}") as channel:
            call = channel.unary_unary(names.ECHO, SEND, REPLY)
            replies = await asyncio.gather(*(call(request, timeout=20) for request in requests * 100))
            assert sorted(reply.call for reply in replies) == list(range(1, 501))
            up = channel.stream_unary(names.CLIENT_STREAM, SEND, REPLY)
            assert (await up(each(), timeout=20)).received == 5
            both = channel.stream_stream(names.BIDI_STREAM, SEND, REPLY)
            assert [reply.payload async for reply in both(each(), timeout=20)] == [
                r.payload for r in requests
            ]
            down = channel.unary_stream(names.SERVER_STREAM, ASK, REPLY)
            asked = echo_pb2.ServerStreamRequest(messages=100, payload=bytes(5_000))
            assert [reply.sequence async for reply in down(asked, timeout=20)] == list(range(1, 101))
            stream = down(echo_pb2.ServerStreamRequest(messages=2, interval_ms=3_600_000), timeout=20)
            first = await stream.read()
            assert isinstance(first, echo_pb2.EchoReply)
            assert first.sequence == 1
            stream.cancel()
            assert (await call(requests[0], timeout=20)).call == 505

    asyncio.run(run())


def test_h2(server: FastServer) -> None:
    """It checks what the server sends as strictly as we check it."""
    conn = h2.connection.H2Connection(h2.config.H2Configuration(header_encoding="utf-8"))
    conn.initiate_connection()
    answered: dict[int, bytes] = {}
    trailers: list[dict[str, str]] = []
    with dial(server.port) as client:
        streams = range(1, 41, 2)
        for stream in streams:
            pairs = [(name.decode(), value.decode()) for name, value in client.request()]
            conn.send_headers(stream, pairs)
            conn.send_data(stream, frame(b"\x0a\x02hi"), end_stream=True)
        while len(trailers) < len(streams):
            client.raw(conn.data_to_send())
            for event in conn.receive_data(client.sock.recv(65_536)):
                if isinstance(event, h2.events.DataReceived):
                    assert event.data is not None
                    answered[event.stream_id] = answered.get(event.stream_id, b"") + event.data
                    conn.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
                elif isinstance(event, h2.events.TrailersReceived):
                    trailers.append(dict(event.headers or ()))  # type: ignore[arg-type]
        conn.close_connection()
        client.raw(conn.data_to_send())
    assert [REPLY(answered[stream][5:]).call for stream in streams] == list(range(1, 21))
    assert {found["grpc-status"] for found in trailers} == {"0"}


@pytest.mark.parametrize(
    "name",
    ["edge-envoy", "edge-nginx", "edge-caddy", "edge-haproxy", "clusterip-connections", "istio",
     "istio-streams", "proxyless"],
)  # fmt: skip
def test_behind_real_proxies_the_outcome_is_that_of_grpcio(name: str) -> None:
    """The lab's own rows: one proxy, Envoy as kube-proxy, Envoy before and behind Envoy, xDS."""
    (row,) = (scenario for scenario in scenarios() if scenario.name == name)
    cluster = LoopbackCluster()
    if missing := cluster.missing(row.bundle(None, "fast"), row.client):
        pytest.skip(missing)
    done, environment = asyncio.run(run_row(cluster, row, Options(engine="fast")))
    assert done.outcome == "passed", done.reason
    assert done.report is not None
    assert done.report.tally.failed == 0
    assert environment["cluster"] == "loopback"
