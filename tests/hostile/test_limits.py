"""The limits themselves, by their numbers: as much as they allow passes, one more does not."""

from __future__ import annotations

import pytest

from tests.hostile.victim import CALL, Victim
from tests.wire import bytes as wire
from whichpod.wire import Body, ClientConnection, ErrorCode, Failed, Limits, Reply, ServerConnection, Stream
from whichpod.wire.codes import GrpcCode, GrpcError
from whichpod.wire.messages import MAX_MESSAGE, MessageReader, frame

REPLY = Reply(tuple(wire.RESPONSE), tuple(wire.TRAILERS))
LAST = wire.END_HEADERS | wire.END_STREAM
SECOND = 10**9
only_server = pytest.mark.parametrize("role", ["server"])
only_client = pytest.mark.parametrize("role", ["client"])


def start(victim: Victim) -> int:
    """A stream that waits for the peer's HEADERS."""
    if not victim.server:
        return victim.stream(begun=False)
    victim.next += 2
    return victim.next - 2


def resets(victim: Victim) -> list[tuple[int, int]]:
    return [(found.stream, found.number) for found in victim.answers() if found.kind == wire.RST]


def test_limit_frame_size(victim: Victim) -> None:
    stream = victim.stream()
    victim.feed(wire.data(stream, bytes(16_384)))
    assert resets(victim) == []
    victim.feed(wire.data(stream, bytes(16_385)))
    assert resets(victim) == [(stream, ErrorCode.FRAME_SIZE_ERROR)]


def test_limit_header_list(victim: Victim) -> None:
    """65,536 as SETTINGS_MAX_HEADER_LIST_SIZE counts, 32 for each field."""
    used = sum(len(name) + len(value) + 32 for name, value in victim.fields)
    for size, refused in ((65_536, False), (65_537, True)):
        stream = start(victim)
        rest, fields = size - used, []
        for name in (b"a", b"b", b"c", b"d"):
            fields.append((name, b"v" * 16_000))
            rest -= 33 + 16_000
        fields.append((b"e", b"v" * (rest - 33)))
        block = wire.literal([*victim.fields, *fields])
        victim.feed(wire.frame(wire.HEADERS, 0, stream, block[:16_384]))
        for at in range(16_384, len(block), 16_384):
            last = wire.END_HEADERS * (at + 16_384 >= len(block))
            victim.feed(wire.frame(wire.CONTINUATION, last, stream, block[at : at + 16_384]))
        assert resets(victim) == [(stream, ErrorCode.ENHANCE_YOUR_CALM)] * refused


def test_limit_header_list_is_told(role: str) -> None:
    told = [found for found in Victim(role, greeted=False).answers() if found.kind == wire.SETTINGS]
    assert (6).to_bytes(2, "big") + (65_536).to_bytes(4, "big") in told[0].payload


def test_limit_fields(victim: Victim) -> None:
    fields = [*victim.fields, *[(b"x", b"")] * (128 - len(victim.fields))]
    victim.feed(wire.headers(start(victim), fields))
    assert resets(victim) == []
    stream = start(victim)
    victim.feed(wire.headers(stream, [*fields, (b"x", b"")]))
    assert resets(victim) == [(stream, ErrorCode.ENHANCE_YOUR_CALM)]


def test_limit_continuations(victim: Victim) -> None:
    for count in (8, 9):
        stream = start(victim)
        block = wire.literal(victim.fields)
        victim.feed(wire.frame(wire.HEADERS, 0, stream, block))
        victim.feed(*[wire.frame(wire.CONTINUATION, 0, stream)] * (count - 1))
        assert not victim.conn.closed
        victim.feed(wire.frame(wire.CONTINUATION, wire.END_HEADERS, stream))
    victim.closed_with(ErrorCode.ENHANCE_YOUR_CALM)


def test_limit_table(victim: Victim) -> None:
    victim.feed(
        wire.frame(
            wire.HEADERS, 4, start(victim), wire.integer(4_096, 0x1F, 0x20) + wire.literal(victim.fields)
        )
    )
    assert resets(victim) == []
    victim.feed(
        wire.frame(
            wire.HEADERS, 4, start(victim), wire.integer(4_097, 0x1F, 0x20) + wire.literal(victim.fields)
        )
    )
    victim.closed_with(ErrorCode.COMPRESSION_ERROR)


def test_limit_table_of_ours(role: str) -> None:
    """However large a table the peer offers, ours stays within 4,096."""
    victim = Victim(role)
    victim.feed(wire.settings((1, 2**32 - 1)))
    conn = victim.conn
    for number in range(100):
        conn._encoder.encode(((b"x-%d" % number, b"v" * 100),))
    assert 3_900 < conn._encoder._table.size <= conn._encoder._table.limit == 4_096


