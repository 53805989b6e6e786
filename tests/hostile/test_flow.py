"""Windows: broken, negative, overflowing, ignored."""

from __future__ import annotations

import pytest

from tests.hostile.victim import Victim
from tests.wire import bytes as wire
from whichpod.wire import Body, ClientConnection, ErrorCode, Limits, Reply, Request, ServerConnection, Stream

REPLY = Reply(tuple(wire.RESPONSE), tuple(wire.TRAILERS))
only_server = pytest.mark.parametrize("role", ["server"])


def sender(victim: Victim, body: bytes) -> int:
    """A stream on which the victim has `body` to send."""
    if isinstance(victim.conn, ClientConnection):
        stream = victim.conn.request(Request(tuple(wire.REQUEST), body))
        return stream.id
    stream_id = victim.stream(ended=True)
    ended = victim.events[-1]
    assert isinstance(ended, Stream)
    assert isinstance(victim.conn, ServerConnection)
    victim.conn.respond(ended, REPLY, body)
    return stream_id


def sent(victim: Victim) -> list[int]:
    """Sizes of the DATA frames that came."""
    return [len(found.payload) for found in victim.answers() if found.kind == wire.DATA]


def test_case_18_window_update_of_0(victim: Victim) -> None:
    stream = victim.stream()
    victim.feed(wire.window(stream, 0))
    victim.reset_with(stream, ErrorCode.PROTOCOL_ERROR)


def test_case_18_window_update_of_0_on_the_connection(victim: Victim) -> None:
    victim.feed(wire.window(0, 0))
    victim.closed_with(ErrorCode.PROTOCOL_ERROR)


def test_case_18_window_overflows(role: str) -> None:
    victim = Victim(role, streamed=True)
    stream = victim.stream()
    victim.feed(wire.window(stream, 2**31 - 1 - 65_535))
    assert victim.answers() == []
    victim.feed(wire.window(stream, 1))
    victim.reset_with(stream, ErrorCode.FLOW_CONTROL_ERROR)


def test_case_18_connection_window_overflows(victim: Victim) -> None:
    victim.feed(wire.window(0, 2**31 - 1 - 65_535))
    assert not victim.conn.closed
    victim.feed(wire.window(0, 1))
    victim.closed_with(ErrorCode.FLOW_CONTROL_ERROR)


def test_case_19_window_goes_negative(victim: Victim) -> None:
    stream = sender(victim, bytes(70_000))
    assert sum(sent(victim)) == 65_535
    victim.feed(wire.settings((4, 10)), wire.window(0, 100_000))
    assert sent(victim) == []
    victim.feed(wire.window(stream, 65_535 - 10))
    assert sent(victim) == []
    victim.feed(wire.window(stream, 1))
    assert sent(victim) == [1]
    victim.feed(wire.settings((4, 65_535)))
    assert sum(sent(victim)) == 70_000 - 65_536
    victim.feed(wire.rst(stream))
    victim.alive()


def test_case_19_initial_window_overflows(role: str) -> None:
    victim = Victim(role, streamed=True)
    stream = victim.stream()
    victim.feed(wire.window(stream, 2**31 - 1 - 65_535))
    assert not victim.conn.closed
    victim.feed(wire.settings((4, 65_536)))
    victim.closed_with(ErrorCode.FLOW_CONTROL_ERROR)


def test_case_19_initial_window_of_0(victim: Victim) -> None:
    victim.feed(wire.settings((4, 0)))
    stream = sender(victim, b"\0\0\0\0\1x")
    found = victim.answers()
    assert [frame.kind for frame in found if frame.kind in (wire.HEADERS, wire.DATA)] == [wire.HEADERS]
    victim.feed(wire.window(stream, 6))
    found = victim.answers()
    assert found[0] == wire.Frame(wire.DATA, 0 if victim.server else wire.END_STREAM, stream, b"\0\0\0\0\1x")
    assert (found[-1].flags & wire.END_STREAM) == wire.END_STREAM


def test_case_20_peer_exceeds_the_streams_window(role: str) -> None:
    victim = Victim(role, Limits(stream_window=20_000), streamed=True)
    stream = victim.stream()
    victim.feed(wire.data(stream, bytes(16_384)), wire.data(stream, bytes(3_616)))
    assert victim.answers() == []
    victim.feed(wire.data(stream, b"x"))
    assert [(found.kind, found.number) for found in victim.answers()] == [
        (wire.RST, ErrorCode.FLOW_CONTROL_ERROR)
    ]
    victim.alive()


