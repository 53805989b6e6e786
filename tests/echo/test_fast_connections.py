"""Connections of the fast engine: what one client does is no other's loss, nor the server's memory."""

from __future__ import annotations

import gzip
import threading
from collections.abc import Callable
from contextlib import ExitStack

import pytest

from tests.echo.engines import fast
from tests.echo.frames import Client, body, connect, dial
from tests.wire import bytes as wire
from whichpod.echo import names
from whichpod.echo.fast import calls, conn
from whichpod.echo.fast.hub import Hub
from whichpod.echo.fast.server import FastServer
from whichpod.echo.faults import Delay, Failure
from whichpod.echo.v1 import echo_pb2
from whichpod.wire import ErrorCode
from whichpod.wire.codes import GrpcCode
from whichpod.wire.messages import frame

WATCH = "/grpc.health.v1.Health/Watch"
WIDE = (4, 2**31 - 1)
"""INITIAL_WINDOW_SIZE: answers need not wait."""
PAYLOAD = b"\x0a\x80\x80\x40" + bytes(1 << 20)
"""An EchoRequest of 1 MiB."""


def hub_of(server: FastServer) -> Hub:
    assert server._hub is not None
    return server._hub


def settled(client: Client, holds: Callable[[], bool]) -> None:
    """Waits until something is so, by round trips through the server's loop."""
    for _ in range(10_000):
        client.sync()
        if holds():
            return
    raise AssertionError("it never was so")


def alone(server: FastServer) -> None:
    """Waits until all connections so far are forgotten."""
    with connect(server.port) as client:
        settled(client, lambda: len(hub_of(server).conns) == 1)


def test_answers_that_wait_for_a_slow_reader_survive_the_drain() -> None:
    """The client acknowledges GOAWAY, and reads only then."""
    with fast(grace_s=60) as server, connect(server.port, WIDE) as slow:
        slow.sync()
        (served,) = hub_of(server).conns
        with connect(server.port) as other:
            bidi = other.send(names.BIDI_STREAM, end=False)
            slow.raw(wire.window(0, 2**30))
            streams: list[int] = []
            while not served.core.outbound:
                # The kernel is full once answers wait in the core.
                streams.append(slow.send(names.ECHO, PAYLOAD))
                settled(other, lambda: served.answers.calls == len(streams))
            drain = threading.Thread(target=server.drain)
            drain.start()
            other.until(lambda found: found.kind == wire.GOAWAY)
            slow.raw(wire.ping(b"drained?", 1))
            settled(other, lambda: served.core.finished)
            found = slow.answers(*streams)
            assert {(answer.status, len(answer.messages[0]) > 1 << 20) for answer in found} == {(0, True)}
            slow.sock.close()
            other.message(bidi, end=True)
            assert other.answers(bidi)[0].status == 0
        drain.join(20)
        assert not drain.is_alive()


def test_a_client_that_never_reads_does_not_hold_up_the_end() -> None:
    with fast(grace_s=0.1) as server, connect(server.port, WIDE) as client:
        client.sync()
        client.raw(wire.window(0, 2**30))
        for _ in range(8):
            client.send(names.ECHO, PAYLOAD)
        server.drain()


def test_a_watch_that_comes_during_the_drain_ends() -> None:
    """After the first GOAWAY, which asks for no more streams but forbids none."""
    with fast(grace_s=60) as server, connect(server.port) as client:
        client.sync()
        drain = threading.Thread(target=server.drain)
        drain.start()
        frames = client.frames()
        while next(frames).kind != wire.GOAWAY:
            pass
        # The server's PING is not answered before the watch is asked for.
        stream = client.send(WATCH)
        (answer,) = client.answers(stream)
        assert (answer.status, answer.messages) == (0, [b"\x08\x02"])
        drain.join(20)
        assert not drain.is_alive()


@pytest.mark.parametrize("path", ["/no.Such/Method", names.CLIENT_STREAM])
def test_bodies_of_requests_that_fail_leave_the_window_open(path: str) -> None:
    """The connection's is 4 MiB; its updates must go on."""
    with fast(failure=Failure(1.0)) as server, connect(server.port) as client:
        for _ in range(300):
            # At once, so that the server has all of it when it refuses it.
            stream, head = client.opening(path)
            client.raw(head, body(stream, frame(bytes(30_000)), end=True))
            assert client.answers(stream)[0].status in (GrpcCode.UNIMPLEMENTED, GrpcCode.UNAVAILABLE)


def test_bodies_that_come_during_the_delay_of_a_failure_leave_the_window_open() -> None:
    with fast(failure=Failure(1.0), delay=Delay("fixed", 0.002)) as server, connect(server.port) as client:
        for _ in range(50):
            assert client.call(names.BIDI_STREAM, bytes(200_000)).status == GrpcCode.UNAVAILABLE


def test_streams_that_end_leave_no_timer_behind() -> None:
    with fast() as server, connect(server.port) as client:
        timers = hub_of(server).loop._timers
        for _ in range(100):
            streams = [client.send(names.BIDI_STREAM, b"", (b"grpc-timeout", b"9H")) for _ in range(100)]
            client.raw(wire.window(0, 1 << 20))
            assert {answer.status for answer in client.answers(*streams)} == {0}
        assert len(timers) < 5_000


