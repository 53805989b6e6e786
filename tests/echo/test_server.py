"""The echo server, spoken to by real grpcio clients."""

from __future__ import annotations

import json
import os
import queue
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from grpc_channelz.v1 import channelz_pb2, channelz_pb2_grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase

from tests.certificates import authority, issued, needs_openssl
from tests.servers import LOCAL, echo, served
from whichpod.echo import names
from whichpod.echo.args import settings_from_args
from whichpod.echo.faults import Delay, Failure
from whichpod.echo.identity import Identity
from whichpod.echo.server import EchoServer
from whichpod.echo.v1 import echo_pb2
from whichpod.model.errors import LabError, UsageError

SEND, REPLY = echo_pb2.EchoRequest.SerializeToString, echo_pb2.EchoReply.FromString


def unary(channel: grpc.Channel, payload: bytes = b"", timeout: float = 10) -> echo_pb2.EchoReply:
    call = channel.unary_unary(names.ECHO, SEND, REPLY)
    reply: echo_pb2.EchoReply = call(echo_pb2.EchoRequest(payload=payload), timeout=timeout)
    return reply


@pytest.fixture
def server() -> Iterator[EchoServer]:
    with echo() as running:
        yield running


@pytest.fixture
def channel(server: EchoServer) -> Iterator[grpc.Channel]:
    with grpc.insecure_channel(f"127.0.0.1:{server.port}") as made:
        yield made


def test_every_answer_says_who_answered() -> None:
    env = {"POD_NAME": "p", "POD_IP": "10.0.0.1", "POD_NAMESPACE": "ns", "NODE_NAME": "n", "ZONE": "z"}
    server = EchoServer(LOCAL, Identity.from_env(env))
    server.start()
    with grpc.insecure_channel(f"127.0.0.1:{server.port}") as channel:
        reply = unary(channel, b"hello")
    server.drain(0)
    s = reply.server
    assert (s.pod, s.pod_ip, s.namespace, s.node, s.zone) == ("p", "10.0.0.1", "ns", "n", "z")
    assert s.id.startswith("p-")
    assert reply.payload == b"hello"
    assert reply.peer.startswith("ipv4:127.0.0.1:")


def test_server_ids_differ_by_start() -> None:
    assert Identity.from_env({}).server_id != Identity.from_env({}).server_id
    assert Identity.from_env({}).server_id.startswith(socket.gethostname() + "-")


def test_calls_are_counted_per_connection(server: EchoServer) -> None:
    seen = []
    for _ in range(2):
        options = [("grpc.use_local_subchannel_pool", 1)]
        with grpc.insecure_channel(f"127.0.0.1:{server.port}", options=options) as channel:
            seen.append([(r.connection, r.call) for r in (unary(channel), unary(channel))])
    (a, b), (c, d) = seen
    assert a[0] == b[0] != c[0] == d[0]
    assert [x[1] for x in (a, b, c, d)] == [1, 2, 1, 2]


def test_streams(channel: grpc.Channel) -> None:
    requests = [echo_pb2.EchoRequest(payload=bytes([i])) for i in range(3)]
    asked = echo_pb2.ServerStreamRequest(payload=b"x", messages=4, interval_ms=1)
    down = channel.unary_stream(names.SERVER_STREAM, echo_pb2.ServerStreamRequest.SerializeToString, REPLY)
    assert [r.sequence for r in down(asked, timeout=10)] == [1, 2, 3, 4]
    up = channel.stream_unary(names.CLIENT_STREAM, SEND, REPLY)(iter(requests), timeout=10)
    assert (up.received, up.received_bytes) == (3, 3)
    both = list(channel.stream_stream(names.BIDI_STREAM, SEND, REPLY)(iter(requests), timeout=10))
    assert [r.payload for r in both] == [b"\0", b"\1", b"\2"]
    assert {r.connection for r in both} == {up.connection}
    assert both[0].call == up.call + 1


def test_too_many_messages_are_refused(channel: grpc.Channel) -> None:
    down = channel.unary_stream(names.SERVER_STREAM, echo_pb2.ServerStreamRequest.SerializeToString, REPLY)
    with pytest.raises(grpc.RpcError) as failed:
        list(down(echo_pb2.ServerStreamRequest(messages=2_000_000), timeout=10))
    assert failed.value.code() is grpc.StatusCode.INVALID_ARGUMENT


