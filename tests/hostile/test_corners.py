"""The same cases where a rule is easily kept by halves: reserved bits, the second stream, the last id."""

from __future__ import annotations

import pytest

from tests.hostile.victim import CALL, Victim
from tests.wire import bytes as wire
from whichpod.wire import (
    ClientConnection,
    ErrorCode,
    Failed,
    GoawayReceived,
    Limits,
    Reply,
    Request,
    ServerConnection,
    Stream,
    Terminated,
)
from whichpod.wire.decoder import Decoder

LAST = wire.END_HEADERS | wire.END_STREAM
RESERVED = 1 << 31
HIGHEST = 2**31 - 1
REPLY = Reply(tuple(wire.RESPONSE), tuple(wire.TRAILERS))
only_server = pytest.mark.parametrize("role", ["server"])
only_client = pytest.mark.parametrize("role", ["client"])


def begin(victim: Victim) -> int:
    """A stream that waits for the peer's HEADERS."""
    if not victim.server:
        return victim.stream(begun=False)
    victim.next += 2
    return victim.next - 2


def resets(victim: Victim) -> list[tuple[int, int]]:
    return [(found.stream, found.number) for found in victim.answers() if found.kind == wire.RST]


@pytest.mark.parametrize("flags", [0, 0xF0 & ~wire.WITH_PRIORITY | 2])
def test_case_02_reserved_bit_of_every_frame(victim: Victim, flags: int) -> None:
    stream = begin(victim)
    where, block = stream | RESERVED, wire.literal(victim.fields)
    victim.feed(
        wire.frame(wire.HEADERS, flags, where, block[:5]),
        wire.frame(wire.CONTINUATION, flags | wire.END_HEADERS, where, block[5:]),
        wire.frame(wire.DATA, flags, where, b"body"),
        wire.frame(wire.WINDOW, flags, where, b"\x80\0\0\1"),
        wire.frame(wire.PRIORITY, flags, where, b"\x80\0\0\0\1"),
        wire.frame(wire.SETTINGS, flags, RESERVED),
        wire.frame(wire.PING, flags, RESERVED, bytes(8)),
        wire.frame(wire.HEADERS, flags | LAST, where, wire.literal(wire.TRAILERS)),
    )
    ended = victim.events[-1]
    assert isinstance(ended, Stream)
    assert (ended.id, ended.body) == (stream, b"body")
    assert resets(victim) == []
    other = begin(victim)
    victim.feed(wire.frame(wire.HEADERS, flags | wire.END_HEADERS, other | RESERVED, block))
    victim.feed(wire.frame(wire.RST, flags, other | RESERVED, bytes(4)))
    assert other not in victim.conn._streams
    victim.feed(wire.frame(wire.GOAWAY, flags, RESERVED, b"\xff\xff\xff\xff" + b"\xde\xad\xbe\xef"))
    assert victim.events[-1] == GoawayReceived(HIGHEST, 0xDEADBEEF, b"")


def test_case_02_setting_of_extended_connect(victim: Victim) -> None:
    """SETTINGS_ENABLE_CONNECT_PROTOCOL (RFC 8441) and one of nobody change nothing."""
    before = victim.conn.peer
    victim.feed(wire.settings((8, 1), (0xF000, 2**32 - 1)))
    assert victim.conn.peer == before
    assert wire.Frame(wire.SETTINGS, 1, 0, b"") in victim.answers()
    victim.alive()


def test_case_03_oversized_frame_on_an_idle_stream(victim: Victim) -> None:
    """An idle stream must not be reset."""
    victim.feed(wire.frame(wire.DATA, 0, 77, bytes(16_385)))
    victim.closed_with(ErrorCode.FRAME_SIZE_ERROR)


def test_case_03_oversized_frames_after_our_reset(victim: Victim) -> None:
    stream = victim.stream()
    victim.feed(wire.frame(wire.DATA, 0, stream, bytes(16_385)), wire.frame(0x70, 0, stream, bytes(16_385)))
    victim.reset_with(stream, ErrorCode.FRAME_SIZE_ERROR)


def test_case_03_oversized_frame_inside_a_header_block(victim: Victim) -> None:
    other, stream = victim.stream(), begin(victim)
    victim.feed(wire.headers(stream, victim.fields, 0), wire.frame(wire.DATA, 0, other, bytes(16_385)))
    victim.closed_with(ErrorCode.FRAME_SIZE_ERROR)