def test_a_long_run_of_echoes_is_numbered_in_turn() -> None:
    """Past the numbers whose varints grow, and with other requests between them."""
    with fast() as server, connect(server.port) as client:
        call = 0
        for turn in range(45):
            payload = b"\x0a\x01" + bytes((turn // 3,))
            head = wire.literal(client.request())
            streams = range(client.next, client.next + 800, 2)
            client.next += 800
            client.raw(
                wire.window(0, 1 << 16),
                *(wire.frame(wire.HEADERS, 4, i, head) + wire.data(i, frame(payload), 1) for i in streams),
            )
            for answer in client.answers(*streams):
                call += 1
                reply = echo_pb2.EchoReply.FromString(answer.messages[0])
                assert (reply.call, reply.payload, reply.received_bytes) == (call, payload[2:], 1)
            assert client.call(names.CLIENT_STREAM).status == 0
            call += 1
        assert call > 1 << 14


def test_connections_that_end_leave_nothing_behind() -> None:
    with fast(max_connection_age_s=3_600) as server:
        for _ in range(50):
            with connect(server.port) as client:
                client.send(WATCH)
                client.send(names.BIDI_STREAM, end=False)
                client.sync()
        alone(server)
        assert all(not pod.watches for pod in hub_of(server)._pods)


def test_messages_that_never_end_are_bounded() -> None:
    with fast(max_message_bytes=1 << 20) as server, connect(server.port) as client:
        client.sync()
        part = frame(bytes(1 << 20))[: 1 << 19]
        for _ in range(200):
            stream, head = client.opening(names.CLIENT_STREAM)
            client.raw(head, body(stream, part))
            client.sync()
        # 64 MiB of them are kept; the streams that brought more have ended.
        (only,) = (conn for conn in hub_of(server).conns)
        assert only.partial <= 64 << 20
        assert only.core.open_streams == 128


def test_inflated_answers_that_nobody_reads_are_bounded() -> None:
    """A frame of 4 kB becomes an answer of 4 MiB."""
    squeezed = gzip.compress(b"\x0a\xfc\xff\xff\x01" + bytes((4 << 20) - 4), 9)
    message = b"\1" + len(squeezed).to_bytes(4, "big") + squeezed
    with fast() as server, connect(server.port, (4, 0)) as client:
        client.sync()
        for _ in range(20):
            stream, head = client.opening(names.BIDI_STREAM, (b"grpc-encoding", b"gzip"))
            client.raw(head, body(stream, message))
            client.sync()
        (only,) = (conn for conn in hub_of(server).conns)
        assert sum(only.core.backlog(stream) for stream in only.core.streams) <= conn.MOST_OWED
        assert only.core.open_streams == 15


BAD: dict[str, Callable[[Client], object]] = {
    "rapid resets": lambda c: c.raw(
        b"".join(head + wire.rst(stream) for stream, head in (c.opening(names.ECHO) for _ in range(1_500)))
    ),
    "pings": lambda c: c.raw(wire.ping() * 2_000),
    "settings": lambda c: c.raw(wire.settings((3, 1)) * 2_000),
    "noise": lambda c: c.raw(wire.PREFACE + bytes(5_000)),
    "half a frame": lambda c: c.raw(wire.headers(1, c.request())[:-1]),
    "half a TLS handshake": lambda c: c.raw(b"\x16\x03\x01\x02\x00\x01"),
    "unread answers": lambda c: [c.send(names.ECHO, PAYLOAD) for _ in range(3)],
}  # fmt: skip


@pytest.mark.parametrize("what", BAD)
def test_what_a_bad_client_does_hurts_no_other(what: str) -> None:
    with fast() as server, connect(server.port) as good, ExitStack() as stack:
        first = good.call()
        for _ in range(3):
            bad: Client = stack.enter_context(
                dial(server.port) if "half a TLS" in what else connect(server.port)
            )
            BAD[what](bad)
        for _ in range(20):
            assert good.call().fields["x-whichpod-server"] == first.fields["x-whichpod-server"]
        with connect(server.port) as another:
            assert another.call().status == 0


def test_a_client_that_hangs_up_at_once_is_forgotten() -> None:
    with fast() as server:
        for start in (b"", wire.PREFACE, wire.PREFACE + wire.settings() + wire.ping()):
            with dial(server.port) as client:
                client.raw(start)
        alone(server)


def test_a_bug_ends_its_connection_and_no_other(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def broken(_: object) -> None:
        raise RuntimeError("a bug")

    with fast() as server, connect(server.port) as good, connect(server.port) as unlucky:
        assert good.call().status == 0
        monkeypatch.setattr(calls.ServerStream, "run", broken)
        unlucky.send(names.SERVER_STREAM)
        last = list(unlucky.frames())[-1]
        assert (last.kind, last.payload[7]) == (wire.GOAWAY, ErrorCode.INTERNAL_ERROR)
        assert good.call().status == 0
    assert "RuntimeError: a bug" in capfd.readouterr().err


def test_a_bug_in_a_delayed_rpc_loses_no_other(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    run = calls.Unary.run

    def broken(call: calls.Unary) -> None:
        if call.number == 1:
            raise RuntimeError("a bug")
        run(call)

    monkeypatch.setattr(calls.Unary, "run", broken)
    with fast(delay=Delay("fixed", 0.05)) as server, connect(server.port) as client:
        client.sync()
        # In one read, so that they are due at the same moment.
        opened = [client.opening(names.ECHO) for _ in range(3)]
        client.raw(*(head + wire.data(stream, frame(b""), 1) for stream, head in opened))
        assert [answer.status for answer in client.answers(opened[1][0], opened[2][0])] == [0, 0]
    assert "RuntimeError: a bug" in capfd.readouterr().err
