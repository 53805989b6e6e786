"""How the backend of an answer is told, against real servers."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent import futures
from contextlib import contextmanager

import grpc
import pytest

from tests.load.runs import by_pod, run
from tests.servers import echo, echoes
from whichpod.echo.names import ECHO
from whichpod.load.call import Call, Identify, echo_call
from whichpod.load.telling import echo_backend
from whichpod.model.target import Backend


@contextmanager
def naming(name: str, *, broken: bool = False) -> Iterator[int]:
    """A server that says its name in a header and in a trailer; `broken` answers what is no message."""

    def answer(_request: bytes, context: grpc.ServicerContext) -> bytes:
        context.send_initial_metadata((("x-pod", name),))
        context.set_trailing_metadata((("x-last", name),))
        return b"\xff" if broken else b"\x0a\x03abc"

    handler = grpc.method_handlers_generic_handler("t.T", {"M": grpc.unary_unary_rpc_method_handler(answer)})
    server = grpc.server(futures.ThreadPoolExecutor(4), handlers=[handler])
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        yield port
    finally:
        server.stop(0).wait()


@pytest.mark.parametrize("identify", [Identify("header", "x-pod"), Identify("trailer", "x-last")])
def test_by_metadata(identify: Identify) -> None:
    with naming("one") as one, naming("two") as two:
        report = run(one, two, call=Call("/t.T/M", b"", identify), requests=30, concurrency=3)
    assert by_pod(report) == {"one": 15, "two": 15}
    assert {b.backend.learnt for b in report.tally.backends.values()} == {"header"}


def test_by_a_field() -> None:
    with echoes(2) as servers:
        call = Call(ECHO, b"", Identify("field", "server.pod", (1, 2)))
        report = run(*(s.port for s in servers), call=call, requests=20, concurrency=3)
    assert {b.backend.id: b.done for b in report.tally.backends.values()} == {"echo-0": 10, "echo-1": 10}


def test_by_whichpods_own_trailers() -> None:
    with echoes(2) as servers:
        ports = [s.port for s in servers]
        report = run(*ports, call=Call(ECHO, b"", Identify("servers")), requests=20, concurrency=3)
    assert by_pod(report) == {"echo-0": 10, "echo-1": 10}


def test_by_the_peer() -> None:
    with naming("one") as port:
        report = run(port, call=Call("/t.T/M", b"", Identify("peer")), requests=20)
    backend = report.tally.backends[f"127.0.0.1:{port}"].backend
    assert (backend.ip, backend.learnt) == ("127.0.0.1", "peer")


@pytest.mark.parametrize("identify", [Identify("header", "x-none"), Identify("field", "x", (9,)), Identify()])
def test_servers_that_don_t_tell(identify: Identify) -> None:
    with naming("one") as port:
        report = run(port, call=Call("/t.T/M", b"", identify), requests=20, concurrency=4)
    assert (report.tally.done, report.tally.unattributed, report.tally.backends) == (20, 20, {})


@pytest.mark.parametrize("identify", [Identify("field", "x", (1,)), Identify("echo")])
def test_an_answer_that_is_no_message_names_nobody(identify: Identify) -> None:
    with naming("one", broken=True) as port:
        report = run(port, call=Call("/t.T/M", b"", identify), requests=10, concurrency=2)
    assert report.tally.unattributed == 10


def test_an_unknown_method() -> None:
    with naming("one") as port:
        report = run(port, call=Call("/t.T/None"), requests=10)
    assert report.tally.statuses == {"UNIMPLEMENTED": 10}
    assert report.end_reason == "target failed"


def test_answers_that_differ_in_size_are_the_same_backends() -> None:
    # The how-manieth call on the connection is in the answer: its size grows with it.
    with echo() as server:
        report = run(server.port, requests=300, concurrency=4)
        payload = run(server.port, call=echo_call(b"x" * 70_000), requests=10)
    assert by_pod(report) == {"echo-0": 300}
    assert by_pod(payload) == {"echo-0": 10}


def test_all_that_the_echo_service_tells() -> None:
    from whichpod.echo.v1 import echo_pb2

    server = echo_pb2.Server(id="i", pod="p", pod_ip="1.2.3.4", namespace="n", node="o", zone="z")
    message = echo_pb2.EchoReply(server=server, payload=b"x").SerializeToString()
    assert echo_backend(message) == Backend("i", "p", "1.2.3.4", "n", "o", "z")
    assert echo_backend(b"") is None
    assert echo_backend(echo_pb2.EchoReply(payload=b"x").SerializeToString()) is None
    assert echo_backend(b"\x0a\x03\x0a\x01\xff") is None
