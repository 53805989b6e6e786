"""Conversations for hypothesis to make up: mostly runs of like messages, as a load test has them, with
whatever may come between two of them. What the peer sends depends on the streams that are really open."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import hpack
from hypothesis import strategies as st

from tests.wire import bytes as wire
from tests.wire.plainly import PlainClient, PlainServer
from tests.wire.recorded import plain
from whichpod.wire import ClientConnection, Limits, Reply, Request, Run, ServerConnection, Stream

BODIES = [b"\0\0\0\0\1y", bytes(37), b"x" * 37, bytes(5_000), bytes(16_384), b"\0"]
REQUESTS = [
    Request((*wire.REQUEST, (b"x-n", b"%d" % number)), body)
    for number, body in enumerate([BODIES[0], BODIES[1], bytes(20_000), b""])
]
REPLIES = [
    Reply(tuple(wire.RESPONSE), tuple(wire.TRAILERS)),
    Reply(tuple(wire.RESPONSE), (*wire.TRAILERS, (b"x-whichpod-server", b"a"))),
    Reply(tuple(wire.RESPONSE)),
]
ANSWERS = [b"\0\0\0\0\1z", bytes(37), b"", bytes(20_000), b"w" * 37]
LAST = wire.END_HEADERS | wire.END_STREAM
ENDINGS = (*["usual"] * 9, "data", "trailers", "empty-data", "none", "head")
DRESSES = (*[""] * 12, "padded", "continued", "priority", "reserved", "length")
LIMITS = Limits(connection_window=100_001, stream_window=70_001, table=2_000)

runs = st.tuples(
    st.just("run"), st.integers(1, 20), st.integers(0, 3),
    st.lists(st.integers(0, 5), min_size=1, max_size=2), st.sampled_from(ENDINGS), st.sampled_from(DRESSES),
    st.booleans(), st.sampled_from(["", "", "", "shuffled", "heads first"]),
    st.one_of(*[st.none()] * 4, st.tuples(st.integers(0, 19), st.integers(0, 60), st.integers(0, 7))),
)  # fmt: skip
acts = st.tuples(st.just("act"), st.integers(1, 30), st.integers(0, 3), st.integers(0, 9))
controls = st.tuples(
    st.just("control"),
    st.one_of(
        st.builds(wire.ping, st.binary(min_size=8, max_size=8)),
        st.builds(wire.window, st.just(0), st.sampled_from([1, 30_000, 70_000])),
        st.builds(wire.settings, st.tuples(st.just(1), st.sampled_from([0, 100, 4_096, 65_536]))),
        st.builds(wire.settings, st.tuples(st.just(3), st.sampled_from([0, 1, 30]))),
        st.builds(wire.settings, st.tuples(st.just(4), st.sampled_from([0, 20, 16_384, 70_000]))),
        st.sampled_from([wire.SETTINGS_ACK, wire.frame(0x33, 0, 0, b"?"), wire.settings((8, 1), (0x99, 5))]),
    ),
)
touches = st.tuples(
    st.just("touch"), st.integers(1, 30),
    st.sampled_from(["rst", "window", "data", "window-0", "priority", "trailers", "interim"]),
)  # fmt: skip
resizes = st.tuples(st.just("resize"), st.sampled_from([0, 50, 300, 2_000]))
Step = tuple[Any, ...]
talks: st.SearchStrategy[list[Step]] = st.lists(
    st.one_of(runs, runs, runs, runs, acts, acts, controls, touches, resizes), max_size=14
)


class Peer:
    """Makes the steps concrete: calls of the owner, and bytes that come."""

    def __init__(self, role: str) -> None:
        self.role = role
        self.hpack = hpack.Encoder()
        self.hpack.header_table_size = LIMITS.table
        self.next = 1
        self.waiting: list[int] = []

    def block(self, fields: list[tuple[bytes, bytes]], indexed: bool) -> bytes:
        if not indexed:
            return wire.literal(fields)
        return bytes(self.hpack.encode(fields))

    def resize(self, size: int) -> None:
        # hpack forgets that a change waits where the size is set again to what it is.
        if size != self.hpack.header_table_size:
            self.hpack.header_table_size = size

    def head(
        self, stream: int, fields: list[tuple[bytes, bytes]], indexed: bool, dress: str, end: bool
    ) -> bytes:
        block = self.block(fields, indexed)
        flags = wire.END_STREAM if end else 0
        if dress == "continued":
            cut = len(block) // 2
            first = wire.frame(wire.HEADERS, flags, stream, block[:cut])
            return first + wire.frame(wire.CONTINUATION, wire.END_HEADERS, stream, block[cut:])
        flags |= wire.END_HEADERS
        if dress == "priority":
            return wire.frame(wire.HEADERS, flags | wire.WITH_PRIORITY, stream, bytes(5) + block)
        if dress == "padded":
            return wire.frame(wire.HEADERS, flags | wire.PADDED, stream, b"\x07" + block + bytes(7))
        if dress == "reserved":
            return wire.frame(wire.HEADERS, flags | 0x40, stream | 1 << 31, block)
        return wire.frame(wire.HEADERS, flags, stream, block)

    def message(self, stream: int, which: int, body: bytes, ending: str, dress: str, indexed: bool) -> bytes:
        fields = [*(wire.REQUEST if self.role == "server" else wire.RESPONSE), (b"x-kind", b"k%d" % which)]
        if dress == "length":
            fields.append((b"content-length", b"%d" % len(body)))
        if ending == "usual":
            ending = "data" if self.role == "server" else "trailers"
        out = self.head(stream, fields, indexed, dress, ending == "head")
        if ending == "head":
            return out
        flags = wire.END_STREAM if ending == "data" else 0
        if dress == "padded":
            out += wire.frame(wire.DATA, flags | wire.PADDED, stream, b"\x03" + body[:16_000] + bytes(3))
        else:
            out += wire.data(stream | (1 << 31 if dress == "reserved" else 0), body, flags)
        if ending == "empty-data":
            out += wire.data(stream, b"", wire.END_STREAM)
        elif ending == "trailers":
            out += self.head(stream, [*wire.TRAILERS, (b"x-t", b"%d" % (which // 2))], indexed, dress, True)
        return out

    def run(self, step: Step) -> bytes:
        _, count, which, bodies, ending, dress, indexed, order, twist = step
        if self.role == "server":
            ids = list(range(self.next, self.next + 2 * count, 2))
            self.next += 2 * count
        else:
            ids, self.waiting = self.waiting[:count], self.waiting[count:]
            if order == "shuffled":
                ids.reverse()
        messages = [
            self.message(stream, which, BODIES[bodies[at % len(bodies)]], ending, dress, indexed)
            for at, stream in enumerate(ids)
        ]
        if twist and messages:
            # One message has another bit somewhere, most likely in what stands around its body.
            at, place, bit = twist
            octets = bytearray(messages[at % len(messages)])
            octets[place % len(octets)] ^= 1 << bit
            messages[at % len(messages)] = bytes(octets)
        if order == "heads first" and self.role == "client":
            # As nghttpd has it, where responses are ready together.
            ends = [9 + int.from_bytes(message[:3], "big") for message in messages]
            heads = [message[:end] for message, end in zip(messages, ends, strict=True)]
            messages = heads + [message[end:] for message, end in zip(messages, ends, strict=True)]
        return b"".join(messages)

    def touch(self, stream: int, how: str) -> bytes:
        if how == "rst":
            return wire.rst(stream)
        if how == "data":
            return wire.data(stream, b"touch")
        if how == "priority":
            return wire.frame(wire.PRIORITY, 0, stream, bytes(5))
        if how == "trailers":
            return wire.headers(stream, wire.TRAILERS, LAST)
        if how == "interim":
            return wire.headers(stream, [(b":status", b"103")])
        return wire.window(stream, 0 if how == "window-0" else 30_000)


Script = list[tuple[str, Any]]
"""("feed", bytes) or ("act", which, count, template, body)."""


def connection(
    role: str, *, fast: bool = True, alike: int | None = None
) -> ServerConnection | ClientConnection:
    if role == "server":
        return ServerConnection(0, LIMITS) if fast else PlainServer(0, LIMITS)
    if not fast:
        return PlainClient(0, LIMITS)
    client = ClientConnection(0, LIMITS)
    client.alike = alike
    return client


class Player:
    """Plays a script on a connection and records all that can be seen of it."""

    def __init__(self, conn: ServerConnection | ClientConnection) -> None:
        self.conn = conn
        self.events: list[Any] = []
        self.out: list[bytes] = []
        self.answerable: list[Stream] = []
        self.in_runs = 0

    def feed(self, octets: bytes) -> None:
        for event in self.conn.receive(octets, 0):
            if isinstance(event, Run):
                self.in_runs += len(event)
                self.events.extend(plain(stream) for stream in event)
                continue
            self.events.append(plain(event))
            if isinstance(event, Stream):
                self.answerable.append(event)

    def act(self, count: int, template: int, body: int) -> int:
        """What the owner does, all output taken before and after; how many streams it was done for."""
        self.out.append(self.conn.take())
        if isinstance(self.conn, ClientConnection):
            done = self.conn.requests(REQUESTS[template], range(count))
        else:
            now, self.answerable = self.answerable[:count], self.answerable[count:]
            # Bodies of one size, or of two in turns.
            bodies = [ANSWERS[body % 5], ANSWERS[(body + body // 5) % 5]]
            answers = [(stream, bodies[at % 2]) for at, stream in enumerate(now)]
            done = self.conn.responses(REPLIES[template % 3], answers)
        self.out.append(self.conn.take())
        return done

    def outcome(self) -> tuple[Any, ...]:
        conn = self.conn
        out = b"".join([*self.out, conn.take()])
        ends = (conn.closed, conn.open_streams, conn.waiting, conn._window, conn._allowance, conn._work)
        if isinstance(conn, ClientConnection):
            return self.events, out, ends, conn.capacity, conn.spent
        return self.events, out, ends, conn.finished


def perform(
    role: str, steps: Sequence[Step], alike: int | None = None
) -> tuple[Script, tuple[Any, ...], int]:
    """Plays the steps on the connection as it is; the script that they came to, the outcome, and how many
    responses came in runs."""
    peer, player = Peer(role), Player(connection(role, alike=alike))
    script: Script = []

    def feed(octets: bytes) -> None:
        script.append(("feed", octets))
        player.feed(octets)

    def act(count: int, template: int, body: int) -> None:
        script.append(("act", (count, template, body)))
        start = peer.next
        done = player.act(count, template, body)
        if role == "client":
            peer.next += 2 * done
            peer.waiting += range(start, peer.next, 2)

    if role == "client":
        act(20, 0, 0)
        feed(wire.settings() + wire.SETTINGS_ACK)
    else:
        feed(wire.PREFACE + wire.settings() + wire.SETTINGS_ACK)
    for step in steps:
        if step[0] == "run":
            if role == "client" and not peer.waiting:
                act(step[1], step[2] % 2, 0)
            feed(peer.run(step))
        elif step[0] == "act":
            act(*step[1:])
        elif step[0] == "control":
            feed(step[1])
        elif step[0] == "resize":
            peer.resize(step[1])
        elif peer.next > 1:
            feed(peer.touch(max(peer.next - 2 * step[1], 1), step[2]))
    return script, player.outcome(), player.in_runs


def replay(
    role: str, script: Script, *, fast: bool = True, cut: int = 0, alike: int | None = None
) -> tuple[Any, ...]:
    """The outcome of a script. `cut`: what is fed comes in pieces of that many bytes; 0 for one piece."""
    player = Player(connection(role, fast=fast, alike=alike))
    for kind, what in script:
        if kind == "act":
            player.act(*what)
            continue
        size = cut or max(len(what), 1)
        for at in range(0, len(what), size):
            player.feed(what[at : at + size])
    return player.outcome()
