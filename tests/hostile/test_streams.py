"""Frames on streams that are idle, over, reset or too many; GOAWAY and RST_STREAM."""

from __future__ import annotations

import pytest

from tests.hostile.victim import CALL, Victim
from tests.wire import bytes as wire
from whichpod.wire import (
    ClientConnection,
    ErrorCode,
    Failed,
    GoawayReceived,
    LocalProtocolError,
    Reply,
    ServerConnection,
    Stream,
    Terminated,
)
from whichpod.wire.codes import GrpcCode, code_of_error, code_of_reset

only_server = pytest.mark.parametrize("role", ["server"])
only_client = pytest.mark.parametrize("role", ["client"])
REPLY = Reply(tuple(wire.RESPONSE), tuple(wire.TRAILERS))
LAST = wire.END_HEADERS | wire.END_STREAM


def failures(victim: Victim) -> list[tuple[int, bool]]:
    return [(event.stream.id, event.retryable) for event in victim.events if isinstance(event, Failed)]


@only_server
@pytest.mark.parametrize("ids", [(2,), (5, 3), (5, 1), (1, 3, 7, 5)])
def test_case_09_even_or_decreasing_stream_id(role: str, ids: tuple[int, ...]) -> None:
    victim = Victim(role)
    for stream in ids:
        assert not victim.conn.closed
        victim.feed(victim.head(stream, ended=True))
    victim.closed_with(ErrorCode.PROTOCOL_ERROR)


@only_client
@pytest.mark.parametrize("stream", [2, 3, 2**31 - 1])
def test_case_09_server_opens_a_stream(role: str, stream: int) -> None:
    victim = Victim(role)
    victim.stream(begun=False)
    victim.feed(victim.head(stream))
    victim.closed_with(ErrorCode.PROTOCOL_ERROR)


@only_server
def test_case_10_too_many_streams(role: str) -> None:
    victim = Victim(role)
    for _ in range(100):
        victim.stream()
    assert victim.answers() == []
    over = victim.stream()
    resets = [found for found in victim.answers() if found.kind == wire.RST]
    assert [(found.stream, found.number) for found in resets] == [(over, ErrorCode.REFUSED_STREAM)]
    victim.feed(wire.data(over, b"on its way", wire.END_STREAM))
    victim.feed(wire.rst(1))
    victim.alive()


@only_client
def test_case_10_client_keeps_to_the_servers_limit(role: str) -> None:
    victim = Victim(role)
    assert isinstance(victim.conn, ClientConnection)
    victim.feed(wire.settings((3, 2)))
    assert victim.conn.requests(CALL, range(5)) == 2
    assert victim.conn.capacity == 0
    with pytest.raises(LocalProtocolError, match="2 streams open"):
        victim.conn.request(CALL)
    victim.feed(victim.whole(1))
    assert victim.conn.capacity == 1


@pytest.mark.parametrize("frame", [wire.data(9, b"x"), wire.rst(9), wire.window(9, 1), wire.data(9, b"")])
def test_case_11_frame_on_an_idle_stream(victim: Victim, frame: bytes) -> None:
    victim.stream()
    victim.feed(frame)
    victim.closed_with(ErrorCode.PROTOCOL_ERROR)


@pytest.mark.parametrize("frame", [wire.rst(2), wire.window(4, 1), wire.data(2, b"x")])
def test_case_11_frame_on_an_idle_even_stream(victim: Victim, frame: bytes) -> None:
    victim.stream()
    victim.feed(frame)
    victim.closed_with(ErrorCode.PROTOCOL_ERROR)


@only_server
@pytest.mark.parametrize("end", ["headers", "data", "trailers"])
@pytest.mark.parametrize("late", ["data", "headers"])
def test_case_12_after_the_end_of_the_request(role: str, end: str, late: str) -> None:
    victim = Victim(role)
    stream = victim.stream(ended=end == "headers")
    if end == "data":
        victim.feed(wire.data(stream, b"x", wire.END_STREAM))
    elif end == "trailers":
        victim.feed(wire.data(stream, b"x"), wire.headers(stream, [(b"x", b"y")], LAST))
    victim.feed(wire.data(stream, b"x") if late == "data" else wire.headers(stream, [(b"x", b"y")], LAST))
    assert failures(victim) == [(stream, False)]
    victim.reset_with(stream, ErrorCode.STREAM_CLOSED)


