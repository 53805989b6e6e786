"""HTTP/2 as RFC 9113 and RFC 7541 have it, of the fast server over a socket."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.echo.cases import CLOSED, HALF_CLOSED, OPEN, PROTOCOL, Case, cases, echo, head
from tests.echo.engines import fast
from tests.echo.frames import Client, connect, dial
from tests.wire import bytes as wire
from tests.wire.bytes import Frame
from whichpod.echo import names
from whichpod.echo.fast.server import FastServer
from whichpod.wire import ErrorCode
from whichpod.wire.messages import frame

ALL = list(cases())


@pytest.fixture(scope="module")
def server() -> Iterator[FastServer]:
    with fast() as running:
        yield running


@pytest.fixture
def client(server: FastServer) -> Iterator[Client]:
    """With a stream that is open, one that is half-closed and one that is closed."""
    with connect(server.port) as made:
        assert made.send(names.BIDI_STREAM, end=False) == OPEN
        assert made.send("/grpc.health.v1.Health/Watch") == HALF_CLOSED
        assert made.send() == CLOSED
        assert made.answers(CLOSED)[0].status == 0
        made.sync()
        yield made


def goaway_of(frames: list[Frame]) -> int:
    """GOAWAY's code; it is the last frame."""
    assert frames
    assert frames[-1].kind == wire.GOAWAY
    return int.from_bytes(frames[-1].payload[4:8], "big")


def resets(frames: list[Frame]) -> list[tuple[int, int]]:
    return [(found.stream, found.number) for found in frames if found.kind == wire.RST]


@pytest.mark.parametrize("case", ALL, ids=[f"{case.section} {case.what}" for case in ALL])
def test_conformance(client: Client, case: Case) -> None:
    client.raw(case.sent)
    if case.goaway is not None:
        assert goaway_of(list(client.frames())) == case.goaway
        return
    if case.answers:
        (answer,) = client.answers(case.on)
        assert (answer.status, len(answer.messages)) == (0, 1)
    else:
        wanted = [] if case.reset is None else [(case.on, case.reset)]
        assert resets(client.sync()) == wanted
    if case.on < 2**31 - 1:
        alive(client)


def alive(client: Client) -> None:
    """Another stream is answered, unless all that were offered are open."""
    client.next = 9_999
    client.raw(wire.settings((4, 65_535)))
    answer = client.call()
    refused = (ErrorCode.REFUSED_STREAM, None)
    assert (answer.reset, answer.fields.get("grpc-status")) in ((None, "0"), refused)


@pytest.mark.parametrize(
    "start",
    [
        b"GET / HTTP/1.1\r\nhost: x\r\n\r\n", wire.PREFACE[:-1] + b"X", wire.PREFACE + wire.ping(),
        wire.PREFACE + wire.SETTINGS_ACK, wire.PREFACE + head(stream=1), wire.settings(),
    ],
    ids=["HTTP/1.1", "last octet", "PING", "ACK", "HEADERS", "no preface"],
)  # fmt: skip
def test_3_4_a_bad_start_ends_the_connection(server: FastServer, start: bytes) -> None:
    with dial(server.port) as client:
        client.raw(start)
        assert goaway_of(list(client.frames())) == PROTOCOL


def test_3_4_the_server_begins_with_settings_and_the_client_need_not_wait(server: FastServer) -> None:
    with connect(server.port) as client:
        client.raw(echo(1))
        frames = client.until(lambda found: found.kind == wire.HEADERS)
        assert (frames[0].kind, frames[0].flags, frames[0].stream) == (wire.SETTINGS, 0, 0)
        assert (wire.SETTINGS, 1) in [(found.kind, found.flags) for found in frames]


def test_3_4_a_start_that_comes_octet_by_octet(server: FastServer) -> None:
    with dial(server.port) as client:
        for octet in wire.PREFACE + wire.settings((3, 7)) + wire.SETTINGS_ACK + echo(1):
            client.raw(bytes((octet,)))
        assert client.answers(1)[0].status == 0


def test_5_4_1_goaway_names_the_last_stream_and_the_connection_is_closed(client: Client) -> None:
    client.raw(echo(7), wire.ping(b"short"))
    frames = list(client.frames())
    assert goaway_of(frames) == ErrorCode.FRAME_SIZE_ERROR
    assert int.from_bytes(frames[-1].payload[:4], "big") == 7
    assert client.sock.recv(1) == b""