@pytest.mark.parametrize("kind", [wire.PUSH, wire.WINDOW])
def test_case_03_oversized_control_frame(victim: Victim, kind: int) -> None:
    victim.feed(wire.frame(kind, 0, victim.stream(), bytes(16_385)))
    victim.closed_with(ErrorCode.FRAME_SIZE_ERROR)


def test_case_04_index_0_of_a_full_table(victim: Victim) -> None:
    """A table that counts from its end would find something there."""
    block = b"".join(b"\x40\x01a\x01%c" % (48 + at % 10) for at in range(70))
    victim.feed(wire.frame(wire.HEADERS, 4, begin(victim), wire.literal(victim.fields) + block))
    assert not victim.conn.closed
    victim.feed(wire.frame(wire.HEADERS, 4, begin(victim), b"\x80"))
    victim.closed_with(ErrorCode.COMPRESSION_ERROR)


def test_case_04_integer_with_leading_zeros(victim: Victim) -> None:
    """127 in ten octets: what it says is fine, but not how long it is."""
    name = b"\0\x7f" + b"\x80" * 9 + b"\0" + b"n" * 127 + b"\1v"
    victim.feed(wire.frame(wire.HEADERS, 4, begin(victim), wire.literal(victim.fields) + name))
    victim.closed_with(ErrorCode.COMPRESSION_ERROR)


def test_case_04_table_not_shrunk_after_the_ack(role: str) -> None:
    victim = Victim(role, Limits(table=100))
    victim.feed(wire.headers(begin(victim), victim.fields))
    victim.closed_with(ErrorCode.COMPRESSION_ERROR)


def test_case_05_bomb_takes_no_more_than_the_limit(role: str) -> None:
    big = b"\x40\x01x" + wire.integer(4_000) + b"v" * 4_000
    block = Decoder(Limits(fields=10**9), requests=role == "server").decode(big + b"\xbe" * 200)
    assert block.oversize
    assert sum(len(name) + len(value) + 32 for name, value in block.fields) <= 65_536


def test_case_05_every_field_past_the_limit_is_decoded(victim: Victim) -> None:
    stream = begin(victim)
    added = b"".join(b"\x40\x01%c\x01v" % letter for letter in b"abc")
    victim.feed(wire.headers(stream, [*victim.fields, *[(b"x", b"")] * 128], 0))
    victim.feed(wire.frame(wire.CONTINUATION, 4, stream, added))
    other = begin(victim)
    victim.feed(wire.frame(wire.HEADERS, 4, other, wire.literal(victim.fields) + b"\xc0\xbf\xbe"))
    head = victim.conn._streams[other].head
    assert head is not None
    assert head.fields[-3:] == ((b"a", b"v"), (b"b", b"v"), (b"c", b"v"))


@pytest.mark.parametrize("between", ["data", "headers", "continuation"])
def test_case_06_frame_of_an_open_stream_inside_a_header_block(victim: Victim, between: str) -> None:
    """Of a stream where it would be in its place, were no block open."""
    other, third, stream = victim.stream(), begin(victim), begin(victim)
    victim.feed(wire.headers(stream, victim.fields, 0))
    octets = {
        "data": wire.data(other, b"x"),
        "headers": wire.headers(third if not victim.server else victim.next, victim.fields),
        "continuation": wire.frame(wire.CONTINUATION, 4, third),
    }
    victim.feed(octets[between])
    victim.closed_with(ErrorCode.PROTOCOL_ERROR)


@only_server
def test_case_10_too_many_like_streams_in_one_read(role: str) -> None:
    victim = Victim(role)
    victim.feed(b"".join(victim.whole(at) for at in range(1, 301, 2)))
    assert resets(victim) == [(at, ErrorCode.REFUSED_STREAM) for at in range(201, 301, 2)]
    assert victim.conn.open_streams == 100


@only_client
def test_case_10_the_servers_limit_moves(role: str) -> None:
    """Below what is open, to 0, and up again."""
    victim = Victim(role)
    assert isinstance(victim.conn, ClientConnection)
    ids = [victim.stream(begun=False) for _ in range(5)]
    for most, capacity in ((3, 0), (0, 0), (6, 1), (2**32 - 1, 10**6)):
        victim.feed(wire.settings((3, most)))
        assert min(victim.conn.capacity, 10**6) == capacity
        assert not victim.conn.spent
    victim.feed(wire.settings((3, 0)), *map(victim.whole, ids))
    assert (victim.conn.open_streams, victim.conn.capacity, victim.conn.requests(CALL, "ab")) == (0, 0, 0)
    victim.feed(wire.settings((3, 1)))
    assert victim.conn.requests(CALL, "ab") == 1


