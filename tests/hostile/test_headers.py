"""Header blocks that can't be decoded, are too large, or say what HTTP/2 forbids."""

from __future__ import annotations

import pytest

from tests.hostile.victim import Victim
from tests.wire import bytes as wire
from whichpod.wire import ErrorCode, Failed

only_server = pytest.mark.parametrize("role", ["server"])
only_client = pytest.mark.parametrize("role", ["client"])

UNDECODABLE = {
    "index-0": b"\x80",
    "index-beyond-the-tables": b"\xbe",
    "name-beyond-the-tables": b"\x7f\x20\x01x",
    "truncated-integer": b"\xff\x80",
    "endless-integer": b"\xff" + b"\x80" * 20 + b"\x01",
    "truncated-name": b"\x00\x05abc",
    "no-value": b"\x00\x01a",
    "truncated-value": b"\x00\x01a\x05bc",
    "huge-length": b"\x00\x7f\xff\xff\xff\xff\x0f",
    "huffman-eos": b"\x00\x01a\x84\xff\xff\xff\xff",
    "huffman-padding-of-zeros": b"\x00\x01a\x81\x18",
    "table-size-over-the-limit": b"\x3f\xe2\x1f",
    "table-size-not-first": b"\x82\x20",
}


def start(victim: Victim) -> int:
    """A stream that waits for the peer's HEADERS."""
    if not victim.server:
        return victim.stream(begun=False)
    victim.next += 2
    return victim.next - 2


@pytest.mark.parametrize("block", UNDECODABLE.values(), ids=UNDECODABLE.keys())
def test_case_04_undecodable(victim: Victim, block: bytes) -> None:
    victim.feed(wire.frame(wire.HEADERS, wire.END_HEADERS, start(victim), block))
    victim.closed_with(ErrorCode.COMPRESSION_ERROR)


def test_case_04_undecodable_after_our_reset(victim: Victim) -> None:
    stream = victim.stream()
    victim.feed(wire.window(stream, 0))
    victim.feed(wire.frame(wire.HEADERS, wire.END_HEADERS, stream, b"\xbe"))
    victim.closed_with(ErrorCode.COMPRESSION_ERROR)


def too_large() -> list[tuple[bytes, bytes]]:
    return [(b"x-%d" % number, bytes([97 + number]) * 15_000) for number in range(5)]


def in_parts(stream: int, block: bytes) -> bytes:
    pieces = [block[at : at + 16_384] for at in range(0, len(block), 16_384)]
    out = wire.frame(wire.HEADERS, 0, stream, pieces[0])
    for number, piece in enumerate(pieces[1:], 2):
        out += wire.frame(wire.CONTINUATION, wire.END_HEADERS * (number == len(pieces)), stream, piece)
    return out


def test_case_05_header_list_too_large(victim: Victim) -> None:
    stream = start(victim)
    victim.feed(in_parts(stream, wire.literal([*victim.fields, *too_large()])))
    victim.reset_with(stream, ErrorCode.ENHANCE_YOUR_CALM)


def test_case_05_too_many_fields(victim: Victim) -> None:
    stream = start(victim)
    room = 128 - len(victim.fields)
    fields = [(b"x", b"")] * room
    victim.feed(wire.headers(stream, [*victim.fields, *fields]))
    assert not [found for found in victim.answers() if found.kind == wire.RST]
    other = start(victim)
    victim.feed(wire.headers(other, [*victim.fields, *fields, (b"x", b"")]))
    victim.reset_with(other, ErrorCode.ENHANCE_YOUR_CALM)


def test_case_05_large_trailers(victim: Victim) -> None:
    stream = victim.stream()
    victim.feed(wire.headers(stream, [(b"x", b"")] * 129, wire.END_HEADERS | wire.END_STREAM))
    victim.reset_with(stream, ErrorCode.ENHANCE_YOUR_CALM)


def test_case_05_bomb_is_decoded_to_the_end_and_not_kept(victim: Victim) -> None:
    """One-byte references to an entry of 4 kB."""
    stream = start(victim)
    big = b"\x40\x01x" + wire.integer(4_000) + b"v" * 4_000
    block = wire.literal(victim.fields) + big + b"\xbe" * 200
    victim.feed(wire.frame(wire.HEADERS, wire.END_HEADERS, stream, block))
    failed = [event for event in victim.events if isinstance(event, Failed)]
    assert all(event.stream.head is None for event in failed)
    victim.reset_with(stream, ErrorCode.ENHANCE_YOUR_CALM)


