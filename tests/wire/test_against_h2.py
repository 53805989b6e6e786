"""Whole conversations with h2 at the other end: both must have seen what the other did."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from tests.wire import bytes as wire
from tests.wire.h2peer import H2Peer, Pairs, Seen
from whichpod.wire import (
    Body,
    ClientConnection,
    Ended,
    ErrorCode,
    Event,
    Failed,
    GoawayReceived,
    Limits,
    Opened,
    PingAcked,
    Reply,
    Request,
    ServerConnection,
    Stream,
    Terminated,
)

SIZES = [0, 1, 37, 1_000, 16_384, 40_000, 150_000]
TABLES = [0, 1, 100, 4_096, 65_536]
WINDOWS = [0, 3_000, 20_000, 65_535, 2**31 - 1]
NOTES: list[Pairs] = [
    (), ((b"x-n", b"1"),), ((b"x-n", b"2"), (b"authorization", b"Bearer")),
    ((b"x-long", b"v" * 20_000),), tuple((b"x-%d" % at, b"w" * 50) for at in range(60)),
]  # fmt: skip

sizes, tables = st.sampled_from(SIZES), st.sampled_from(TABLES)
notes = st.integers(0, len(NOTES) - 1)
which = st.integers(0, 9)
pumped = st.booleans()
peer_settings = st.one_of(
    st.tuples(st.just(wire.SETTINGS), st.just(1), tables),
    st.tuples(st.just(wire.SETTINGS), st.just(4), st.sampled_from(WINDOWS[:-1])),
    st.tuples(st.just(wire.SETTINGS), st.just(5), st.sampled_from([16_384, 100_000])),
    st.tuples(st.just(wire.SETTINGS), st.just(6), st.sampled_from([100_000, 2**20])),
)
steps = st.lists(
    st.tuples(
        st.one_of(
            st.tuples(st.just("calls"), st.integers(1, 8), sizes, notes),
            st.tuples(st.just("calls"), st.integers(1, 8), sizes, notes),
            st.tuples(st.just("stream"), sizes, sizes, notes),
            st.tuples(st.just("answers"), st.integers(1, 9), sizes, notes),
            st.tuples(st.just("answers"), st.integers(1, 9), sizes, notes),
            st.tuples(st.just("only-trailers"), which, notes),
            st.tuples(st.just("no-trailers"), which, sizes),
            st.tuples(st.sampled_from(["reset-by-us", "reset-by-h2"]), which, st.sampled_from([0, 2, 7, 8])),
            st.tuples(st.sampled_from(["ping-by-us", "ping-by-h2", "priority", "interim", "unread", "read"])),
            st.tuples(st.just("most"), st.sampled_from([0, 1, 3, 100])),
            peer_settings,
        ),
        pumped,
    ),
    max_size=14,
)
Steps = list[tuple[tuple[Any, ...], bool]]


class Pair:
    """Ours and h2's, and what ours saw."""

    def __init__(self, ours: ServerConnection | ClientConnection, h2: H2Peer, chunk: int) -> None:
        self.ours, self.h2, self.chunk = ours, h2, chunk
        self.seen: dict[int, Seen] = {}
        self.finished: dict[int, Stream] = {}
        self.pongs: list[bytes] = []
        self.gone: list[int] = []

    def pump(self) -> None:
        """Everything on its way arrives."""
        while True:
            forth, back = self.ours.take(), self.h2.take()
            if not forth and not back:
                return
            for at in range(0, len(forth), self.chunk):
                self.h2.receive(forth[at : at + self.chunk])
            for at in range(0, len(back), self.chunk):
                for event in self.ours.receive(back[at : at + self.chunk], 0):
                    self.note(event)

    def note(self, event: Event) -> None:
        assert not isinstance(event, Terminated), event.error
        if isinstance(event, PingAcked):
            self.pongs.append(event.data)
        elif isinstance(event, GoawayReceived):
            self.gone.append(event.last_id)
        if not isinstance(event, Stream | Opened | Body | Ended | Failed):
            return
        stream = event if isinstance(event, Stream) else event.stream
        seen = self.seen.setdefault(stream.id, Seen())
        if isinstance(event, Failed):
            seen.reset = event.error.code
            return
        assert not seen.ended
        assert stream.head is not None
        seen.head = stream.head.fields
        if isinstance(event, Body):
            seen.body += event.data
            self.ours.acknowledge(stream, event.size)
        elif isinstance(event, Stream | Ended):
            seen.body += stream.body
            seen.trailers = stream.trailers.fields if stream.trailers else ()
            seen.ended = True
        if isinstance(event, Stream | Opened):
            self.finished[stream.id] = stream


