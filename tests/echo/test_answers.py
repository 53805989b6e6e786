"""Answers, failures and limits that both engines have alike, as grpcio's clients and raw frames see them."""

from __future__ import annotations

import queue
import struct
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from typing import Any

import grpc
import pytest
from grpc_reflection.v1alpha import reflection_pb2

from tests.echo.client import ASK, REPLY, SEND, dial, unary
from tests.echo.engines import Serve, serve
from tests.echo.frames import connect
from tests.servers import LOCAL
from tests.wire import bytes as wire
from whichpod.echo import names
from whichpod.echo.faults import CODES, Delay, Failure
from whichpod.echo.settings import ENGINES, ServerSettings
from whichpod.echo.v1 import echo_pb2
from whichpod.model.errors import UsageError
from whichpod.wire.codes import GrpcCode
from whichpod.wire.settings import MAX_CONCURRENT_STREAMS

REFLECTION = "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo"
Caller = Callable[[grpc.Channel, float], Any]


def requests(count: int = 3) -> Iterator[echo_pb2.EchoRequest]:
    return (echo_pb2.EchoRequest(payload=bytes([i])) for i in range(count))


KINDS: dict[str, Caller] = {
    "unary": lambda c, t: unary(c, timeout=t),
    "server stream": lambda c, t: list(
        c.unary_stream(names.SERVER_STREAM, ASK, REPLY)(echo_pb2.ServerStreamRequest(messages=3), timeout=t)
    ),
    "client stream": lambda c, t: c.stream_unary(names.CLIENT_STREAM, SEND, REPLY)(requests(), timeout=t),
    "bidi stream": lambda c, t: list(c.stream_stream(names.BIDI_STREAM, SEND, REPLY)(requests(), timeout=t)),
}


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_rpc_is_failed_and_says_by_whom(kind: str, echo: Serve) -> None:
    with echo(failure=Failure(1.0, "ABORTED"), delay=Delay("fixed", 0.001)) as server:
        with dial(server.port) as channel, pytest.raises(grpc.RpcError) as failed:
            KINDS[kind](channel, 10)
        assert failed.value.code() is grpc.StatusCode.ABORTED
        assert failed.value.details() == "injected failure"
        trailers: Any = failed.value.trailing_metadata()
        assert dict(trailers)["x-whichpod-server"] == server.identity.server_id


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_rpc_is_delayed_and_its_deadline_holds(kind: str, echo: Serve) -> None:
    with echo(delay=Delay("fixed", 600)) as server, dial(server.port) as channel:
        with pytest.raises(grpc.RpcError) as failed:
            KINDS[kind](channel, 0.1)
        assert failed.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    with echo(delay=Delay("fixed", 0.01)) as server, dial(server.port) as channel:
        assert KINDS[kind](channel, 10)


def test_failures_have_any_code(echo: Serve) -> None:
    for code in CODES:
        with echo(failure=Failure(1.0, code)) as server, connect(server.port) as client:
            answer = client.call()
            assert answer.status == GrpcCode[code]
            assert answer.fields["grpc-message"] == "injected failure"
            assert answer.messages == []


def test_a_seed_means_the_same_for_both_engines() -> None:
    runs = []
    for engine in ENGINES:
        faults = replace(LOCAL, failure=Failure(0.5), delay=Delay("uniform", 0, 0.0001), seed=11)
        with serve(engine)(settings=faults) as server, connect(server.port) as client:
            runs.append([client.call().status for _ in range(60)])
    assert runs[0] == runs[1]
    assert set(runs[0]) == {GrpcCode.OK, GrpcCode.UNAVAILABLE}


def test_deadlines_end_streams(echo: Serve) -> None:
    asked = echo_pb2.ServerStreamRequest(messages=2, interval_ms=3_600_000)
    with echo() as server, dial(server.port) as channel:
        waiting: queue.SimpleQueue[echo_pb2.EchoRequest | None] = queue.SimpleQueue()
        waiting.put(echo_pb2.EchoRequest())
        both = channel.stream_stream(names.BIDI_STREAM, SEND, REPLY)(iter(waiting.get, None), timeout=0.1)
        down = channel.unary_stream(names.SERVER_STREAM, ASK, REPLY)(asked, timeout=0.1)
        for stream in (both, down):
            seen = []
            with pytest.raises(grpc.RpcError) as failed:
                seen += list(stream)
            assert failed.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
        waiting.put(None)
        assert unary(channel)


def test_a_stream_that_is_not_read_waits_and_comes_whole(echo: Serve) -> None:
    """50 MB, more than any window: the client takes them one by one."""
    asked = echo_pb2.ServerStreamRequest(payload=bytes(50_000), messages=1_000)
    with echo() as server, dial(server.port) as channel:
        down: Any = channel.unary_stream(names.SERVER_STREAM, ASK, REPLY)(asked, timeout=60)
        assert next(down).sequence == 1
        assert unary(channel)
        assert [reply.sequence for reply in down] == list(range(2, 1_001))


def test_many_streams_at_a_time(echo: Serve) -> None:
    with echo() as server, dial(server.port) as channel:
        asked = echo_pb2.ServerStreamRequest(payload=bytes(1_000), messages=50)
        call = channel.unary_stream(names.SERVER_STREAM, ASK, REPLY)
        streams = [call(asked, timeout=60) for _ in range(50)]
        replies = [list(stream) for stream in streams]
        assert {tuple(r.sequence for r in stream) for stream in replies} == {tuple(range(1, 51))}
        assert sorted(stream[0].call for stream in replies) == list(range(1, 51))


