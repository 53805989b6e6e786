"""Frames that are wrong in themselves."""

from __future__ import annotations

import pytest

from tests.hostile.victim import Victim
from tests.wire import bytes as wire
from whichpod.wire import ErrorCode, Limits, Terminated

only_server = pytest.mark.parametrize("role", ["server"])
only_client = pytest.mark.parametrize("role", ["client"])


@only_server
@pytest.mark.parametrize(
    "start", [b"GET / HTTP/1.1\r\n\r\n", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\t", b"X", b"\x16\x03\x01"]
)
def test_case_01_bad_preface(role: str, start: bytes) -> None:
    victim = Victim(role, greeted=False)
    victim.feed(start)
    victim.closed_with(ErrorCode.PROTOCOL_ERROR)


@only_client
def test_case_01_answer_in_http1(role: str) -> None:
    victim = Victim(role, greeted=False)
    victim.feed(b"HTTP/1.1 400 Bad Request\r\n")
    victim.closed_with(ErrorCode.PROTOCOL_ERROR)
    assert victim.conn.error is not None
    assert "HTTP/1" in victim.conn.error.message


@pytest.mark.parametrize(
    "first", [wire.ping(), wire.SETTINGS_ACK, wire.frame(wire.SETTINGS, 0, 1), wire.goaway(0)]
)
def test_case_01_first_frame_not_settings(role: str, first: bytes) -> None:
    victim = Victim(role, greeted=False)
    victim.feed(wire.PREFACE if victim.server else b"", first)
    victim.closed_with(ErrorCode.PROTOCOL_ERROR)


def test_case_02_unknown_things_are_ignored(victim: Victim) -> None:
    stream = victim.stream()
    victim.feed(
        wire.frame(0x77, 0xFF, 0, b"what"),
        wire.frame(0x77, 0xFF, stream, b"what"),
        wire.frame(0x77, 0, 999, b"idle too"),
        wire.settings((0x99, 7), (0xFFFF, 2**32 - 1)),
        wire.frame(wire.PING, 0xFE, 0, b"flagflag"),
        wire.frame(wire.WINDOW, 0, 0, b"\x80\0\0\1"),
        wire.frame(wire.WINDOW, 0xFF, stream, b"\x80\0\0\1"),
        wire.frame(wire.DATA, 0xF6, stream | 1 << 31, b"reserved bit"),
    )
    assert not [found for found in victim.answers() if found.kind in (wire.RST, wire.GOAWAY)]
    victim.feed(wire.rst(stream, 0xDEADBEEF))
    victim.alive()


def test_case_02_unknown_frame_inside_a_header_block(victim: Victim) -> None:
    stream = victim.stream(begun=False) if not victim.server else 1
    victim.feed(wire.headers(stream, victim.fields, 0), wire.frame(0x77, 0, stream))
    victim.closed_with(ErrorCode.PROTOCOL_ERROR)


TOO_LARGE = bytes(16_385)


@pytest.mark.parametrize(
    "kind", [wire.HEADERS, wire.SETTINGS, wire.PING, wire.GOAWAY, wire.RST, wire.CONTINUATION]
)
def test_case_03_oversized_frame_of_the_connection(victim: Victim, kind: int) -> None:
    stream = victim.stream()
    own = kind in (wire.HEADERS, wire.RST, wire.CONTINUATION)
    victim.feed(wire.frame(kind, wire.END_HEADERS, stream if own else 0, TOO_LARGE))
    victim.closed_with(ErrorCode.FRAME_SIZE_ERROR)


def test_case_03_oversized_frame_on_stream_0(victim: Victim) -> None:
    victim.feed(wire.frame(0x77, 0, 0, TOO_LARGE))
    victim.closed_with(ErrorCode.FRAME_SIZE_ERROR)


@pytest.mark.parametrize("kind", [wire.DATA, wire.PRIORITY, 0x77])
@pytest.mark.parametrize("size", [16_385, 100_000])
def test_case_03_oversized_frame_of_a_stream(victim: Victim, kind: int, size: int) -> None:
    stream = victim.stream()
    octets = wire.frame(kind, 0, stream, bytes(size))
    for at in range(0, len(octets), 7_000):
        victim.feed(octets[at : at + 7_000])
    victim.reset_with(stream, ErrorCode.FRAME_SIZE_ERROR)


def test_case_03_oversized_frame_is_not_kept(victim: Victim) -> None:
    stream = victim.stream()
    victim.feed(wire.frame(0x77, 0, stream, bytes(16_777_215))[: 9 + 5_000_000])
    assert len(victim.conn._rest) == 0
    assert wire.RST in [found.kind for found in victim.answers()]


def test_case_03_oversized_data_beyond_the_window(victim: Victim) -> None:
    stream = victim.stream()
    victim.feed(wire.frame(wire.DATA, 0, stream, bytes(2**21))[:100])
    victim.closed_with(ErrorCode.FLOW_CONTROL_ERROR)


@pytest.mark.parametrize("between", [wire.ping(), wire.data(1, b"x"), wire.settings(), wire.window(0, 1)])
def test_case_06_other_frame_inside_a_header_block(victim: Victim, between: bytes) -> None:
    stream = victim.stream(begun=False) if not victim.server else 1
    victim.feed(wire.headers(stream, victim.fields, 0), between)
    victim.closed_with(ErrorCode.PROTOCOL_ERROR)


def test_case_06_continuation_of_another_stream(victim: Victim) -> None:
    stream = victim.stream(begun=False) if not victim.server else 1
    victim.feed(wire.headers(stream, victim.fields, 0), wire.frame(wire.CONTINUATION, 4, stream + 2))
    victim.closed_with(ErrorCode.PROTOCOL_ERROR)


def test_case_07_continuation_flood(victim: Victim) -> None:
    stream = victim.stream(begun=False) if not victim.server else 1
    victim.feed(wire.headers(stream, victim.fields, 0))
    for _ in range(8):
        victim.feed(wire.frame(wire.CONTINUATION, 0, stream))
    assert not victim.conn.closed
    victim.feed(wire.frame(wire.CONTINUATION, 0, stream))
    victim.closed_with(ErrorCode.ENHANCE_YOUR_CALM)


def test_case_07_eight_continuations_are_fine(victim: Victim) -> None:
    stream = victim.stream(begun=False) if not victim.server else 1
    victim.next = 3
    block = wire.literal(victim.fields)
    victim.feed(wire.frame(wire.HEADERS, 0, stream, block[:1]))
    for at in range(1, 8):
        victim.feed(wire.frame(wire.CONTINUATION, 0, stream, block[at : at + 1]))
    victim.feed(wire.frame(wire.CONTINUATION, wire.END_HEADERS, stream, block[8:]))
    victim.alive()


@pytest.mark.parametrize("flags", [0, wire.END_HEADERS])
def test_case_08_continuation_without_headers(victim: Victim, flags: int) -> None:
    stream = victim.stream()
    victim.feed(wire.frame(wire.CONTINUATION, flags, stream, wire.literal(wire.TRAILERS)))
    victim.closed_with(ErrorCode.PROTOCOL_ERROR)


@pytest.mark.parametrize(
    "bad",
    [
        wire.data(0, b"x"), wire.headers(0, wire.REQUEST), wire.rst(0),
        wire.frame(wire.PRIORITY, 0, 0, bytes(5)),
        wire.frame(wire.SETTINGS, 0, 1), wire.frame(wire.PING, 0, 1, bytes(8)),
        wire.frame(wire.GOAWAY, 0, 1, bytes(8)), wire.headers(0, wire.REQUEST, 0),
    ],
    ids=["data", "headers", "rst", "priority", "settings", "ping", "goaway", "headers-part"],
)  # fmt: skip
def test_case_14_frame_on_the_wrong_kind_of_stream(victim: Victim, bad: bytes) -> None:
    victim.stream()
    victim.feed(bad)
    victim.closed_with(ErrorCode.PROTOCOL_ERROR)


@pytest.mark.parametrize("payload", [b"\x01", b"\x05abcd", b"\xff" + bytes(254)])
@pytest.mark.parametrize("kind", [wire.DATA, wire.HEADERS])
def test_case_15_padding_as_long_as_the_frame(victim: Victim, kind: int, payload: bytes) -> None:
    stream = victim.stream(begun=kind == wire.DATA) if not victim.server or kind == wire.DATA else 1
    victim.feed(wire.frame(kind, wire.PADDED | wire.END_HEADERS, stream, payload))
    victim.closed_with(ErrorCode.PROTOCOL_ERROR)


@pytest.mark.parametrize("kind", [wire.DATA, wire.HEADERS])
def test_case_15_no_room_for_the_pad_length(victim: Victim, kind: int) -> None:
    stream = victim.stream()
    victim.feed(wire.frame(kind, wire.PADDED | wire.END_HEADERS, stream))
    victim.closed_with(ErrorCode.FRAME_SIZE_ERROR)


def test_case_15_padding_is_no_body(victim: Victim) -> None:
    stream = victim.stream()
    victim.feed(wire.frame(wire.DATA, wire.PADDED | wire.END_STREAM, stream, b"\x03" + b"body" + bytes(3)))
    ended = victim.events[-1]
    assert getattr(ended, "body", None) == b"body"


@pytest.mark.parametrize(
    ("kind", "size"),
    [(wire.RST, 3), (wire.RST, 5), (wire.PING, 7), (wire.PING, 9), (wire.SETTINGS, 5), (wire.WINDOW, 3),
     (wire.WINDOW, 5), (wire.GOAWAY, 7)],
)  # fmt: skip
def test_case_16_wrong_length(victim: Victim, kind: int, size: int) -> None:
    stream = victim.stream()
    on_stream = kind in (wire.RST, wire.WINDOW)
    victim.feed(wire.frame(kind, 0, stream if on_stream else 0, bytes(size)))
    victim.closed_with(ErrorCode.FRAME_SIZE_ERROR)


def test_case_16_settings_ack_with_a_payload(victim: Victim) -> None:
    victim.feed(wire.frame(wire.SETTINGS, 1, 0, bytes(6)))
    victim.closed_with(ErrorCode.FRAME_SIZE_ERROR)


@pytest.mark.parametrize("size", [0, 4, 6])
def test_case_16_wrong_length_of_priority(victim: Victim, size: int) -> None:
    stream = victim.stream()
    victim.feed(wire.frame(wire.PRIORITY, 0, stream, bytes(size)))
    victim.reset_with(stream, ErrorCode.FRAME_SIZE_ERROR)


def test_case_16_wrong_length_of_priority_on_an_idle_stream(victim: Victim) -> None:
    victim.feed(wire.frame(wire.PRIORITY, 0, 77, bytes(4)))
    victim.closed_with(ErrorCode.FRAME_SIZE_ERROR)


def test_case_16_headers_too_short_for_priority(victim: Victim) -> None:
    stream = victim.stream()
    victim.feed(wire.frame(wire.HEADERS, wire.END_HEADERS | wire.WITH_PRIORITY, stream, bytes(4)))
    victim.closed_with(ErrorCode.FRAME_SIZE_ERROR)


@pytest.mark.parametrize(
    ("entry", "code"),
    [
        ((2, 2), ErrorCode.PROTOCOL_ERROR), ((4, 2**31), ErrorCode.FLOW_CONTROL_ERROR),
        ((5, 16_383), ErrorCode.PROTOCOL_ERROR), ((5, 2**24), ErrorCode.PROTOCOL_ERROR),
    ],
)  # fmt: skip
def test_case_17_illegal_setting(victim: Victim, entry: tuple[int, int], code: int) -> None:
    victim.feed(wire.settings(entry))
    victim.closed_with(code)


@only_client
def test_case_17_server_turns_push_on(role: str) -> None:
    victim = Victim(role)
    victim.feed(wire.settings((2, 1)))
    victim.closed_with(ErrorCode.PROTOCOL_ERROR)


def test_case_17_too_many_entries(victim: Victim) -> None:
    victim.feed(wire.settings(*[(0x99, 0)] * 32))
    assert not victim.conn.closed
    victim.feed(wire.settings(*[(0x99, 0)] * 33))
    victim.closed_with(ErrorCode.ENHANCE_YOUR_CALM)


def test_case_25_eof_inside_a_frame(victim: Victim) -> None:
    stream = victim.stream()
    victim.feed(wire.data(stream, b"12345")[:-2])
    end = victim.conn.receive_eof(0)[-1]
    assert isinstance(end, Terminated)
    assert end.error is not None
    assert "inside a frame" in end.error.message


def test_case_25_eof_in_the_preface(role: str) -> None:
    victim = Victim(role, greeted=False)
    victim.feed((wire.PREFACE if victim.server else wire.settings())[:5])
    end = victim.conn.receive_eof(0)[-1]
    assert isinstance(end, Terminated)
    assert end.error is not None


def test_case_25_one_byte_at_a_time(role: str) -> None:
    victim = Victim(role, greeted=False)
    octets = victim.greeting() + wire.SETTINGS_ACK
    stream = 1 if victim.server else victim.stream(begun=False)
    octets += victim.whole(stream)
    for at in range(len(octets)):
        victim.feed(octets[at : at + 1])
    victim.next = 3
    assert getattr(victim.events[-1], "body", None) == b"\0\0\0\0\1y"
    victim.alive()


@pytest.mark.parametrize("what", ["settings", "ack", "block", "partial"])
def test_case_25_too_slow(role: str, what: str) -> None:
    victim = Victim(role, greeted=False)
    code = ErrorCode.SETTINGS_TIMEOUT
    victim.now = 5
    if what == "settings":
        victim.feed(victim.greeting()[:8])
    elif what == "ack":
        victim.feed(victim.greeting())
    else:
        victim.feed(victim.greeting(), wire.SETTINGS_ACK)
        stream = 1 if victim.server else victim.stream(begun=False)
        block = wire.headers(stream, victim.fields, 0 if what == "block" else wire.END_HEADERS)
        victim.feed(block if what == "block" else block[:-1])
        code = ErrorCode.ENHANCE_YOUR_CALM
    due = victim.conn.deadline
    assert due is not None
    assert due - 5 <= Limits().patience_ns
    assert victim.conn.tick(due - 1) == []
    victim.events += victim.conn.tick(due)
    victim.closed_with(code)


def test_case_25_in_time(victim: Victim) -> None:
    assert victim.conn.deadline is None
    assert victim.conn.tick(10**15) == []
    victim.alive()
