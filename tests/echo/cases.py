"""What a client may do to HTTP/2, and what RFC 9113 has a server answer.

`{1}` is a stream that is open: a bidirectional call whose first message was answered. `{3}` is half-closed by
the client: a health watch. `{5}` is closed: an answered echo. New streams begin at 7.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from tests.wire import bytes as wire
from whichpod.echo import names
from whichpod.wire import ErrorCode
from whichpod.wire.messages import frame

OPEN, HALF_CLOSED, CLOSED, NEW, LATER = 1, 3, 5, 7, 9
LAST = wire.END_HEADERS | wire.END_STREAM
FIELDS = [(name, names.ECHO.encode() if name == b":path" else value) for name, value in wire.REQUEST]
BODY = frame(b"")
BLOCK = wire.literal(FIELDS)
PROTOCOL, FLOW, SIZE = ErrorCode.PROTOCOL_ERROR, ErrorCode.FLOW_CONTROL_ERROR, ErrorCode.FRAME_SIZE_ERROR
STREAM_CLOSED, COMPRESSION = ErrorCode.STREAM_CLOSED, ErrorCode.COMPRESSION_ERROR


@dataclass(frozen=True)
class Case:
    """Bytes to send on a connection that is as above, and what follows."""

    section: str
    """Of RFC 9113, or of RFC 7541 after an H."""
    what: str
    sent: bytes
    goaway: int | None = None
    """The connection ends with that code."""
    reset: int | None = None
    """The stream `on` ends with that code, the connection lives. Without either, nothing ends."""
    on: int = NEW
    answers: bool = False
    """The stream `on` is answered as an echo is."""


def head(*extra: tuple[bytes, bytes], but: str = "", stream: int = NEW, flags: int = 4) -> bytes:
    """HEADERS of an echo with more fields, or without the pseudo-header field `but`."""
    fields = [pair for pair in FIELDS if pair[0] != b":" + but.encode()]
    return wire.headers(stream, [*fields, *extra], flags)


def block(octets: bytes, *, after: bytes = BLOCK) -> bytes:
    """HEADERS with that in their block, behind a sound one unless said."""
    return wire.frame(wire.HEADERS, wire.END_HEADERS, NEW, after + octets)


def echo(stream: int = NEW) -> bytes:
    """A whole request."""
    return head(stream=stream) + wire.data(stream, BODY, wire.END_STREAM)


def more(stream: int = NEW, octets: bytes = b"", flags: int = wire.END_HEADERS) -> bytes:
    """CONTINUATION."""
    return wire.frame(wire.CONTINUATION, flags, stream, octets)


def priority(stream: int, octets: bytes = bytes(5)) -> bytes:
    """PRIORITY."""
    return wire.frame(wire.PRIORITY, 0, stream, octets)


def padded(stream: int, octets: bytes, flags: int = 0) -> bytes:
    """DATA whose first octet says how much of it is padding."""
    return wire.frame(wire.DATA, wire.PADDED | flags, stream, octets)


def bidi(stream: int) -> bytes:
    """HEADERS of a bidirectional call."""
    path = names.BIDI_STREAM.encode()
    return wire.headers(stream, [(n, path if n == b":path" else v) for n, v in FIELDS])


def changed(name: bytes, value: bytes) -> bytes:
    """HEADERS with another value of one field."""
    return wire.headers(NEW, [(n, value if n == name else v) for n, v in FIELDS])


def cases() -> Iterator[Case]:
    """All of them."""
    yield from _frames()
    yield from _streams()
    yield from _each_frame()
    yield from _settings_and_windows()
    yield from _messages()
    yield from _compression()


def _frames() -> Iterator[Case]:
    end = wire.data(NEW, BODY, wire.END_STREAM)
    unknown = wire.frame(0xF1, 0xFF, 0, b"x") + wire.frame(0xF1, 0xFF, OPEN, b"x") + wire.frame(0xF1, 0, 991)
    yield Case("4.1", "frames of unknown types", unknown + echo(), answers=True)
    flags = wire.frame(wire.HEADERS, 0x80 | 4, NEW, BLOCK) + wire.frame(wire.DATA, 0xF2 | 1, NEW, BODY)
    yield Case("4.1", "undefined flags", flags, answers=True)
    reserved = wire.frame(wire.HEADERS, 4, NEW | 1 << 31, BLOCK) + wire.frame(
        wire.DATA, 1, NEW | 1 << 31, BODY
    )
    yield Case("4.1", "the reserved bit", reserved, answers=True)
    full = (
        head()
        + wire.data(NEW, b"\0\0\0\x4f\xfb\x0a\xf7\x9f\x01" + bytes(16_375))
        + wire.data(NEW, bytes(4_096), wire.END_STREAM)
    )
    yield Case("4.2", "DATA of 16384 octets", full, answers=True)
    large = bytes(16_385)
    yield Case("4.2", "DATA of 16385 octets", wire.data(OPEN, large), reset=SIZE, on=OPEN)
    yield Case("4.2", "HEADERS of 16385 octets", block(large), goaway=SIZE)
    yield Case("4.2", "SETTINGS of 16386 octets", wire.frame(wire.SETTINGS, 0, 0, bytes(16_386)), goaway=SIZE)
    yield Case("4.2", "an unknown frame of 16385 octets", wire.frame(0xF1, 0, 0, large), goaway=SIZE)
    begun = wire.frame(wire.HEADERS, 0, NEW, BLOCK)
    for what, between in {
        "PRIORITY": priority(NEW), "DATA": wire.data(NEW, BODY),
        "another stream's HEADERS": head(stream=LATER), "PING": wire.ping(),
        "an unknown frame": wire.frame(0xF1, 0, 0),
    }.items():  # fmt: skip
        section = "5.5" if "unknown" in what else "4.3"
        yield Case(section, f"{what} inside a field block", begun + between, goaway=PROTOCOL)
    rest = more(NEW, BLOCK[9:])
    parts = wire.frame(wire.HEADERS, 0, NEW, BLOCK[:9]) + rest + end
    yield Case("4.3", "a field block in two frames", parts, answers=True)
    yield Case("5.5", "an unknown frame between two of a request", head() + wire.frame(0xF1, 9, NEW) + end,
               answers=True)  # fmt: skip


def _streams() -> Iterator[Case]:
    for what, sent in {
        "DATA": wire.data(NEW, BODY), "RST_STREAM": wire.rst(NEW), "WINDOW_UPDATE": wire.window(NEW, 1),
        "CONTINUATION": more(NEW, BLOCK),
    }.items():  # fmt: skip
        yield Case("5.1", f"idle: {what}", sent, goaway=PROTOCOL)
    yield Case("5.1", "idle: PRIORITY", priority(NEW) + echo(), answers=True)
    yield Case("5.1", "half-closed: DATA", wire.data(HALF_CLOSED, BODY), reset=STREAM_CLOSED, on=HALF_CLOSED)
    yield Case("5.1", "half-closed: HEADERS", head(stream=HALF_CLOSED, flags=LAST), reset=STREAM_CLOSED,
               on=HALF_CLOSED)  # fmt: skip
    yield Case("5.1", "half-closed: CONTINUATION", more(HALF_CLOSED, BLOCK),
               goaway=PROTOCOL)  # fmt: skip
    for what, stream in {"half-closed": HALF_CLOSED, "closed": CLOSED}.items():
        yield Case("5.1", f"{what}: WINDOW_UPDATE", wire.window(stream, 1))
        yield Case("5.1", f"{what}: PRIORITY", priority(stream))
        yield Case("5.1", f"{what}: RST_STREAM", wire.rst(stream))
    yield Case("5.1", "closed: DATA", wire.data(CLOSED, BODY), reset=STREAM_CLOSED, on=CLOSED)
    yield Case("5.1", "closed: HEADERS", head(stream=CLOSED), goaway=STREAM_CLOSED)
    yield Case("5.1", "closed: CONTINUATION", more(CLOSED, BLOCK), goaway=PROTOCOL)
    reset = wire.rst(OPEN)
    yield Case("5.1", "reset: DATA", reset + wire.data(OPEN, BODY), reset=STREAM_CLOSED, on=OPEN)
    yield Case("5.1", "reset: HEADERS", reset + head(stream=OPEN), goaway=STREAM_CLOSED)
    yield Case("5.1.1", "an even stream", head(stream=8), goaway=PROTOCOL)
    yield Case("5.1.1", "a lower stream", echo(LATER) + head(stream=NEW), goaway=PROTOCOL)
    yield Case("5.1.1", "a stream that was left out", echo(99) + echo(101), on=101, answers=True)
    yield Case("5.1.1", "the last stream there can be", echo(2**31 - 1), on=2**31 - 1, answers=True)
    too_many = b"".join(bidi(stream) for stream in range(NEW, NEW + 2 * 999, 2))
    yield Case("5.1.2", "one stream more than was offered", too_many, reset=ErrorCode.REFUSED_STREAM,
               on=NEW + 2 * 998)  # fmt: skip
    weighed = wire.frame(wire.HEADERS, 4 | wire.WITH_PRIORITY, NEW, b"\0\0\0\x07\x10" + BLOCK)
    yield Case("5.3.2", "HEADERS that depend on themselves", weighed + wire.data(NEW, BODY, 1), answers=True)
    yield Case("5.3.2", "PRIORITY that depends on itself", priority(OPEN, b"\0\0\0\1\x10"))


def _each_frame() -> Iterator[Case]:
    yield Case("6.1", "DATA on stream 0", wire.data(0, BODY), goaway=PROTOCOL)
    yield Case("6.1", "padding as long as DATA", padded(OPEN, b"\x05abcde"[:5]), goaway=PROTOCOL)
    yield Case("6.1", "padded DATA", head() + padded(NEW, b"\x03" + BODY + bytes(3), 1), answers=True)
    yield Case("6.1", "nothing but padding", head() + padded(NEW, b"\x02\0\0") + wire.data(NEW, BODY, 1),
               answers=True)  # fmt: skip
    yield Case("6.2", "HEADERS on stream 0", head(stream=0), goaway=PROTOCOL)
    yield Case(
        "6.2", "padding as long as HEADERS", wire.frame(1, 12, NEW, b"\x21" + BLOCK[:32]), goaway=PROTOCOL
    )
    weighed = wire.frame(wire.HEADERS, 0x2C, NEW, b"\x02" + bytes(4) + b"\x0f" + BLOCK + bytes(2))
    yield Case("6.2", "padded and weighed HEADERS", weighed + wire.data(NEW, BODY, 1), answers=True)
    yield Case("6.3", "PRIORITY on stream 0", priority(0), goaway=PROTOCOL)
    yield Case("6.3", "PRIORITY of 4 octets", priority(OPEN, bytes(4)), reset=SIZE, on=OPEN)
    yield Case("6.4", "RST_STREAM on stream 0", wire.rst(0), goaway=PROTOCOL)
    yield Case("6.4", "RST_STREAM of 3 octets", wire.frame(wire.RST, 0, OPEN, bytes(3)), goaway=SIZE)
    yield Case("6.4", "RST_STREAM with an unknown code", wire.rst(OPEN, 0xFACE))
    promise = wire.frame(wire.PUSH, 4, OPEN, bytes(4) + BLOCK)
    yield Case("6.6", "PUSH_PROMISE from a client", promise, goaway=PROTOCOL)
    yield Case("6.7", "PING on a stream", wire.frame(wire.PING, 0, OPEN, bytes(8)), goaway=PROTOCOL)
    yield Case("6.7", "PING of 7 octets", wire.frame(wire.PING, 0, 0, bytes(7)), goaway=SIZE)
    yield Case("6.7", "a PING's answer that nobody asked for", wire.ping(b"8 octets", 1))
    yield Case("6.8", "GOAWAY on a stream", wire.frame(wire.GOAWAY, 0, OPEN, bytes(8)), goaway=PROTOCOL)
    yield Case("6.8", "GOAWAY of 7 octets", wire.frame(wire.GOAWAY, 0, 0, bytes(7)), goaway=SIZE)
    yield Case("6.8", "GOAWAY, then a request", wire.goaway(0, 0, b"bye") + echo(), answers=True)
    begun = wire.frame(wire.HEADERS, 0, NEW, BLOCK[:9])
    yield Case("6.10", "CONTINUATION after END_HEADERS", head() + more(NEW, BLOCK), goaway=PROTOCOL)
    yield Case("6.10", "CONTINUATION of another stream", begun + more(LATER), goaway=PROTOCOL)
    yield Case("6.10", "CONTINUATION on stream 0", begun + more(0), goaway=PROTOCOL)
    yield Case("6.10", "CONTINUATION after DATA", wire.data(OPEN, b"") + more(OPEN), goaway=PROTOCOL)
    parts = begun + more(NEW, b"", 0) + more(NEW, BLOCK[9:20], 0) + more(NEW, BLOCK[20:])
    yield Case("6.10", "many CONTINUATIONs", parts + wire.data(NEW, BODY, 1), answers=True)
    endless = begun + more(NEW, b"", 0) * 9
    yield Case("10.5.1", "CONTINUATIONs without end", endless, goaway=ErrorCode.ENHANCE_YOUR_CALM)


def _settings_and_windows() -> Iterator[Case]:
    ack = wire.frame(wire.SETTINGS, 1, 0, bytes(6))
    yield Case("6.5", "an acknowledgement with a payload", ack, goaway=SIZE)
    yield Case("6.5", "SETTINGS on a stream", wire.frame(wire.SETTINGS, 0, OPEN), goaway=PROTOCOL)
    yield Case("6.5", "SETTINGS of 7 octets", wire.frame(wire.SETTINGS, 0, 0, bytes(7)), goaway=SIZE)
    yield Case("6.5.2", "ENABLE_PUSH of 2", wire.settings((2, 2)), goaway=PROTOCOL)
    yield Case("6.5.2", "INITIAL_WINDOW_SIZE of 2^31", wire.settings((4, 2**31)), goaway=FLOW)
    yield Case("6.5.2", "MAX_FRAME_SIZE of 16383", wire.settings((5, 16_383)), goaway=PROTOCOL)
    yield Case("6.5.2", "MAX_FRAME_SIZE of 2^24", wire.settings((5, 2**24)), goaway=PROTOCOL)
    yield Case("6.5.2", "an unknown setting", wire.settings((0xF1F1, 2**32 - 1)) + echo(), answers=True)
    yield Case("6.9", "WINDOW_UPDATE of 0 on the connection", wire.window(0, 0), goaway=PROTOCOL)
    yield Case("6.9", "WINDOW_UPDATE of 0 on a stream", wire.window(OPEN, 0), reset=PROTOCOL, on=OPEN)
    yield Case("6.9", "WINDOW_UPDATE of 3 octets", wire.frame(wire.WINDOW, 0, 0, bytes(3)), goaway=SIZE)
    most = 2**31 - 1
    yield Case("6.9.1", "the connection's window overflows", wire.window(0, most), goaway=FLOW)
    yield Case("6.9.1", "a stream's window overflows", wire.window(OPEN, most), reset=FLOW, on=OPEN)
    opened = wire.settings((4, 0)) + wire.window(OPEN, 65_536) + wire.settings((4, most))
    yield Case("6.9.2", "a setting overflows a stream's window", opened, goaway=FLOW)
    # Answers that can't be sent keep the server from taking what it is sent.
    shut, much = wire.settings((4, 0)), bytes(16_384)
    yield Case("6.9.1", "more than a stream's window", shut + wire.data(OPEN, much) * 65, reset=FLOW, on=OPEN)
    each = b"".join(bidi(stream) + wire.data(stream, much) * 52 for stream in range(NEW, NEW + 10, 2))
    yield Case("6.9.1", "more than the connection's window", shut + each, goaway=FLOW)


def _messages() -> Iterator[Case]:
    end = wire.data(NEW, BODY, wire.END_STREAM)
    trailers = [(b"x-after", b"all")]
    yield Case(
        "8.1", "trailers", head() + wire.data(NEW, BODY) + wire.headers(NEW, trailers, LAST), answers=True
    )
    yield Case(
        "8.1", "HEADERS that don't end the stream", wire.headers(OPEN, trailers), reset=PROTOCOL, on=OPEN
    )
    pseudo = wire.headers(OPEN, [(b":path", b"/")], LAST)
    yield Case("8.1", "trailers with a pseudo-header field", pseudo, reset=PROTOCOL, on=OPEN)
    for length, body in ((6, 5), (4, 5), (0, 5), (1, 0)):
        sent = head((b"content-length", b"%d" % length)) + wire.data(NEW, BODY[:body], wire.END_STREAM)
        yield Case("8.1.1", f"content-length {length}, {body} octets", sent, reset=PROTOCOL)
    parted = head((b"content-length", b"5")) + wire.data(NEW, BODY[:3]) + wire.data(NEW, BODY[:3], 1)
    yield Case("8.1.1", "content-length 5, 6 octets in two frames", parted, reset=PROTOCOL)
    yield Case("8.1.1", "content-length as it is", head((b"content-length", b"5")) + end, answers=True)
    for name, value in (
        (b"X-Upper", b"x"), (b"x y", b"x"), (b"x\x7f", b"x"), (b"x\xe9", b"x"), (b"", b"x"), (b"x:y", b"x"),
        (b"x", b"a\0b"), (b"x", b"a\nb"), (b"x", b"a\rb"), (b"x", b" a"), (b"x", b"a\t"),
    ):  # fmt: skip
        yield Case("8.2.1", f"field {name!r}: {value!r}", head((name, value)), reset=PROTOCOL)
    yield Case("8.2.1", "an empty value", head((b"x", b"")) + end, answers=True)
    for name in (b"connection", b"keep-alive", b"proxy-connection", b"transfer-encoding", b"upgrade"):
        yield Case("8.2.2", f"{name.decode()}", head((name, b"x")), reset=PROTOCOL)
    yield Case("8.2.2", "te other than trailers", changed(b"te", b"trailers, deflate"), reset=PROTOCOL)
    crumbs = head((b"cookie", b"a=b"), (b"cookie", b"c=d"))
    yield Case("8.2.3", "crumbs of a cookie", crumbs + end, answers=True)
    yield Case(
        "8.3", "an unknown pseudo-header field", wire.headers(NEW, [(b":x", b"y"), *FIELDS]), reset=PROTOCOL
    )
    yield Case("8.3", "a response's pseudo-header field", wire.headers(NEW, [(b":status", b"200"), *FIELDS]),
               reset=PROTOCOL)  # fmt: skip
    late = head((b":authority", b"x"), but="authority")
    yield Case("8.3", "a pseudo-header field after others", late, reset=PROTOCOL)
    for pair in FIELDS[:3]:
        which = pair[0].decode()
        yield Case("8.3.1", f"no {which}", head(but=which[1:]), reset=PROTOCOL)
        yield Case("8.3.1", f"{which} twice", wire.headers(NEW, [pair, *FIELDS]), reset=PROTOCOL)
    yield Case("8.3.1", "an empty :path", changed(b":path", b""), reset=PROTOCOL)
    yield Case("8.3.1", "a :path without a slash", changed(b":path", b"echo"), reset=PROTOCOL)
    yield Case("8.3.1", "no :authority", head(but="authority") + end, answers=True)
    yield Case("8.3.1", "host that differs", head((b"host", b"y")), reset=PROTOCOL)


def _compression() -> Iterator[Case]:
    end = wire.data(NEW, BODY, wire.END_STREAM)
    for section, what, octets in (
        ("H2.3.3", "an index beyond the tables", b"\xff\x0f"),
        ("H2.3.3", "a name beyond the tables", b"\x7f\x20\x01x"),
        ("H4.2", "a size update at the end", b"\x20"),
        ("H5.1", "an integer without end", b"\xff" + b"\x80" * 9),
        ("H5.2", "padding of eight bits", b"\0\x01a\x82\x1f\xff"),
        ("H5.2", "padding of zeros", b"\0\x01a\x81\x18"),
        ("H5.2", "the end-of-string symbol", b"\0\x01a\x84\xff\xff\xff\xff"),
        ("H5.2", "a string longer than the block", b"\0\x01a\x09x"),
        ("H6.1", "index 0", b"\x80"),
    ):
        yield Case(section, what, block(octets), goaway=COMPRESSION)
    yield Case("H6.3", "a table over the limit", block(BLOCK, after=b"\x3f\xe2\x1f"), goaway=COMPRESSION)
    sizes = wire.frame(wire.HEADERS, 4, NEW, b"\x20\x3f\xe1\x1f" + BLOCK)
    yield Case("H4.2", "size updates at the start", sizes + end, answers=True)
    added = wire.frame(wire.HEADERS, 4, NEW, BLOCK + b"\x40\x01x\x01y") + end
    again = wire.frame(wire.HEADERS, 4, LATER, BLOCK + b"\xbe") + wire.data(LATER, BODY, 1)
    yield Case("H6.2", "an entry that was added", added + again, on=LATER, answers=True)
    yield Case("4.3", "an entry that was evicted", added + wire.frame(1, 4, LATER, b"\x20" + BLOCK + b"\xbe"),
               goaway=COMPRESSION)  # fmt: skip