@pytest.mark.parametrize("algorithm", [grpc.Compression.Gzip, grpc.Compression.Deflate])
@pytest.mark.parametrize("kind", KINDS)
def test_compressed_requests(kind: str, algorithm: grpc.Compression, echo: Serve) -> None:
    with ExitStack() as stack:
        server = stack.enter_context(echo())
        channel = stack.enter_context(
            grpc.insecure_channel(f"127.0.0.1:{server.port}", compression=algorithm)
        )
        assert KINDS[kind](channel, 10)
        payload = b"a" * 100_000
        assert unary(channel, payload).payload == payload


def test_limits_hold_for_what_is_compressed_and_for_streams(echo: Serve) -> None:
    with echo(max_message_bytes=10_000) as server:
        target, gzip = f"127.0.0.1:{server.port}", grpc.Compression.Gzip
        with grpc.insecure_channel(target, compression=gzip) as channel:
            up = channel.stream_unary(names.CLIENT_STREAM, SEND, REPLY)
            large = echo_pb2.EchoRequest(payload=bytes(20_000))
            with pytest.raises(grpc.RpcError) as failed:
                unary(channel, large.payload)
            assert failed.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
            for squeezed in (gzip, grpc.Compression.NoCompression):
                with pytest.raises(grpc.RpcError) as failed:
                    up(iter([large]), timeout=10, compression=squeezed)
                assert failed.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED


@pytest.mark.parametrize(
    "path", ["/no.Such/Method", f"/{names.SERVICE}/Nope", "/", "/grpc.health.v1.Health/List"]
)
def test_a_method_that_is_not_there(path: str, echo: Serve) -> None:
    with echo() as server, connect(server.port) as client:
        answer = client.call(path)
        assert (answer.status, answer.messages) == (GrpcCode.UNIMPLEMENTED, [])


@pytest.mark.parametrize(
    "path",
    [names.ECHO, names.SERVER_STREAM, names.CLIENT_STREAM, names.BIDI_STREAM, "/grpc.health.v1.Health/Check"],
)
def test_a_request_that_is_no_message_of_its_type(path: str, echo: Serve) -> None:
    with echo() as server, connect(server.port) as client:
        assert client.call(path, b"\x0a\xff").status == GrpcCode.INTERNAL


def test_fields_that_nobody_knows_are_left_alone(echo: Serve) -> None:
    with echo() as server, connect(server.port) as client:
        answer = client.call(names.ECHO, b"\x7a\x01x\x0a\x02hi\x0a\x02ho")
        assert REPLY(answer.messages[0]).payload == b"ho"


ASKED: list[dict[str, Any]] = [
    {"list_services": ""}, {"list_services": "*"}, {"file_containing_symbol": names.SERVICE},
    {"file_containing_symbol": "grpc.health.v1.Health.Check"}, {"file_containing_symbol": "no.such.Thing"},
    {"file_by_filename": "grpc/health/v1/health.proto"}, {"file_by_filename": "no.proto"},
    {"all_extension_numbers_of_type": "google.protobuf.FieldOptions"},
    {"all_extension_numbers_of_type": "no.such.Type"}, {"host": "example.org"},
    {"file_containing_extension": {"containing_type": "no.such.Type", "extension_number": 1}},
]  # fmt: skip


def test_reflection_answers_the_same() -> None:
    """Octet by octet, and more than one question on a stream."""
    send = reflection_pb2.ServerReflectionRequest.SerializeToString
    told = []
    for engine in ENGINES:
        with serve(engine)() as server, dial(server.port) as channel:
            ask = channel.stream_stream(REFLECTION, send, bytes)
            questions = [reflection_pb2.ServerReflectionRequest(**asked) for asked in ASKED]
            told.append(list(ask(iter(questions), timeout=20)))
    assert len(told[0]) == len(ASKED)
    assert told[0] == told[1]


def test_an_old_connection_is_cut_after_its_grace(echo: Serve) -> None:
    waiting: queue.SimpleQueue[echo_pb2.EchoRequest | None] = queue.SimpleQueue()
    with (
        echo(max_connection_age_s=0.05, max_connection_age_grace_s=0.05) as server,
        dial(server.port) as channel,
    ):
        waiting.put(echo_pb2.EchoRequest())
        stream: Any = channel.stream_stream(names.BIDI_STREAM, SEND, REPLY)(iter(waiting.get, None), 20)
        with pytest.raises(grpc.RpcError) as failed:
            list(stream)
        assert failed.value.code() is not grpc.StatusCode.DEADLINE_EXCEEDED
        waiting.put(None)
        assert unary(channel)


@pytest.mark.parametrize("most", [1, 100])
def test_a_connection_may_have_so_many_streams(most: int, echo: Serve) -> None:
    with echo(max_concurrent_streams=most) as server, connect(server.port) as client:
        settings = next(f for f in client.frames() if f.kind == wire.SETTINGS and not f.flags)
        pairs = dict(struct.iter_unpack(">HI", settings.payload))
        assert pairs[MAX_CONCURRENT_STREAMS] == most


def test_a_number_of_streams_that_makes_no_sense() -> None:
    with pytest.raises(UsageError, match="--max-concurrent-streams -1"):
        ServerSettings(max_concurrent_streams=-1).check()
    with pytest.raises(UsageError, match="It takes 1 to 2147483647"):
        ServerSettings(max_concurrent_streams=2**31).check()