def test_messages_up_to_the_limit() -> None:
    with (
        echo(max_message_bytes=10_000) as server,
        grpc.insecure_channel(f"127.0.0.1:{server.port}") as channel,
    ):
        assert len(unary(channel, bytes(9_000)).payload) == 9_000
        with pytest.raises(grpc.RpcError) as failed:
            unary(channel, bytes(11_000))
        assert failed.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED


def test_reflection_and_channelz(channel: grpc.Channel) -> None:
    unary(channel)
    database = ProtoReflectionDescriptorDatabase(channel)
    assert names.SERVICE in database.get_services()
    assert database.FindFileContainingSymbol(names.SERVICE).package == "whichpod.echo.v1"
    stub = channelz_pb2_grpc.ChannelzStub(channel)
    servers = stub.GetServers(channelz_pb2.GetServersRequest(start_server_id=0), timeout=10).server
    assert any(s.data.calls_started for s in servers)


def test_health_watch_sees_the_drain_and_rpcs_in_flight_finish() -> None:
    with echo(grace_s=10) as server, grpc.insecure_channel(f"127.0.0.1:{server.port}") as channel:
        stub = health_pb2_grpc.HealthStub(channel)
        watch = stub.Watch(health_pb2.HealthCheckRequest(service=names.SERVICE), timeout=20)
        assert next(watch).status == health_pb2.HealthCheckResponse.SERVING
        requests: queue.SimpleQueue[echo_pb2.EchoRequest | None] = queue.SimpleQueue()
        requests.put(echo_pb2.EchoRequest())
        both = channel.stream_stream(names.BIDI_STREAM, SEND, REPLY)
        stream: Any = both(iter(requests.get, None), timeout=20)
        assert next(stream).sequence == 1
        drain = threading.Thread(target=server.drain)
        drain.start()
        assert next(watch).status == health_pb2.HealthCheckResponse.NOT_SERVING
        watch.cancel()
        requests.put(echo_pb2.EchoRequest())
        assert next(stream).sequence == 2
        requests.put(None)
        assert list(stream) == []
        drain.join(20)
        assert not drain.is_alive()


def test_many_health_watches_take_no_worker() -> None:
    with echo(workers=2) as server, grpc.insecure_channel(f"127.0.0.1:{server.port}") as channel:
        stub = health_pb2_grpc.HealthStub(channel)
        watches = [stub.Watch(health_pb2.HealthCheckRequest(), timeout=20) for _ in range(8)]
        assert all(next(w).status == health_pb2.HealthCheckResponse.SERVING for w in watches)
        assert unary(channel).server.pod == "echo-0"
        for watch in watches:
            watch.cancel()


def test_connections_are_ended_by_age_and_no_rpc_fails() -> None:
    with (
        echo(max_connection_age_s=0.1, max_connection_age_grace_s=5) as server,
        grpc.insecure_channel(f"127.0.0.1:{server.port}") as channel,
    ):
        seen: set[str] = set()
        for _ in range(20_000):
            seen.add(unary(channel).connection)
            if len(seen) > 2:
                break
        assert len(seen) > 2


def test_injected_failures_have_their_rate_and_code() -> None:
    with (
        echo(failure=Failure(0.3, "RESOURCE_EXHAUSTED"), seed=5) as server,
        grpc.insecure_channel(f"127.0.0.1:{server.port}") as channel,
    ):
        codes = []
        for _ in range(200):
            try:
                unary(channel)
                codes.append(grpc.StatusCode.OK)
            except grpc.RpcError as error:
                codes.append(error.code())
    failed = codes.count(grpc.StatusCode.RESOURCE_EXHAUSTED)
    assert failed + codes.count(grpc.StatusCode.OK) == 200
    assert 35 <= failed <= 85


def test_a_delay_past_the_deadline_is_the_clients_to_feel() -> None:
    with (
        echo(delay=Delay("fixed", 30)) as server,
        grpc.insecure_channel(f"127.0.0.1:{server.port}") as channel,
        pytest.raises(grpc.RpcError) as failed,
    ):
        unary(channel, timeout=0.2)
    assert failed.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED


