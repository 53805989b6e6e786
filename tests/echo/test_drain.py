"""What clients see when a server ends."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from tests.echo.client import REPLY, SEND, dial, unary
from tests.echo.engines import Serve, Server
from tests.echo.frames import connect
from tests.wire import bytes as wire
from whichpod.echo import names
from whichpod.echo.v1 import echo_pb2

SERVING, NOT_SERVING = health_pb2.HealthCheckResponse.SERVING, health_pb2.HealthCheckResponse.NOT_SERVING
WATCH = "/grpc.health.v1.Health/Watch"
LONG_S = 60.0
"""Grace that no test waits for: a drain that takes it doesn't end in time."""


@contextmanager
def draining(server: Server) -> Iterator[None]:
    """The server drains; it must have ended at the block's end."""
    thread = threading.Thread(target=server.drain)
    thread.start()
    try:
        yield
        thread.join(20)
        assert not thread.is_alive()
    finally:
        server.drain(0)
        thread.join()


@pytest.mark.parametrize("service", ["", names.SERVICE])
def test_watches_see_it_and_rpcs_in_flight_finish(service: str, echo: Serve) -> None:
    with echo(grace_s=LONG_S) as server, dial(server.port) as channel:
        stub = health_pb2_grpc.HealthStub(channel)
        watch = stub.Watch(health_pb2.HealthCheckRequest(service=service), timeout=20)
        assert next(watch).status == SERVING
        requests: queue.SimpleQueue[echo_pb2.EchoRequest | None] = queue.SimpleQueue()
        requests.put(echo_pb2.EchoRequest())
        stream: Any = channel.stream_stream(names.BIDI_STREAM, SEND, REPLY)(iter(requests.get, None), 20)
        assert next(stream).sequence == 1
        with draining(server):
            assert [answer.status for answer in watch] == [NOT_SERVING]
            requests.put(echo_pb2.EchoRequest())
            assert next(stream).sequence == 2
            requests.put(None)
            assert list(stream) == []


def test_not_serving_comes_before_goaway_and_answers_after_it(echo: Serve) -> None:
    with echo(grace_s=LONG_S) as server, connect(server.port) as client:
        watch, bidi, seen = client.send(WATCH), client.send(names.BIDI_STREAM, end=False), list[str]()
        drain = None
        answered: set[int] = set()
        for frame in client.frames():
            if frame.kind == wire.DATA and frame.stream == watch:
                seen.append(f"health {frame.payload[-1]}")
            elif frame.kind == wire.GOAWAY:
                if "goaway" not in seen:
                    client.message(bidi, end=True)
                seen.append("goaway")
            elif frame.kind == wire.HEADERS and frame.stream == bidi and frame.flags & wire.END_STREAM:
                seen.append(f"done {client.fields['grpc-status']}")
            if frame.kind == wire.DATA:
                answered.add(frame.stream)
            if drain is None and answered >= {watch, bidi}:
                drain = threading.Thread(target=server.drain)
                drain.start()
        assert drain is not None
        drain.join(20)
        assert not drain.is_alive()
    kept = [s for i, s in enumerate(seen) if s not in seen[:i]]
    assert kept == [f"health {SERVING}", f"health {NOT_SERVING}", "goaway", "done 0"]


def test_no_rpc_fails_under_load(echo: Serve) -> None:
    """Twenty RPCs at a time; each answer brings the next one, until the server says GOAWAY."""
    with echo(grace_s=LONG_S) as server, connect(server.port) as client:
        leaving, drain = False, None
        open_streams = {client.send() for _ in range(20)}
        done = 0
        for frame in client.frames():
            if frame.kind == wire.GOAWAY:
                leaving = True
            elif frame.kind == wire.HEADERS and frame.flags & wire.END_STREAM:
                assert client.fields["grpc-status"] == "0"
                open_streams.remove(frame.stream)
                done += 1
                if not leaving:
                    open_streams.add(client.send())
            assert frame.kind != wire.RST or frame.stream not in open_streams
            if drain is None and done >= 200:
                drain = threading.Thread(target=server.drain)
                drain.start()
        assert drain is not None
        drain.join(20)
        assert not drain.is_alive()
        assert not open_streams


def test_what_outlasts_the_grace_is_cut(echo: Serve) -> None:
    requests: queue.SimpleQueue[echo_pb2.EchoRequest | None] = queue.SimpleQueue()
    with echo(grace_s=0.2) as server, dial(server.port) as channel:
        requests.put(echo_pb2.EchoRequest())
        stream: Any = channel.stream_stream(names.BIDI_STREAM, SEND, REPLY)(iter(requests.get, None), 20)
        assert next(stream).sequence == 1
        with draining(server), pytest.raises(grpc.RpcError):
            list(stream)
        requests.put(None)


def test_draining_twice_and_before_the_start(echo: Serve) -> None:
    with echo() as server:
        server.drain()
        server.drain()
        server.wait()
    with echo() as server, dial(server.port) as channel:
        unary(channel)
    with pytest.raises(grpc.RpcError), dial(server.port) as channel:
        unary(channel)
