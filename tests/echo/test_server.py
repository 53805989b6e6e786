"""The echo server, spoken to by real grpcio clients."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import grpc
import pytest
from grpc_channelz.v1 import channelz_pb2, channelz_pb2_grpc
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase

from tests.echo.client import REPLY, SEND, unary
from tests.echo.engines import Serve, Server, serve
from tests.servers import LOCAL
from whichpod.echo import names
from whichpod.echo.faults import Failure
from whichpod.echo.identity import Identity
from whichpod.echo.run import make
from whichpod.echo.v1 import echo_pb2
from whichpod.model.errors import LabError, UsageError


@pytest.fixture
def server(echo: Serve) -> Iterator[Server]:
    with echo() as running:
        yield running


@pytest.fixture
def channel(server: Server) -> Iterator[grpc.Channel]:
    with grpc.insecure_channel(f"127.0.0.1:{server.port}") as made:
        yield made


def test_every_answer_says_who_answered(engine: str) -> None:
    env = {"POD_NAME": "p", "POD_IP": "10.0.0.1", "POD_NAMESPACE": "ns", "NODE_NAME": "n", "ZONE": "z"}
    server = make(replace(LOCAL, engine=engine), Identity.from_env(env))
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


def test_calls_are_counted_per_connection(server: Server) -> None:
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


def test_messages_up_to_the_limit(echo: Serve) -> None:
    with (
        echo(max_message_bytes=10_000) as server,
        grpc.insecure_channel(f"127.0.0.1:{server.port}") as channel,
    ):
        assert len(unary(channel, bytes(9_000)).payload) == 9_000
        with pytest.raises(grpc.RpcError) as failed:
            unary(channel, bytes(11_000))
        assert failed.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED


def test_reflection(channel: grpc.Channel) -> None:
    database = ProtoReflectionDescriptorDatabase(channel)
    assert list(database.get_services()) == [
        "grpc.health.v1.Health", "grpc.reflection.v1alpha.ServerReflection", names.SERVICE,
    ]  # fmt: skip
    assert database.FindFileContainingSymbol(names.SERVICE).package == "whichpod.echo.v1"
    with pytest.raises(KeyError):
        database.FindFileContainingSymbol("no.such.Thing")


def test_channelz_is_grpcios() -> None:
    with serve("grpcio")() as server, grpc.insecure_channel(f"127.0.0.1:{server.port}") as channel:
        unary(channel)
        stub = channelz_pb2_grpc.ChannelzStub(channel)
        servers = stub.GetServers(channelz_pb2.GetServersRequest(start_server_id=0), timeout=10).server
        assert any(s.data.calls_started for s in servers)


def test_connections_are_ended_by_age_and_no_rpc_fails(echo: Serve) -> None:
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


def test_a_port_in_use_is_refused(server: Server, echo: Serve) -> None:
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
def test_settings_that_make_no_sense_are_refused(changes: dict[str, Any], said: str, echo: Serve) -> None:
    with pytest.raises(UsageError, match=said), echo(**changes):
        pass