@only_server
def test_limit_streams(role: str) -> None:
    victim = Victim(role)
    for _ in range(100):
        victim.stream()
    assert resets(victim) == []
    over = victim.stream()
    assert resets(victim) == [(over, ErrorCode.REFUSED_STREAM)]


@only_client
def test_limit_streams_until_the_server_says(role: str) -> None:
    victim = Victim(role, greeted=False)
    assert isinstance(victim.conn, ClientConnection)
    assert victim.conn.requests(CALL, range(200)) == 100
    victim.feed(wire.settings())
    assert victim.conn.requests(CALL, range(100)) == 100


@only_server
def test_limit_streams_is_told(role: str) -> None:
    told = Victim(role, greeted=False).answers()
    assert (3).to_bytes(2, "big") + (100).to_bytes(4, "big") in told[0].payload


def test_limit_stream_window(role: str) -> None:
    victim = Victim(role, streamed=True)
    stream = victim.stream()
    victim.feed(*[wire.data(stream, bytes(16_384))] * 4)
    assert resets(victim) == []
    victim.feed(wire.data(stream, b"x"))
    assert resets(victim) == [(stream, ErrorCode.FLOW_CONTROL_ERROR)]


def test_limit_connection_window(role: str) -> None:
    victim = Victim(role, streamed=True)
    for _ in range(16):
        stream = victim.stream()
        victim.feed(*[wire.data(stream, bytes(16_384))] * 4)
    assert victim.answers() == []
    victim.feed(wire.data(victim.stream(), b"x"))
    victim.closed_with(ErrorCode.FLOW_CONTROL_ERROR)


def test_limit_windows_are_told(role: str) -> None:
    settings, update = [
        found for found in Victim(role, greeted=False).answers() if found.kind in (wire.SETTINGS, wire.WINDOW)
    ]
    assert (4).to_bytes(2, "big") + (65_536).to_bytes(4, "big") in settings.payload
    assert (update.stream, update.number) == (0, 2**20 - 65_535)