@pytest.mark.parametrize("octet", [b"\xbe", b"\x82"], ids=["size", "count"])
def test_case_05_bomb_past_all_bounds(victim: Victim, octet: bytes) -> None:
    """64 MiB if it were expanded, or 16,000 small fields: not decoded to its end, so the connection ends."""
    big = b"\x40\x01x" + wire.integer(4_000) + b"v" * 4_000
    victim.feed(in_parts(start(victim), wire.literal(victim.fields) + big + octet * 16_000))
    victim.closed_with(ErrorCode.ENHANCE_YOUR_CALM)


def test_case_05_table_stays_in_step_past_the_limit(victim: Victim) -> None:
    """What an oversized block adds to the table after the limit was passed can be referred to."""
    stream = start(victim)
    added = b"\x40\x03grp\x01v"
    victim.feed(in_parts(stream, wire.literal([*victim.fields, *too_large()]) + added))
    other = start(victim)
    victim.feed(wire.frame(wire.HEADERS, wire.END_HEADERS, other, wire.literal(victim.fields) + b"\xbe"))
    found = victim.conn._streams[other].head
    assert found is not None
    assert found.fields[-1] == (b"grp", b"v")


MALFORMED = {
    "upper-case": (b"X-Upper", b"1"),
    "space-in-name": (b"x y", b"1"),
    "colon-in-name": (b"x:y", b"1"),
    "empty-name": (b"", b"1"),
    "control-in-name": (b"x\x7f", b"1"),
    "high-byte-in-name": (b"x\xe9", b"1"),
    "newline-in-value": (b"x", b"a\nb"),
    "return-in-value": (b"x", b"a\rb"),
    "nul-in-value": (b"x", b"a\0b"),
    "space-before-value": (b"x", b" a"),
    "tab-after-value": (b"x", b"a\t"),
    "connection": (b"connection", b"keep-alive"),
    "keep-alive": (b"keep-alive", b"1"),
    "proxy-connection": (b"proxy-connection", b"1"),
    "transfer-encoding": (b"transfer-encoding", b"chunked"),
    "upgrade": (b"upgrade", b"h2c"),
    "te": (b"te", b"gzip"),
    "pseudo-after-regular": (b":authority", b"x"),
    "unknown-pseudo": (b":what", b"x"),
    "bad-length": (b"content-length", b"-1"),
    "endless-length": (b"content-length", b"9" * 30),
}


@pytest.mark.parametrize("field", MALFORMED.values(), ids=MALFORMED.keys())
def test_case_23_malformed_field(victim: Victim, field: tuple[bytes, bytes]) -> None:
    stream = start(victim)
    victim.feed(victim.head(stream, field))
    victim.reset_with(stream, ErrorCode.PROTOCOL_ERROR)


def without(name: bytes) -> list[tuple[bytes, bytes]]:
    return [field for field in wire.REQUEST if field[0] != name]


BAD_REQUESTS = {
    "no-method": without(b":method"),
    "no-scheme": without(b":scheme"),
    "no-path": without(b":path"),
    "empty-path": [*without(b":path")[:2], (b":path", b"")],
    "relative-path": [*without(b":path")[:2], (b":path", b"a/b")],
    "method-twice": [(b":method", b"POST"), *wire.REQUEST],
    "status": [(b":status", b"200"), *wire.REQUEST],
    "connect-with-path": [(b":method", b"CONNECT"), *wire.REQUEST[1:]],
    "two-lengths": [*wire.REQUEST, (b"content-length", b"1"), (b"content-length", b"2")],
    "host-differs": [*wire.REQUEST, (b"host", b"other")],
    "nothing": [],
}


@only_server
@pytest.mark.parametrize("fields", BAD_REQUESTS.values(), ids=BAD_REQUESTS.keys())
def test_case_23_malformed_request(role: str, fields: list[tuple[bytes, bytes]]) -> None:
    victim = Victim(role)
    stream = start(victim)
    victim.feed(wire.headers(stream, fields))
    victim.reset_with(stream, ErrorCode.PROTOCOL_ERROR)