@only_client
@pytest.mark.parametrize("late", ["data", "headers"])
def test_case_12_after_the_end_of_the_response(role: str, late: str) -> None:
    victim = Victim(role)
    stream = victim.stream(begun=False)
    victim.feed(victim.whole(stream))
    victim.feed(wire.data(stream, b"x") if late == "data" else wire.headers(stream, wire.TRAILERS, LAST))
    assert [(found.stream, found.number) for found in victim.answers()] == [(stream, ErrorCode.STREAM_CLOSED)]
    victim.alive()


@only_server
def test_case_12_headers_on_a_closed_stream(role: str) -> None:
    victim = Victim(role)
    stream = victim.stream(ended=True)
    assert isinstance(victim.conn, ServerConnection)
    assert isinstance(victim.events[-1], Stream)
    victim.conn.respond(victim.events[-1], REPLY, b"x")
    victim.feed(victim.head(stream))
    victim.closed_with(ErrorCode.STREAM_CLOSED)


def test_case_13_frames_after_our_reset_are_ignored(victim: Victim) -> None:
    stream = victim.stream()
    # WINDOW_UPDATE of 0 draws a reset; the rest was on its way.
    victim.feed(wire.window(stream, 0))
    victim.events.clear()
    victim.answers()
    victim.feed(
        wire.data(stream, b"x" * 100),
        wire.frame(wire.HEADERS, LAST, stream, b"\x40\x03grp\x01v"),
        wire.window(stream, 10),
        wire.rst(stream),
    )
    assert victim.events == []
    assert victim.answers() == []
    victim.alive()


def test_case_13_header_table_moves_on(victim: Victim) -> None:
    stream = victim.stream()
    victim.feed(wire.window(stream, 0))
    victim.feed(wire.frame(wire.HEADERS, LAST, stream, b"\x40\x03grp\x01v"))
    other = victim.next if victim.server else victim.stream(begun=False)
    victim.feed(wire.frame(wire.HEADERS, wire.END_HEADERS, other, wire.literal(victim.fields) + b"\xbe"))
    head = victim.conn._streams[other].head
    assert head is not None
    assert head.fields[-1] == (b"grp", b"v")


def test_case_13_connection_window_moves_on(victim: Victim) -> None:
    stream = victim.stream()
    victim.feed(wire.window(stream, 0))
    victim.answers()
    victim.feed(*[wire.data(stream, bytes(16_384)) for _ in range(33)])
    grants = [(found.stream, found.number) for found in victim.answers()]
    assert grants == [(0, 33 * 16_384)]


def test_case_24_rst_ends_the_stream(victim: Victim) -> None:
    stream = victim.stream()
    if victim.server:
        victim.feed(wire.data(stream, b"x", wire.END_STREAM))
    victim.feed(wire.rst(stream, ErrorCode.CANCEL))
    assert failures(victim) == [(stream, False)]
    assert victim.conn.open_streams == 0
    victim.alive()


@only_client
@pytest.mark.parametrize(
    ("code", "status", "retryable"),
    [
        (ErrorCode.REFUSED_STREAM, GrpcCode.UNAVAILABLE, True),
        (ErrorCode.ENHANCE_YOUR_CALM, GrpcCode.RESOURCE_EXHAUSTED, False),
        (ErrorCode.CANCEL, GrpcCode.CANCELLED, False),
        (ErrorCode.NO_ERROR, GrpcCode.INTERNAL, False),
        (ErrorCode.INTERNAL_ERROR, GrpcCode.INTERNAL, False),
        (ErrorCode.STREAM_CLOSED, GrpcCode.INTERNAL, False),
        (0xBEEF, GrpcCode.INTERNAL, False),
    ],
)
def test_case_24_codes_of_rst(role: str, code: int, status: GrpcCode, retryable: bool) -> None:
    victim = Victim(role)
    stream = victim.stream(begun=False)
    victim.feed(wire.rst(stream, code))
    failed = victim.events[-1]
    assert isinstance(failed, Failed)
    assert failed.retryable is retryable
    assert failed.error.code == code
    assert code_of_error(failed.error) is status is code_of_reset(code)


@only_client
def test_case_24_goaway_tells_what_is_retryable(role: str) -> None:
    victim = Victim(role)
    assert isinstance(victim.conn, ClientConnection)
    ids = [victim.stream(begun=False) for _ in range(4)]
    victim.feed(wire.goaway(3, ErrorCode.NO_ERROR, b"max_age"))
    assert [event for event in victim.events if isinstance(event, GoawayReceived)] == [
        GoawayReceived(3, ErrorCode.NO_ERROR, b"max_age")
    ]
    assert failures(victim) == [(5, True), (7, True)]
    assert victim.conn.spent
    assert victim.conn.capacity == 0
    with pytest.raises(LocalProtocolError, match="spent"):
        victim.conn.request(CALL)
    victim.feed(victim.whole(7), victim.whole(ids[0]), victim.whole(ids[1]))
    assert [event.id for event in victim.events if isinstance(event, Stream)] == [1, 3]
    assert victim.conn.finished
    assert not victim.conn.closed