@pytest.mark.parametrize("frame", [wire.rst(2), wire.window(2, 1), wire.data(2, b"x")])
def test_case_11_even_stream_below_those_that_are_open(victim: Victim, frame: bytes) -> None:
    for _ in range(3):
        victim.stream()
    victim.feed(frame)
    victim.closed_with(ErrorCode.PROTOCOL_ERROR)


def test_case_13_connection_window_moves_on_with_what_is_refused(victim: Victim) -> None:
    granted = 0
    for _ in range(40):
        stream = begin(victim)
        victim.feed(victim.head(stream, (b"content-length", b"1")), wire.data(stream, bytes(16_384)))
        granted += sum(found.number for found in victim.answers() if found.kind == wire.WINDOW)
    assert granted == 33 * 16_384
    victim.alive()


def test_case_15_nothing_but_padding(victim: Victim) -> None:
    stream = victim.stream()
    victim.feed(wire.frame(wire.DATA, wire.PADDED, stream, b"\x05" + bytes(5)), wire.data(stream, b"x"))
    victim.feed(wire.frame(wire.DATA, wire.PADDED | wire.END_STREAM, stream, b"\0"))
    assert getattr(victim.events[-1], "body", None) == b"x"
    victim.alive()


def test_case_15_padding_reaches_into_the_priority(victim: Victim) -> None:
    flags = wire.PADDED | wire.WITH_PRIORITY | wire.END_HEADERS
    victim.feed(wire.frame(wire.HEADERS, flags, begin(victim), b"\x04" + bytes(5) + bytes(3)))
    victim.closed_with(ErrorCode.PROTOCOL_ERROR)


@only_server
def test_case_21_small_replies_that_are_never_read(role: str) -> None:
    """Replies that fit any window wait for room as large ones do."""
    victim = Victim(role, Limits(outbound=65_536))
    assert isinstance(victim.conn, ServerConnection)
    victim.feed(wire.window(0, 2**20), *[victim.whole(at) for at in range(1, 200, 2)])
    answers = [(event, bytes(1_000)) for event in victim.events if isinstance(event, Stream)]
    assert victim.conn.responses(REPLY, answers) == 100
    assert victim.conn.waiting > 30
    assert victim.conn.outbound < 65_536 + 100 * 80 + 1_000


def flood(victim: Victim, octets: bytes) -> None:
    """The peer reads, so only the budget ends it."""
    count = 0
    while not victim.conn.closed:
        victim.conn.take()
        victim.feed(octets)
        count += 1
        assert count < 1_100
    victim.closed_with(ErrorCode.ENHANCE_YOUR_CALM)


@pytest.mark.parametrize("what", ["data", "headers", "rst"])
def test_case_21_flood_after_our_reset(victim: Victim, what: str) -> None:
    stream = victim.stream()
    victim.feed(wire.window(stream, 0))
    octets = {
        "data": wire.data(stream, b"x"),
        "headers": wire.headers(stream, wire.TRAILERS, LAST),
        "rst": wire.rst(stream),
    }
    flood(victim, octets[what])


@only_client
def test_case_21_flood_of_interim_responses(role: str) -> None:
    victim = Victim(role)
    flood(victim, wire.headers(victim.stream(begun=False), [(b":status", b"103")]))


@only_server
def test_case_21_flood_above_our_goaway(role: str) -> None:
    victim, count = Victim(role), 0
    assert isinstance(victim.conn, ServerConnection)
    victim.conn.drain(0)
    victim.conn.tick(10**11)
    while not victim.conn.closed:
        victim.conn.take()
        victim.feed(victim.head(victim.next))
        victim.next += 2
        count += 1
        assert count < 1_100
    victim.closed_with(ErrorCode.ENHANCE_YOUR_CALM)


@only_client
def test_case_22_server_makes_us_reset(role: str) -> None:
    victim, count = Victim(role), 0
    while not victim.conn.closed:
        victim.feed(wire.window(victim.stream(), 0))
        count += 1
        assert count < 1_100
    assert count == 1_001
    victim.closed_with(ErrorCode.ENHANCE_YOUR_CALM)