@pytest.mark.parametrize("window", [65_535, 100_001, 16 * 2**20, 2**31 - 1])
def test_limit_windows_that_a_plan_sets(role: str, window: int) -> None:
    """What the peer is told of is what it may use, and it opens again at half, odd or even."""
    victim = Victim(role, Limits(connection_window=window, stream_window=window), greeted=False)
    update = sum(found.number for found in victim.answers() if found.kind == wire.WINDOW)
    assert update == window - 65_535
    victim.feed(victim.greeting(), wire.SETTINGS_ACK)
    victim.answers()
    if window > 10**6:
        return
    stream, used = victim.stream(), 0
    while used <= window // 2:
        assert victim.answers() == []
        size = min(16_384, max(window // 2 - used, 1))
        victim.feed(wire.data(stream, bytes(size)))
        used += size
    assert {(found.stream, found.number) for found in victim.answers()} == {(0, used), (stream, used)}


@only_server
def test_limit_body(role: str) -> None:
    """A message of 4 MiB with room for its prefix."""
    victim = Victim(role)
    for extra in (0, 1):
        stream = victim.stream()
        left = 4 * 2**20 + 4_096 + extra
        while left:
            victim.feed(wire.data(stream, bytes(min(left, 16_384))))
            left -= min(left, 16_384)
    assert resets(victim) == [(stream, ErrorCode.ENHANCE_YOUR_CALM)]


@only_server
def test_limit_bodies(role: str) -> None:
    victim = Victim(role)
    for _ in range(8):
        stream = victim.stream()
        victim.feed(*[wire.data(stream, bytes(16_384))] * 256)
    assert resets(victim) == []
    over = victim.stream()
    victim.feed(wire.data(over, b"x"), wire.data(over, b"x"))
    assert resets(victim) == [(over, ErrorCode.ENHANCE_YOUR_CALM)]


def test_limit_resets(victim: Victim) -> None:
    for _ in range(1_000):
        victim.feed(wire.rst(victim.stream()))
    assert not victim.conn.closed
    # A second drains 33.
    victim.now += SECOND
    for _ in range(33):
        victim.feed(wire.rst(victim.stream()))
    assert not victim.conn.closed
    victim.feed(wire.rst(victim.stream()))
    victim.closed_with(ErrorCode.ENHANCE_YOUR_CALM)


def test_limit_chores(victim: Victim) -> None:
    def pings(count: int) -> None:
        for _ in range(count):
            victim.feed(wire.ping())
            victim.answers()

    # The SETTINGS and their ACK were two; each stream earns ten.
    pings(998)
    assert not victim.conn.closed
    victim.now += SECOND
    pings(33)
    stream = victim.stream(begun=victim.server)
    pings(10)
    assert not victim.conn.closed
    victim.feed(wire.ping())
    victim.closed_with(ErrorCode.ENHANCE_YOUR_CALM)
    assert stream == 1


def test_limit_controls(role: str) -> None:
    victim = Victim(role, Limits(chores=10**9))
    victim.feed(*[wire.ping()] * 1_000)
    assert not victim.conn.closed
    victim.feed(wire.ping())
    victim.closed_with(ErrorCode.ENHANCE_YOUR_CALM)


def test_limit_controls_counts_window_updates(role: str) -> None:
    """Who sends bodies and never reads is told of open windows a thousand times, not forever."""
    victim = Victim(role, Limits(body=2**40, bodies=2**40, stream_window=40_000, connection_window=40_000))
    stream, count = victim.stream(), 0
    while not victim.conn.closed:
        victim.feed(wire.data(stream, bytes(16_384)))
        count += 1
        assert count < 3_000
    victim.closed_with(ErrorCode.ENHANCE_YOUR_CALM)


@only_server
def test_limit_outbound(role: str) -> None:
    victim = Victim(role)
    assert isinstance(victim.conn, ServerConnection)
    victim.feed(wire.settings((4, 2**31 - 1)), wire.window(0, 2**31 - 1 - 65_535))
    for _ in range(100):
        victim.stream(ended=True)
    answered = [event for event in victim.events if isinstance(event, Stream)]
    assert victim.conn.responses(REPLY, [(stream, bytes(100_000)) for stream in answered]) == 100
    assert 4 * 2**20 <= victim.conn.outbound < 4 * 2**20 + 16_384 + 100 * 100
    assert victim.conn.waiting > 50


@only_client
def test_limit_outbound_of_a_client(role: str) -> None:
    victim = Victim(role)
    assert isinstance(victim.conn, ClientConnection)
    victim.feed(wire.settings((4, 2**31 - 1)), wire.window(0, 2**31 - 1 - 65_535))
    count = 0
    while victim.conn.capacity:
        victim.conn.send(victim.conn.open(CALL.fields), bytes(100_000))
        count += 1
    assert count == 42
    victim.conn.take()
    assert victim.conn.capacity


@only_server
@pytest.mark.parametrize("how", ["trailers-only", "no-body"])
def test_limit_outbound_of_answers_without_a_body(role: str, how: str) -> None:
    """They don't wait for a window or for room, so asking without reading ends the connection."""
    victim = Victim(role)
    assert isinstance(victim.conn, ServerConnection)
    note = [*wire.RESPONSE, (b"x", b"v" * 10_000)]
    while not victim.conn.closed:
        victim.feed(victim.whole(victim.next))
        victim.next += 2
        assert victim.conn.outbound < 5 * 2**20 + 20_000
        answer = victim.events.pop()
        if isinstance(answer, Stream):
            if how == "trailers-only":
                victim.conn.send_head(answer, tuple(note), end=True)
            else:
                victim.conn.respond(answer, Reply(tuple(note), tuple(wire.TRAILERS)), b"")
        else:
            victim.events.append(answer)
    victim.closed_with(ErrorCode.ENHANCE_YOUR_CALM)


def test_limit_settings(victim: Victim) -> None:
    victim.feed(wire.settings(*[(0x99, 0)] * 32))
    assert not victim.conn.closed
    victim.feed(wire.settings(*[(0x99, 0)] * 33))
    victim.closed_with(ErrorCode.ENHANCE_YOUR_CALM)


@pytest.mark.parametrize("what", ["settings", "ack", "block"])
def test_limit_patience_ns(role: str, what: str) -> None:
    victim = Victim(role, greeted=what == "block")
    since = 0
    if what == "ack":
        victim.feed(victim.greeting())
    elif what == "block":
        victim.now = since = 7
        victim.feed(wire.headers(start(victim), victim.fields, 0))
    assert victim.conn.deadline == since + 10 * SECOND
    assert victim.conn.tick(since + 10 * SECOND - 1) == []
    assert not victim.conn.closed
    victim.events += victim.conn.tick(since + 10 * SECOND)
    victim.closed_with(ErrorCode.ENHANCE_YOUR_CALM if what == "block" else ErrorCode.SETTINGS_TIMEOUT)


def test_limit_message() -> None:
    assert MAX_MESSAGE == 4 * 2**20
    assert MessageReader().feed(frame(bytes(4 * 2**20))) == [bytes(4 * 2**20)]
    with pytest.raises(GrpcError) as caught:
        MessageReader().feed(frame(bytes(4 * 2**20 + 1))[:5])
    assert caught.value.code is GrpcCode.RESOURCE_EXHAUSTED


def test_limits_hold_for_streamed_bodies_too(role: str) -> None:
    """A streamed body has no limit but the windows."""
    victim = Victim(role, Limits(body=20_000, bodies=20_000), streamed=True)
    stream = victim.stream()
    for _ in range(100):
        for event in victim.feed(wire.data(stream, bytes(16_384))):
            assert isinstance(event, Body)
            victim.conn.acknowledge(event.stream, event.size)
    assert not [event for event in victim.events if isinstance(event, Failed)]