def test_a_port_in_use_is_refused(server: EchoServer) -> None:
    with pytest.raises(LabError, match="the port is in use"), echo(port=server.port):
        pass


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"host": "no.such.host.invalid"}, "no address of this machine"),
        ({"port": 70000}, "--port 70000"),
        ({"workers": 0}, "--workers 0"),
        ({"max_message_bytes": 0}, "--max-message-size 0"),
        ({"tls_cert": "x"}, "both a certificate and its key"),
        ({"tls_client_ca": "x"}, "needs TLS"),
        ({"tls_cert": "/nowhere.pem", "tls_key": "/nowhere.key"}, "/nowhere.pem can't be read"),
        ({"failure": Failure(2)}, "--fail-rate 2"),
    ],
)
def test_settings_that_make_no_sense_are_refused(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(UsageError, match=said), echo(**changes):
        pass


@needs_openssl
def test_tls_and_mutual_tls(tmp_path: Path) -> None:
    ca = authority(tmp_path)
    own, client, stranger = (
        issued(tmp_path, ca, "server"),
        issued(tmp_path, ca, "client"),
        authority(tmp_path, "x"),
    )
    roots = Path(ca.cert).read_bytes()

    def dial(port: int, pair: tuple[str, str] | None) -> echo_pb2.EchoReply:
        key, cert = (Path(pair[1]).read_bytes(), Path(pair[0]).read_bytes()) if pair else (None, None)
        credentials = grpc.ssl_channel_credentials(roots, key, cert)
        with grpc.secure_channel(f"localhost:{port}", credentials) as channel:
            return unary(channel)

    with echo(tls_cert=own.cert, tls_key=own.key) as server:
        assert dial(server.port, None).server.pod == "echo-0"
    with echo(tls_cert=own.cert, tls_key=own.key, tls_client_ca=ca.cert) as server:
        assert dial(server.port, (client.cert, client.key)).server.pod == "echo-0"
        for refused in (None, (stranger.cert, stranger.key)):
            with pytest.raises(grpc.RpcError):
                dial(server.port, refused)
    with pytest.raises(UsageError, match="don't go together"), echo(tls_cert=own.cert, tls_key=client.key):
        pass
    broken = tmp_path / "broken.pem"
    broken.write_text("nonsense")
    with (
        pytest.raises(UsageError, match="has no certificate"),
        echo(tls_cert=own.cert, tls_key=own.key, tls_client_ca=str(broken)),
    ):
        pass


def test_the_command_listens_on_grpc_port_and_drains_on_sigterm() -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    env = os.environ | {"GRPC_PORT": str(port)}
    command = [sys.executable, "-m", "whichpod", "serve", "--host", "127.0.0.1", "--json"]
    process = subprocess.Popen(command, env=env, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    said = json.loads(process.stdout.readline())
    assert said["listening"] == f"127.0.0.1:{port}"
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        assert unary(channel).server.id == said["server_id"]
    process.send_signal(signal.SIGTERM)
    assert process.wait(20) == 0
    process.stdout.close()


def test_the_command_says_why_it_can_not_start() -> None:
    with served() as (_, port):
        command = [sys.executable, "-m", "whichpod", "serve", "--host", "127.0.0.1", "--port", str(port)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 4
    assert "the port is in use" in done.stderr
    assert "Traceback" not in done.stderr


def test_flags_and_environment() -> None:
    settings = settings_from_args(
        ["--max-connection-age", "1m30s", "--delay", "10ms", "--fail-rate", "0.5", "--fail-code", "internal"],
        {"GRPC_PORT": "1234"},
    )
    assert (settings.port, settings.max_connection_age_s) == (1234, 90)
    assert settings.failure == Failure(0.5, "INTERNAL")
    assert settings_from_args(["--port", "5"], {"GRPC_PORT": "1234"}).port == 5
    with pytest.raises(UsageError, match="GRPC_PORT 'x'"):
        settings_from_args([], {"GRPC_PORT": "x"})
    with pytest.raises(SystemExit) as refused:
        settings_from_args(["--nope"], {})
    assert refused.value.code == 2