def test_5_4_2_a_stream_that_was_reset_hears_nothing_more(client: Client) -> None:
    client.raw(wire.window(OPEN, 0))
    assert resets(client.sync()) == [(OPEN, PROTOCOL)]
    client.raw(wire.data(OPEN, frame(b"late")), wire.window(OPEN, 5), wire.rst(OPEN))
    assert not [found for found in client.sync() if found.stream == OPEN]


def test_6_5_3_settings_are_acknowledged_in_their_order(client: Client) -> None:
    client.raw(wire.settings((4, 5)), wire.ping(b"between!"), wire.settings())
    kinds = [(found.kind, found.flags) for found in client.sync()]
    assert kinds == [(wire.SETTINGS, 1), (wire.PING, 1), (wire.SETTINGS, 1)]


def test_6_5_3_the_last_of_two_values_holds(server: FastServer) -> None:
    with connect(server.port, (4, 0), (4, 1)) as client:
        client.raw(echo(1))
        frames = client.until(lambda found: found.kind == wire.DATA)
        assert len(frames[-1].payload) == 1


def test_6_7_a_ping_comes_back_as_it_was(client: Client) -> None:
    client.raw(wire.ping(b"\0\1\2\3\xff\xfe\xfd\xfc"))
    assert wire.Frame(wire.PING, 1, 0, b"\0\1\2\3\xff\xfe\xfd\xfc") in client.sync()


def sizes(frames: list[Frame], stream: int) -> list[int]:
    return [len(found.payload) for found in frames if (found.kind, found.stream) == (wire.DATA, stream)]


def test_6_9_1_bodies_keep_to_the_streams_window(server: FastServer) -> None:
    with connect(server.port, (4, 0)) as client:
        stream = client.send()
        assert sizes(client.sync(), stream) == []
        for size in (1, 7):
            client.raw(wire.window(stream, size))
            assert sizes(client.sync(), stream) == [size]
        client.raw(wire.window(stream, 65_535))
        assert client.until(lambda found: found.kind == wire.HEADERS)[-1].flags & wire.END_STREAM


def test_6_9_1_bodies_keep_to_the_connections_window(server: FastServer) -> None:
    with connect(server.port, (4, 2**31 - 1)) as client:
        stream = client.send(names.ECHO, b"\x0a\x80\xa0\x06" + bytes(102_400))
        client.until(lambda found: found.kind == wire.DATA)
        client.raw(wire.window(0, 65_535))
        (answer,) = client.answers(stream)
        assert answer.reset is None


def test_6_9_2_a_smaller_setting_leaves_the_window_below_zero(server: FastServer) -> None:
    with connect(server.port, (4, 60)) as client:
        stream = client.send()
        assert sizes(client.sync(), stream) == [60]
        client.raw(wire.settings((4, 10)), wire.window(stream, 50))
        assert sizes(client.sync(), stream) == []
        client.raw(wire.window(stream, 1))
        assert sizes(client.sync(), stream) == [1]


def test_6_9_1_padding_counts(client: Client) -> None:
    """All of it, the length's octet too: else the connection's window would close for good."""
    stream = client.send(names.CLIENT_STREAM, end=False)
    padding = wire.frame(wire.DATA, wire.PADDED, stream, b"\xfe" + bytes(255))
    opened = 0
    for _ in range(100):
        client.raw(padding * 500)
        found = client.sync()
        assert resets(found) == []
        opened += sum(got.number for got in found if (got.kind, got.stream) == (wire.WINDOW, 0))
    assert opened >= 100 * 500 * 256 - 4 * 2**20


@pytest.mark.parametrize(
    ("fields", "status"),
    [([(b":method", b"GET")], "405"), ([(b":method", b"OPTIONS"), (b":path", b"*")], "405"),
     ([(b"content-type", b"text/html")], "415")],
)  # fmt: skip
def test_8_3_1_what_is_no_grpc_call_gets_an_http_status(
    client: Client, fields: list[tuple[bytes, bytes]], status: str
) -> None:
    wanted = [(name, dict(fields).get(name, value)) for name, value in client.request()]
    client.raw(wire.headers(7, wanted, wire.END_HEADERS | wire.END_STREAM))
    assert client.answers(7)[0].fields[":status"] == status