def test_case_20_peer_exceeds_the_connections_window(role: str) -> None:
    victim = Victim(role, Limits(stream_window=10**6, connection_window=100_000), streamed=True)
    stream = victim.stream()
    for _ in range(6):
        victim.feed(wire.data(stream, bytes(16_384)))
    assert not victim.conn.closed
    victim.feed(wire.data(stream, bytes(16_384)))
    victim.closed_with(ErrorCode.FLOW_CONTROL_ERROR)


def test_case_20_window_is_what_the_peer_knows_until_it_acknowledges(role: str) -> None:
    """A smaller window than the protocol's binds the peer once it has acknowledged our SETTINGS."""
    victim = Victim(role, Limits(stream_window=1_000), streamed=True, greeted=False)
    victim.feed(victim.greeting())
    stream = victim.stream()
    victim.feed(wire.data(stream, bytes(16_384)), wire.data(stream, bytes(16_384)))
    assert not [found for found in victim.answers() if found.kind == wire.RST]
    victim.feed(wire.SETTINGS_ACK, wire.data(stream, bytes(1)))
    assert [found.kind for found in victim.answers()] == [wire.RST]


@pytest.mark.parametrize("size", [6, 1_000, 16_384])
def test_windows_open_again_as_bodies_are_collected(victim: Victim, size: int) -> None:
    """Ten megabytes pass through a connection's window of one, some in frames of a plain body."""
    allowance = 2**20
    stream_allowance = 0
    stream = 0
    for number in range(10 * 2**20 // size if size > 1_000 else 2_000):
        if number % 50 == 0:
            if stream:
                victim.feed(wire.rst(stream))
            stream, stream_allowance = victim.stream(), 65_536
        victim.feed(wire.data(stream, bytes(size)))
        allowance -= size
        stream_allowance -= size
        for found in victim.answers():
            assert found.kind == wire.WINDOW
            if found.stream == 0:
                allowance += found.number
            else:
                stream_allowance += found.number
        assert 2**19 - 16_384 <= allowance <= 2**20
        assert 32_768 - 16_384 <= stream_allowance <= 65_536


def test_windows_open_as_a_streamed_body_is_acknowledged(role: str) -> None:
    victim = Victim(role, streamed=True)
    stream = victim.stream()
    victim.feed(*[wire.data(stream, bytes(16_384)) for _ in range(4)])
    assert victim.answers() == []
    bodies = [event for event in victim.events if isinstance(event, Body)]
    for body in bodies:
        victim.conn.acknowledge(body.stream, body.size)
    grants = [(found.stream, found.number) for found in victim.answers()]
    # Half of the window was used by the third acknowledgement; the fourth opens nothing more.
    assert sum(number for where, number in grants if where == stream) >= 3 * 16_384


def test_padding_uses_the_windows(role: str) -> None:
    victim = Victim(role, streamed=True)
    stream = victim.stream()
    victim.feed(wire.frame(wire.DATA, wire.PADDED, stream, b"\x0a" + b"x" + bytes(10)))
    body = victim.events[-1]
    assert isinstance(body, Body)
    assert (body.data, body.size) == (b"x", 12)


@only_server
def test_case_20_collected_bodies_are_bounded(role: str) -> None:
    victim = Victim(role, Limits(body=50_000))
    stream = victim.stream()
    victim.feed(*[wire.data(stream, bytes(10_000)) for _ in range(5)])
    assert not [found for found in victim.answers() if found.kind == wire.RST]
    victim.feed(wire.data(stream, b"x"))
    victim.reset_with(stream, ErrorCode.ENHANCE_YOUR_CALM)


@only_server
def test_case_20_all_collected_bodies_are_bounded(role: str) -> None:
    victim = Victim(role, Limits(bodies=100_000, stream_window=2**20))
    ids = [victim.stream() for _ in range(3)]
    for stream in ids:
        victim.feed(*[wire.data(stream, bytes(10_000)) for _ in range(4)])
    resets = [found for found in victim.answers() if found.kind == wire.RST]
    assert [(found.stream, found.number) for found in resets] == [(ids[2], ErrorCode.ENHANCE_YOUR_CALM)]
    assert victim.conn._bodies <= 100_000
    victim.alive()


@pytest.mark.parametrize("size", [1_000, 1_001])
def test_case_20_first_frame_of_a_collected_body(role: str, size: int) -> None:
    victim = Victim(role, Limits(stream_window=1_000))
    stream = victim.stream()
    victim.feed(wire.data(stream, bytes(size)))
    if size > 1_000:
        victim.reset_with(stream, ErrorCode.FLOW_CONTROL_ERROR)
    else:
        assert [(found.stream, found.number) for found in victim.answers()] == [(stream, size)]