def payload(size: int, salt: int) -> bytes:
    return bytes((salt + at) % 251 for at in range(min(size, 251))) * (size // 251 + 1) if size else b""


def cut(size: int, salt: int) -> bytes:
    return payload(size, salt)[:size]


def head_of(number: int, path: bytes = b"/a.B/C") -> Pairs:
    fields = [(name, path if name == b":path" else value) for name, value in wire.REQUEST]
    return (*fields, *NOTES[number])


RESPONSE, TRAILERS = tuple(wire.RESPONSE), tuple(wire.TRAILERS)


def run_client(script: Steps, table: int, theirs: int, window: int, chunk: int) -> None:
    limits = Limits(table=table, stream_window=100_000, connection_window=200_000)
    pair = Pair(ClientConnection(0, limits), H2Peer(client=False, table=theirs, window=window), chunk)
    ours, h2 = pair.ours, pair.h2
    assert isinstance(ours, ClientConnection)
    asked: dict[int, tuple[Pairs, bytes]] = {}
    answered: dict[int, Seen] = {}
    streams: dict[int, Stream] = {}
    reset: set[int] = set()
    pings, interims = 0, False

    def answerable() -> list[int]:
        return [
            at for at, seen in h2.streams.items() if seen.head and at not in answered and seen.reset is None
        ]

    def answer(at: int, size: int, note: int, *, trailers: bool = True) -> None:
        head = (*RESPONSE, *NOTES[note])
        tail = (*TRAILERS, *NOTES[note]) if trailers else ()
        if interims:
            h2.conn.send_headers(at, [(b":status", b"103"), (b"x-early", b"1")])
        answered[at] = Seen(head, bytearray(cut(size, at)), tail, True)
        h2.conn.send_headers(at, head)
        h2.send(at, cut(size, at), tail)

    pair.pump()
    for (kind, *args), pump in script:
        if kind == "calls":
            call = Request(head_of(args[2]), cut(args[1], 7))
            start = ours._next_id
            ours.requests(call, range(args[0]))
            for at in range(start, ours._next_id, 2):
                asked[at] = (call.fields, call.body)
            streams.update((stream.id, stream) for stream in ours.streams)
        elif kind == "stream" and ours.capacity:
            stream = ours.open(head_of(args[2]), "streamed")
            first, second = cut(args[0], 1), cut(args[1], 2)
            ours.send(stream, first)
            ours.send(stream, second, end=True)
            asked[stream.id], streams[stream.id] = (head_of(args[2]), first + second), stream
        elif kind == "answers":
            for at in answerable()[: args[0]]:
                answer(at, args[1], args[2])
        elif kind in ("only-trailers", "no-trailers"):
            for at in answerable()[args[0] : args[0] + 1]:
                if kind == "no-trailers":
                    answer(at, args[1], 0, trailers=False)
                else:
                    head = (*RESPONSE, *TRAILERS, *NOTES[args[1]])
                    answered[at] = Seen(head, ended=True)
                    h2.conn.send_headers(at, head, end_stream=True)
        elif kind == "reset-by-us":
            for at in list(asked)[args[0] : args[0] + 1]:
                if at in ours._streams:
                    ours.reset(streams[at], args[1])
                    reset.add(at)
        elif kind == "reset-by-h2":
            for at in answerable()[args[0] : args[0] + 1]:
                h2.conn.reset_stream(at, args[1])
                answered[at] = Seen(reset=args[1])
        elif kind == "ping-by-us":
            ours.ping(b"%08d" % pings)
            pings += 1
        elif kind == "ping-by-h2":
            h2.conn.ping(b"pingpong")
        elif kind == "interim":
            interims = True
        elif kind in ("unread", "read"):
            h2.unread = kind == "unread"
        elif kind == "most":
            h2.conn.update_settings({3: args[0]})
        elif kind == wire.SETTINGS:
            h2.conn.update_settings({args[0]: args[1]})
        if pump:
            pair.pump()
            assert len(pair.pongs) == pings

    def answer_all() -> None:
        for at in answerable():
            answer(at, 5, 0)

    finish(pair, answer_all)
    assert pair.pongs == [b"%08d" % at for at in range(pings)]
    for at, (head, body) in asked.items():
        there = h2.streams[at]
        if at in reset:
            assert at not in pair.seen or pair.seen[at].reset is None
            continue
        assert there.head == head
        if answered[at].reset is not None:
            assert pair.seen[at].reset == answered[at].reset
            continue
        assert pair.seen[at] == answered[at]
        if there.reset is not None:
            # The answer was complete before the request: the rest of that was called off.
            assert there.reset == ErrorCode.NO_ERROR
            assert body.startswith(there.body)
            continue
        assert there.ended
        assert there.body == body
    assert ours.open_streams == 0
    assert pair.seen.keys() <= asked.keys()


def finish(pair: Pair, last: Callable[[], None]) -> None:
    """Opens what is shut and lets everything come to its end."""
    h2 = pair.h2
    h2.unread = False
    h2.conn.update_settings({4: 65_535})
    pair.pump()
    h2.receive(b"")
    for at in list(h2.conn.streams):
        if not h2.conn.streams[at].closed:
            h2.conn.increment_flow_control_window(2**20, at)
    h2.conn.increment_flow_control_window(2**24)
    pair.pump()
    last()
    pair.pump()


def run_server(script: Steps, table: int, theirs: int, window: int, chunk: int) -> None:
    limits = Limits(table=table, stream_window=100_000, connection_window=200_000)
    server = ServerConnection(0, limits, streams=lambda head: head.path == b"/streamed")
    pair = Pair(server, H2Peer(client=True, table=theirs, window=window), chunk)
    h2 = pair.h2
    asked: dict[int, Seen] = {}
    answered: dict[int, Seen] = {}
    reset: set[int] = set()
    next_id, pings, prioritised = 1, 0, False

    def ask(head: Pairs, body: bytes, trailers: Pairs, padding: int | None = None) -> None:
        nonlocal next_id
        # h2 doesn't leave room for the priority in a frame that the fields fill.
        weight = 10 if prioritised and head[-1] not in NOTES[3] else None
        asked[next_id] = Seen(head, bytearray(body), trailers, True)
        h2.conn.send_headers(next_id, head, end_stream=not body and not trailers, priority_weight=weight)
        if body or trailers:
            h2.send(next_id, body, trailers, padding)
        next_id += 2

    def answerable(whole: bool = True) -> list[Stream]:
        return [
            stream
            for at, stream in pair.finished.items()
            if at not in answered and pair.seen[at].reset is None and (pair.seen[at].ended or not whole)
        ]

    def answer(streams: list[Stream], size: int, note: int, *, trailers: bool = True) -> None:
        reply = Reply((*RESPONSE, *NOTES[note]), (*TRAILERS, *NOTES[note]) if trailers else ())
        batch = [(stream, cut(size, stream.id)) for stream in streams]
        assert server.responses(reply, batch) == len(streams)
        for stream, body in batch:
            answered[stream.id] = Seen(reply.head, bytearray(body), reply.trailers, True)

    pair.pump()
    for (kind, *args), pump in script:
        if kind == "calls":
            room = 100 - len([at for at in asked if at not in answered and at not in reset])
            for _ in range(min(args[0], room)):
                ask(head_of(args[2]), cut(args[1], next_id), ())
        elif kind == "stream":
            ask(head_of(args[2], b"/streamed"), cut(args[0], 3), ((b"x-t", b"1"),), args[1] % 200)
        elif kind == "answers":
            answer(answerable()[: args[0]], args[1], args[2])
        elif kind == "only-trailers":
            for stream in answerable()[args[0] : args[0] + 1]:
                head = (*RESPONSE, *TRAILERS, *NOTES[args[1]])
                assert server.send_head(stream, head, end=True)
                answered[stream.id] = Seen(head, ended=True)
        elif kind == "no-trailers":
            # A streamed answer, that may begin before the request has ended.
            for stream in answerable(whole=False)[args[0] : args[0] + 1]:
                if stream.streamed and not pair.seen[stream.id].ended:
                    continue
                body = cut(args[1], stream.id)
                assert server.send_head(stream, RESPONSE)
                assert server.send(stream, body[:10])
                assert server.send(stream, body[10:])
                assert server.send_trailers(stream, TRAILERS)
                answered[stream.id] = Seen(RESPONSE, bytearray(body), TRAILERS, True)
        elif kind == "reset-by-us":
            for stream in answerable(whole=False)[args[0] : args[0] + 1]:
                server.reset(stream, args[1])
                answered[stream.id] = Seen(reset=args[1])
        elif kind == "reset-by-h2":
            for at in [at for at in asked if at not in reset and at not in answered][args[0] : args[0] + 1]:
                if not h2.streams.get(at, Seen()).ended:
                    h2.conn.reset_stream(at, args[1])
                    h2.out.pop(at, None)
                    reset.add(at)
        elif kind == "ping-by-us":
            server.ping(b"%08d" % pings)
            pings += 1
        elif kind == "ping-by-h2":
            h2.conn.ping(b"pingpong")
        elif kind == "priority":
            prioritised = True
        elif kind in ("unread", "read"):
            h2.unread = kind == "unread"
        elif kind == wire.SETTINGS:
            h2.conn.update_settings({args[0]: args[1]})
        if pump:
            pair.pump()
            assert len(pair.pongs) == pings
    finish(pair, lambda: answer(answerable(), 5, 0))
    assert pair.pongs == [b"%08d" % at for at in range(pings)]
    for at, request in asked.items():
        if at in reset:
            continue
        here, there = pair.seen[at], h2.streams[at]
        if answered[at].reset is not None:
            assert there.reset == answered[at].reset
            continue
        assert here == request
        assert there == answered[at]
    assert server.open_streams == 0
    server.drain(0)
    # To h2 a GOAWAY is the end: the PING that follows would be a fault.
    h2.receive(server.take()[: 9 + 8])
    assert h2.gone == 2**31 - 1


@pytest.mark.parametrize("run", [run_client, run_server], ids=["client", "server"])
@settings(max_examples=30, phases=[Phase.explicit, Phase.reuse, Phase.generate])
@given(
    script=steps,
    table=tables,
    theirs=tables,
    window=st.sampled_from(WINDOWS),
    chunk=st.sampled_from([100, 2_000, 2**20]),
)
def test_conversation(run: Any, script: Steps, table: int, theirs: int, window: int, chunk: int) -> None:
    run(script, table, theirs, window, chunk)