BAD_RESPONSES = {
    "no-status": [(b"x", b"1")],
    "status-twice": [(b":status", b"200"), (b":status", b"200")],
    "status-of-two-digits": [(b":status", b"20")],
    "status-of-letters": [(b":status", b"2OO")],
    "status-0": [(b":status", b"000")],
    "status-101": [(b":status", b"101")],
    "path": [(b":status", b"200"), (b":path", b"/")],
    "nothing": [],
}


@only_client
@pytest.mark.parametrize("fields", BAD_RESPONSES.values(), ids=BAD_RESPONSES.keys())
def test_case_23_malformed_response(role: str, fields: list[tuple[bytes, bytes]]) -> None:
    victim = Victim(role)
    stream = start(victim)
    victim.feed(wire.headers(stream, fields))
    victim.reset_with(stream, ErrorCode.PROTOCOL_ERROR)


@only_client
def test_case_23_interim_response_ends_the_stream(role: str) -> None:
    victim = Victim(role)
    stream = start(victim)
    victim.feed(wire.headers(stream, [(b":status", b"100")], wire.END_HEADERS | wire.END_STREAM))
    victim.reset_with(stream, ErrorCode.PROTOCOL_ERROR)


@only_client
def test_case_23_interim_responses_pass(role: str) -> None:
    victim = Victim(role)
    stream = start(victim)
    victim.feed(wire.headers(stream, [(b":status", b"103")]), victim.whole(stream))
    assert getattr(victim.events[-1], "body", None) == b"\0\0\0\0\1y"
    victim.alive()


@only_client
def test_case_23_data_before_the_response(role: str) -> None:
    victim = Victim(role)
    stream = start(victim)
    victim.feed(wire.headers(stream, [(b":status", b"103")]), wire.data(stream, b"x"))
    victim.reset_with(stream, ErrorCode.PROTOCOL_ERROR)


def test_case_23_trailers_without_end_stream(victim: Victim) -> None:
    stream = victim.stream()
    victim.feed(wire.headers(stream, wire.TRAILERS))
    victim.reset_with(stream, ErrorCode.PROTOCOL_ERROR)


@pytest.mark.parametrize(
    "field", [(b":status", b"200"), (b":path", b"/"), (b"Upper", b""), (b"connection", b"")]
)
def test_case_23_malformed_trailers(victim: Victim, field: tuple[bytes, bytes]) -> None:
    stream = victim.stream()
    victim.feed(wire.data(stream, b"x"))
    victim.feed(wire.headers(stream, [field], wire.END_HEADERS | wire.END_STREAM))
    victim.reset_with(stream, ErrorCode.PROTOCOL_ERROR)


@pytest.mark.parametrize("body", [b"", b"123", b"12345"])
@pytest.mark.parametrize("trailers", [False, True])
def test_case_23_content_length_mismatch(victim: Victim, body: bytes, trailers: bool) -> None:
    stream = start(victim)
    victim.feed(victim.head(stream, (b"content-length", b"4")))
    victim.feed(wire.data(stream, body, 0 if trailers else wire.END_STREAM))
    if trailers:
        victim.feed(wire.headers(stream, wire.TRAILERS, wire.END_HEADERS | wire.END_STREAM))
    victim.reset_with(stream, ErrorCode.PROTOCOL_ERROR)


def test_case_23_content_length_kept(victim: Victim) -> None:
    stream = start(victim)
    victim.feed(victim.head(stream, (b"content-length", b"4")), wire.data(stream, b"12"))
    victim.feed(wire.data(stream, b"34", wire.END_STREAM))
    assert getattr(victim.events[-1], "body", None) == b"1234"
    victim.alive()


def test_case_23_push_promise(victim: Victim) -> None:
    stream = victim.stream()
    victim.feed(wire.frame(wire.PUSH, wire.END_HEADERS, stream, b"\0\0\0\2" + wire.literal(wire.REQUEST)))
    victim.closed_with(ErrorCode.PROTOCOL_ERROR)


def test_case_23_spaces_around_grpc_message_pass(victim: Victim) -> None:
    """gRPC leaves spaces unescaped, so real servers send them at the ends of a message."""
    stream = victim.stream()
    fields = [(b"grpc-status", b"2"), (b"grpc-message", b" why ")]
    victim.feed(wire.headers(stream, fields, wire.END_HEADERS | wire.END_STREAM))
    victim.alive()