def test_case_23_pseudo_header_field_after_a_regular_one(victim: Victim) -> None:
    stream = begin(victim)
    victim.feed(wire.headers(stream, [*victim.fields[1:], victim.fields[0]]))
    victim.reset_with(stream, ErrorCode.PROTOCOL_ERROR)


def test_case_23_body_longer_than_its_content_length(victim: Victim) -> None:
    """Known before the body's end."""
    stream = begin(victim)
    victim.feed(victim.head(stream, (b"content-length", b"4")), wire.data(stream, b"12345"))
    victim.reset_with(stream, ErrorCode.PROTOCOL_ERROR)


@only_client
@pytest.mark.parametrize("status", [b"204", b"304"])
def test_case_23_content_length_of_a_response_that_has_no_body(role: str, status: bytes) -> None:
    victim = Victim(role)
    stream = begin(victim)
    victim.feed(wire.headers(stream, [(b":status", status), (b"content-length", b"4")], LAST))
    assert isinstance(victim.events[-1], Stream)
    victim.alive()


@only_server
def test_case_24_last_id_never_rises(role: str) -> None:
    """A fault after the drain is told with the id that the drain told."""
    victim = Victim(role)
    assert isinstance(victim.conn, ServerConnection)
    victim.stream()
    victim.conn.drain(0)
    victim.conn.tick(10**11)
    victim.stream()
    victim.feed(wire.ping()[:-1] + b"x", wire.data(0, b""))
    assert [found.payload[:4] for found in victim.answers() if found.kind == wire.GOAWAY] == [
        b"\x7f\xff\xff\xff", b"\0\0\0\1", b"\0\0\0\1",
    ]  # fmt: skip


@only_client
def test_case_24_server_resets_after_a_whole_answer(role: str) -> None:
    """RST_STREAM(NO_ERROR) says that the rest of the request isn't wanted (section 8.1): no failure."""
    victim = Victim(role)
    for number in range(3_000):
        stream = victim.stream(begun=False)
        victim.feed(victim.whole(stream), wire.rst(stream, ErrorCode.NO_ERROR))
        assert victim.conn.take() == b"", number
    assert not [event for event in victim.events if isinstance(event, Failed)]
    victim.alive()


@only_client
def test_case_24_answer_before_the_requests_end(role: str) -> None:
    victim = Victim(role)
    assert isinstance(victim.conn, ClientConnection)
    stream = victim.conn.request(Request(CALL.fields, bytes(100_000)))
    victim.conn.take()
    victim.feed(wire.headers(stream.id, [*wire.RESPONSE, (b"grpc-status", b"8")], LAST))
    assert isinstance(victim.events[-1], Stream)
    assert resets(victim) == [(stream.id, ErrorCode.NO_ERROR)]
    assert (victim.conn.waiting, victim.conn.open_streams) == (0, 0)
    victim.feed(wire.window(stream.id, 10), wire.rst(stream.id), wire.window(0, 100_000))
    assert victim.conn.take() == b""
    victim.alive()


@pytest.mark.parametrize("known", [False, True])
def test_case_25_eof_before_the_settings(role: str, known: bool) -> None:
    victim = Victim(role, greeted=False)
    victim.feed(wire.PREFACE if victim.server and known else b"")
    end = victim.conn.receive_eof(0)[-1]
    assert isinstance(end, Terminated)
    assert end.error is not None


@only_client
def test_case_25_eof_with_streams_open_is_told(role: str) -> None:
    victim = Victim(role)
    victim.stream()
    end = victim.conn.receive_eof(0)[-1]
    assert isinstance(end, Terminated)
    assert end.error is not None
    assert "1 streams open" in end.error.message


@only_server
@pytest.mark.parametrize("runs", [1, 3])
def test_case_25_ids_start_over(role: str, runs: int) -> None:
    """After the highest id nothing can be opened, not even where a reserved bit carries the count on."""
    victim = Victim(role)
    first = HIGHEST - 2 * (runs - 1)
    victim.feed(*[victim.whole(at) for at in (1, 3, first - 2)])
    octets = b"".join(victim.whole(at) for at in range(first, HIGHEST + 1, 2))
    victim.feed(octets)
    assert victim.conn.open_streams == 3 + runs
    victim.feed(victim.whole(RESERVED + 1), victim.whole(RESERVED + 3))
    assert resets(victim) == [(1, ErrorCode.STREAM_CLOSED), (3, ErrorCode.STREAM_CLOSED)]
    assert victim.conn.open_streams == 1 + runs
