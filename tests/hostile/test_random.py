"""Whatever comes: no other exception, no hang, no growth; however it is cut: the same events."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.hostile.scripts import STREAMS, scripts
from tests.hostile.victim import CALL, Victim
from tests.wire.recorded import plain
from whichpod.wire import Body, ClientConnection, LocalProtocolError, Opened, Reply, ServerConnection, Stream
from whichpod.wire.templates import Request

HEAD = ((b":status", b"200"), (b"content-type", b"application/grpc"))
REPLY = Reply(HEAD, ((b"grpc-status", b"0"),))
roles = pytest.mark.parametrize("role", ["server", "client"])


def begin(role: str, streamed: bool) -> Victim:
    victim = Victim(role, streamed=streamed, greeted=False)
    if isinstance(victim.conn, ClientConnection):
        if streamed:
            for _ in range(STREAMS):
                victim.conn.open(CALL.fields)
        else:
            assert victim.conn.requests(CALL, range(STREAMS)) == STREAMS
    return victim


def outcome(role: str, streamed: bool, pieces: list[bytes]) -> tuple[list[Any], bytes, bool, int]:
    victim = begin(role, streamed)
    for piece in pieces:
        victim.feed(piece)
    seen = [plain(event) for event in victim.events]
    return seen, victim.conn.take(), victim.conn.closed, victim.conn.open_streams


@roles
@given(data=st.data(), streamed=st.booleans())
def test_any_cut_gives_the_same_events(role: str, data: st.DataObject, streamed: bool) -> None:
    octets = Victim(role, greeted=False).greeting() + b"".join(data.draw(scripts(role)))
    cuts = sorted(data.draw(st.lists(st.integers(0, len(octets)), max_size=10)))
    whole = outcome(role, streamed, [octets])
    parts = [octets[start:end] for start, end in zip([0, *cuts], [*cuts, len(octets)], strict=True)]
    assert outcome(role, streamed, parts) == whole
    if len(octets) < 3_000:
        assert outcome(role, streamed, [octets[at : at + 1] for at in range(len(octets))]) == whole


def bounded(victim: Victim) -> None:
    conn = victim.conn
    assert len(conn._rest) < 9 + 16_384
    assert conn.open_streams <= 100
    assert conn.outbound < 5 * 2**20
    assert conn._partial is None or len(conn._partial[2]) <= 9 * 16_384
    assert conn._bodies >= 0
    assert conn._held >= 0


@roles
@given(data=st.data(), streamed=st.booleans())
def test_mutated_bytes(role: str, data: st.DataObject, streamed: bool) -> None:
    victim = begin(role, streamed)
    octets = bytearray(victim.greeting() + b"".join(data.draw(scripts(role))))
    for _ in range(data.draw(st.integers(1, 8))):
        at = data.draw(st.integers(0, len(octets)))
        octets[at : at + data.draw(st.integers(0, 2))] = data.draw(st.binary(max_size=2))
    for start in range(0, len(octets), 5_000):
        victim.feed(bytes(octets[start : start + 5_000]))
        bounded(victim)
    victim.events += victim.conn.receive_eof(0)
    assert victim.conn.closed
    assert victim.conn.open_streams == 0
    assert victim.conn._bodies == 0


@roles
@given(octets=st.binary(max_size=400), greeted=st.booleans())
def test_random_bytes(role: str, octets: bytes, greeted: bool) -> None:
    victim = Victim(role, greeted=greeted)
    victim.feed(octets)
    bounded(victim)
    victim.conn.tick(10**12)
    victim.conn.receive_eof(0)
    assert victim.conn.closed


def act(victim: Victim, data: st.DataObject) -> None:
    """One thing that the owner does, at a moment that may be wrong."""
    conn = victim.conn
    streams = [getattr(event, "stream", event) for event in victim.events[-20:]]
    streams = [stream for stream in streams if isinstance(stream, Stream)]
    body = data.draw(st.sampled_from([b"", b"\0\0\0\0\1x", bytes(20_000), bytes(70_000)]))
    end = data.draw(st.booleans())
    move = data.draw(st.integers(0, 7))
    if isinstance(conn, ClientConnection) and move in (0, 1, 2):
        if move == 0:
            conn.requests(Request(CALL.fields, body), [None] * 3)
        elif move == 1:
            conn.send(conn.open(CALL.fields, streamed=end), body, end=True)
        else:
            conn.goaway()
        return
    if not streams:
        return
    stream = data.draw(st.sampled_from(streams))
    if isinstance(conn, ServerConnection) and move in (0, 1, 2):
        if move == 0:
            conn.respond(stream, REPLY, body)
        elif move == 1:
            conn.send_head(stream, HEAD, end=end)
        else:
            conn.send_trailers(stream, REPLY.trailers)
    elif move in (3, 4):
        conn.send(stream, body, end=end)
    elif move == 5:
        conn.reset(stream)
    elif move == 6:
        for event in victim.events:
            if isinstance(event, Body):
                conn.acknowledge(event.stream, event.size)
    elif isinstance(conn, ServerConnection):
        conn.drain(victim.now)


@roles
@given(data=st.data(), streamed=st.booleans())
def test_owner_acts_while_the_peer_misbehaves(role: str, data: st.DataObject, streamed: bool) -> None:
    """Calls raise LocalProtocolError or nothing, and what is sent is made of whole frames."""
    victim = begin(role, streamed)
    victim.feed(victim.greeting())
    for piece in data.draw(scripts(role)):
        victim.feed(piece)
        with contextlib.suppress(LocalProtocolError):
            act(victim, data)
        if data.draw(st.booleans()):
            victim.answers()
        bounded(victim)
    while victim.answers():
        pass
    opened = [event.stream.id for event in victim.events if isinstance(event, Opened)]
    assert len(opened) == len(set(opened))
