"""Injected faults, and answers as clients meet them."""

from __future__ import annotations

from typing import Any

import grpc
import pytest

from tests.echo.client import ASK, REPLY, SEND, dial, unary
from tests.echo.engines import Serve, Server
from whichpod.echo import names
from whichpod.echo.faults import Delay, Failure
from whichpod.echo.v1 import echo_pb2


def codes(server: Server, count: int) -> list[grpc.StatusCode]:
    found = []
    with dial(server.port) as channel:
        for _ in range(count):
            try:
                unary(channel)
                found.append(grpc.StatusCode.OK)
            except grpc.RpcError as error:
                found.append(error.code())
    return found


def test_injected_failures_have_their_rate_and_code_and_repeat_with_the_seed(echo: Serve) -> None:
    runs = []
    for seed in (5, 5, 6):
        with echo(failure=Failure(0.3, "RESOURCE_EXHAUSTED"), seed=seed) as server:
            runs.append(codes(server, 100))
    assert runs[0] == runs[1] != runs[2]
    for run in runs:
        failed = run.count(grpc.StatusCode.RESOURCE_EXHAUSTED)
        assert failed + run.count(grpc.StatusCode.OK) == 100
        assert 10 <= failed <= 50


def test_a_delay_past_the_deadline_is_the_clients_to_feel(echo: Serve) -> None:
    with (
        echo(delay=Delay("fixed", 30)) as server,
        dial(server.port) as channel,
        pytest.raises(grpc.RpcError) as failed,
    ):
        unary(channel, timeout=0.2)
    assert failed.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED


def test_a_wait_ends_with_its_rpc_and_frees_the_worker(echo: Serve) -> None:
    with echo(workers=1) as server, dial(server.port) as channel:
        down = channel.unary_stream(names.SERVER_STREAM, ASK, REPLY)
        stream: Any = down(echo_pb2.ServerStreamRequest(messages=2, interval_ms=3_600_000), timeout=20)
        assert next(stream).sequence == 1
        stream.cancel()
        assert unary(channel).server.pod == "echo-0"


def test_trailers_name_the_server_of_answers_and_of_failures(echo: Serve) -> None:
    for failure in (Failure(), Failure(1.0)):
        with echo(failure=failure) as server, dial(server.port) as channel:
            call: Any = channel.unary_unary(names.ECHO, SEND, REPLY).future(
                echo_pb2.EchoRequest(), timeout=10
            )
            assert (call.exception(10) is None) == (failure.rate == 0)
            trailers = dict(call.trailing_metadata())
            assert trailers["x-whichpod-server"] == server.identity.server_id
            assert trailers["x-whichpod-pod"] == "echo-0"


def test_names_that_metadata_can_not_carry(echo: Serve) -> None:
    with echo(pod="écho\n1") as server, dial(server.port) as channel:
        call: Any = channel.unary_unary(names.ECHO, SEND, REPLY).future(echo_pb2.EchoRequest(), timeout=10)
        assert call.result(10).server.pod == "écho\n1"
        assert dict(call.trailing_metadata())["x-whichpod-pod"] == "?cho?1"


@pytest.mark.parametrize("limit", [1, 127, 128, 16_383, 16_384, 70_000])
def test_payloads_up_to_the_limit(limit: int, echo: Serve) -> None:
    with echo(max_message_bytes=limit) as server, dial(server.port) as channel:
        assert len(unary(channel, bytes(limit)).payload) == limit
        with pytest.raises(grpc.RpcError) as failed:
            unary(channel, bytes(limit + 1))
        assert failed.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