@only_client
def test_case_24_drain_in_two_steps(role: str) -> None:
    victim = Victim(role)
    assert isinstance(victim.conn, ClientConnection)
    for _ in range(3):
        victim.stream(begun=False)
    victim.feed(wire.goaway(2**31 - 1))
    assert victim.conn.spent
    assert failures(victim) == []
    victim.feed(wire.goaway(1))
    assert failures(victim) == [(3, True), (5, True)]
    victim.feed(victim.whole(1))
    assert victim.conn.finished


@only_client
def test_case_24_goaway_with_an_error_then_eof(role: str) -> None:
    victim = Victim(role)
    victim.stream(begun=False)
    victim.feed(wire.goaway(1, ErrorCode.ENHANCE_YOUR_CALM, b"too_many_pings"))
    victim.events += victim.conn.receive_eof(0)
    assert failures(victim) == [(1, False)]
    assert isinstance(victim.events[-1], Terminated)
    failed = victim.events[-2]
    assert isinstance(failed, Failed)
    assert code_of_error(failed.error) is GrpcCode.UNAVAILABLE


@only_server
def test_case_24_server_drains_in_two_steps(role: str) -> None:
    victim = Victim(role)
    assert isinstance(victim.conn, ServerConnection)
    stream = victim.stream()
    victim.conn.drain(7)
    away, question = victim.answers()
    assert (away.kind, away.payload) == (wire.GOAWAY, b"\x7f\xff\xff\xff" + bytes(4))
    late = victim.stream()
    victim.feed(wire.ping(question.payload, 1))
    assert [found.payload for found in victim.answers()] == [late.to_bytes(4, "big") + bytes(4)]
    ignored = victim.stream()
    victim.feed(wire.data(ignored, b"x", wire.END_STREAM))
    assert victim.answers() == []
    assert not victim.conn.finished
    for open_stream in (stream, late):
        victim.feed(wire.data(open_stream, b"x", wire.END_STREAM))
        ended = victim.events[-1]
        assert isinstance(ended, Stream)
        assert victim.conn.respond(ended, REPLY, b"x")
    assert victim.conn.finished


@only_server
def test_case_24_server_drains_without_an_answer_to_its_ping(role: str) -> None:
    victim = Victim(role)
    assert isinstance(victim.conn, ServerConnection)
    victim.conn.drain(7)
    victim.answers()
    due = victim.conn.deadline
    assert due is not None
    victim.conn.tick(due)
    assert [found.kind for found in victim.answers()] == [wire.GOAWAY]
    assert victim.conn.finished


@only_server
def test_case_24_client_goes_away(role: str) -> None:
    victim = Victim(role)
    stream = victim.stream()
    victim.feed(wire.goaway(0))
    victim.feed(wire.data(stream, b"x", wire.END_STREAM))
    assert isinstance(victim.events[-1], Stream)
    victim.alive()


@only_client
def test_case_25_stream_ids_used_up(role: str) -> None:
    victim = Victim(role, next_id=2**31 - 3)
    assert isinstance(victim.conn, ClientConnection)
    assert victim.conn.requests(CALL, range(5)) == 2
    assert victim.conn.spent
    assert not victim.conn.finished
    with pytest.raises(LocalProtocolError, match="spent"):
        victim.conn.open(CALL.fields)
    victim.feed(victim.whole(2**31 - 3), victim.whole(2**31 - 1))
    assert [event.id for event in victim.events if isinstance(event, Stream)] == [2**31 - 3, 2**31 - 1]
    assert victim.conn.finished


@only_server
def test_case_25_highest_stream_id(role: str) -> None:
    victim = Victim(role)
    victim.feed(victim.head(2**31 - 1), wire.data(2**31 - 1, b"x", wire.END_STREAM))
    ended = victim.events[-1]
    assert isinstance(ended, Stream)
    assert isinstance(victim.conn, ServerConnection)
    assert victim.conn.respond(ended, REPLY, b"y")


@only_client
def test_case_25_eof_fails_every_stream_once(role: str) -> None:
    victim = Victim(role)
    ids = [victim.stream(begun=number > 1) for number in range(4)]
    victim.events += victim.conn.receive_eof(0)
    assert failures(victim) == [(stream, False) for stream in ids]
    assert isinstance(victim.events[-1], Terminated)
    assert victim.conn.receive_eof(0) == []
