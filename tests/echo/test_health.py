"""Health, however busy the server is."""

from __future__ import annotations

import queue
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from tests.echo.client import REPLY, SEND, dial, unary
from tests.echo.engines import Serve, serve
from whichpod.echo import names
from whichpod.echo.v1 import echo_pb2

Response = health_pb2.HealthCheckResponse


def asked(service: str = "") -> health_pb2.HealthCheckRequest:
    return health_pb2.HealthCheckRequest(service=service)


@pytest.mark.parametrize("service", ["", names.SERVICE])
def test_check(service: str, echo: Serve) -> None:
    with echo() as server, dial(server.port) as channel:
        assert (
            health_pb2_grpc.HealthStub(channel).Check(asked(service), timeout=10).status == Response.SERVING
        )


def test_a_service_that_is_not_there(echo: Serve) -> None:
    with echo() as server, dial(server.port) as channel:
        stub = health_pb2_grpc.HealthStub(channel)
        with pytest.raises(grpc.RpcError) as failed:
            stub.Check(asked("nope"), timeout=10)
        assert failed.value.code() is grpc.StatusCode.NOT_FOUND
        watch = stub.Watch(asked("nope"), timeout=10)
        assert next(watch).status == Response.SERVICE_UNKNOWN
        watch.cancel()


def test_many_watches_hold_no_worker(echo: Serve) -> None:
    with echo(workers=2) as server, dial(server.port) as channel:
        stub = health_pb2_grpc.HealthStub(channel)
        watches = [stub.Watch(asked(), timeout=20) for _ in range(8)]
        assert all(next(w).status == Response.SERVING for w in watches)
        assert unary(channel).server.pod == "echo-0"
        for watch in watches:
            watch.cancel()


def test_streams_that_hold_all_workers_do_not_hold_health() -> None:
    requests: queue.SimpleQueue[echo_pb2.EchoRequest | None] = queue.SimpleQueue()
    with serve("grpcio")(workers=1) as server, dial(server.port) as channel:
        requests.put(echo_pb2.EchoRequest())
        stream: Any = channel.stream_stream(names.BIDI_STREAM, SEND, REPLY)(iter(requests.get, None), 20)
        assert next(stream).sequence == 1
        with pytest.raises(grpc.RpcError):
            unary(channel, timeout=0.2)
        stub = health_pb2_grpc.HealthStub(channel)
        assert stub.Check(asked(), timeout=10).status == Response.SERVING
        watch = stub.Watch(asked(), timeout=10)
        assert next(watch).status == Response.SERVING
        watch.cancel()
        requests.put(None)
        assert list(stream) == []


def test_servers_of_one_process_have_health_of_their_own(echo: Serve) -> None:
    with echo() as first, dial(first.port) as channel:
        with echo():
            pass
        watch = health_pb2_grpc.HealthStub(channel).Watch(asked(), timeout=10)
        assert next(watch).status == Response.SERVING
        watch.cancel()
