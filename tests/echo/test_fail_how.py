"""What failures look like on the wire, and changes of faults while a server runs."""

from __future__ import annotations

import pytest

from tests.echo.client import dial, unary
from tests.echo.engines import Serve, fast
from tests.echo.frames import Client, connect
from tests.wire import bytes as wire
from whichpod.echo import names
from whichpod.echo.faults import HOWS, Delay, Failure, Faults
from whichpod.echo.v1 import echo_pb2
from whichpod.wire.codes import GrpcCode

STREAMS = (names.ECHO, names.SERVER_STREAM, names.CLIENT_STREAM, names.BIDI_STREAM)
THREE = echo_pb2.ServerStreamRequest(messages=3).SerializeToString()
FAILING = Faults(failure=Failure(1.0, "ABORTED"))


def seen(client: Client, path: str) -> list[tuple[str, bool]]:
    """The frames that answer an RPC, and which of them ends it."""
    stream = client.send(path, THREE if path == names.SERVER_STREAM else b"")
    kinds = {wire.HEADERS: "HEADERS", wire.DATA: "DATA", wire.RST: "RST"}
    found = client.until(lambda frame: frame.stream == stream and bool(frame.flags & wire.END_STREAM))
    return [(kinds[f.kind], bool(f.flags & wire.END_STREAM)) for f in found if f.stream == stream]


@pytest.mark.parametrize("path", STREAMS)
@pytest.mark.parametrize("how", HOWS)
def test_what_comes_before_the_status(how: str, path: str, echo: Serve) -> None:
    with echo(failure=Failure(1.0, "ABORTED", how)) as server, connect(server.port) as client:
        for _ in range(3):
            before = {
                "trailers-only": [],
                "after-headers": [("HEADERS", False)],
                "after-message": [("HEADERS", False), ("DATA", False)],
            }[how]
            assert seen(client, path) == [*before, ("HEADERS", True)]
            assert client.fields["grpc-status"] == str(GrpcCode.ABORTED)
            assert client.fields["grpc-message"] == "injected failure"
            assert client.fields["x-whichpod-server"] == server.identity.server_id


@pytest.mark.parametrize("path", STREAMS)
def test_without_failures_all_answers_come(path: str, echo: Serve) -> None:
    with echo() as server, connect(server.port) as client:
        assert client.call(path, THREE if path == names.SERVER_STREAM else b"").status == 0


def test_the_first_answer_of_many_messages_is_the_last(echo: Serve) -> None:
    failure = Failure(1.0, "ABORTED", "after-message")
    with echo(failure=failure) as server, connect(server.port) as client:
        stream = client.send(names.BIDI_STREAM, end=False)
        for _ in range(5):
            client.message(stream)
        client.message(stream, end=True)
        answer = client.answers(stream)[0]
        assert (len(answer.messages), answer.status) == (1, GrpcCode.ABORTED)


def test_a_client_stream_that_fails_after_its_answer_counts_all(echo: Serve) -> None:
    failure = Failure(1.0, "ABORTED", "after-message")
    with echo(failure=failure) as server, connect(server.port) as client:
        stream = client.send(names.CLIENT_STREAM, end=False)
        client.message(stream)
        client.message(stream, end=True)
        answer = client.answers(stream)[0]
        assert echo_pb2.EchoReply.FromString(answer.messages[0]).received == 3
        assert answer.status == GrpcCode.ABORTED


def test_other_faults_hold_for_rpcs_that_begin_after_them(echo: Serve) -> None:
    with echo() as server, connect(server.port) as client:
        # Three times the same: by then the fast engine has a short way for it.
        assert [client.call().status for _ in range(3)] == [0, 0, 0]
        waiting = client.send(names.BIDI_STREAM, end=False)
        client.until(lambda frame: frame.stream == waiting and frame.kind == wire.DATA)
        assert server.inject(lambda _: FAILING) == 1
        assert server.inject(lambda _: FAILING) == 0
        assert [client.call().status for _ in range(3)] == [GrpcCode.ABORTED] * 3
        client.message(waiting, end=True)
        assert client.answers(waiting)[0].status == 0
        assert server.inject(lambda _: Faults()) == 1
        assert [client.call().status for _ in range(3)] == [0, 0, 0]


def test_a_delay_that_is_lifted_still_holds_for_those_that_wait() -> None:
    with fast(delay=Delay("fixed", 3600.0)) as server, connect(server.port) as client:
        waiting = client.send()
        client.sync()
        server.inject(lambda _: Faults())
        assert client.call().status == 0
        assert waiting not in {frame.stream for frame in client.sync()}


def test_faults_of_one_pod_of_many() -> None:
    with fast(pods=3, pod="echo") as server:
        assert server.inject(lambda pod: FAILING if pod == "echo-1" else Faults()) == 1
        for number, status in enumerate((0, GrpcCode.ABORTED, 0)):
            with connect(server.pods[number].port) as client:
                assert client.call().status == status


def test_a_server_that_has_ended_takes_no_faults(echo: Serve) -> None:
    with echo() as server, dial(server.port) as channel:
        unary(channel)
        server.drain(0)
        server.inject(lambda _: FAILING)
