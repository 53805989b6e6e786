"""The fast ways give what the plain way gives, however the bytes are cut."""

from __future__ import annotations

from typing import Any
from unittest.mock import patch

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.wire import bytes as wire
from tests.wire.talks import (
    BODIES,
    LAST,
    LIMITS,
    REPLIES,
    Peer,
    Script,
    Step,
    connection,
    perform,
    replay,
    talks,
)
from whichpod.wire import LocalProtocolError, ServerConnection, Stream

roles = pytest.mark.parametrize("role", ["server", "client"])
alikes = st.sampled_from([None, 0, 5, 36, 5_000])
"""What a client's owner says that tells responses apart."""
ALIKE = 5


@roles
@settings(max_examples=150)
@given(steps=talks, alike=alikes)
def test_fast_ways_do_what_the_plain_way_does(role: str, steps: list[Step], alike: int | None) -> None:
    script, outcome, _ = perform(role, steps, alike)
    assert replay(role, script, fast=False) == outcome


@roles
@settings(max_examples=100)
@given(steps=talks, cut=st.one_of(st.integers(1, 200), st.integers(200, 20_000)), alike=alikes)
def test_any_cut_gives_the_same_events_and_output(
    role: str, steps: list[Step], cut: int, alike: int | None
) -> None:
    script, outcome, _ = perform(role, steps, alike)
    assert replay(role, script, cut=cut, alike=alike) == outcome


@roles
@settings(max_examples=30)
@given(steps=talks)
def test_all_that_comes_in_one_piece(role: str, steps: list[Step]) -> None:
    """What was several reads comes as one, as far as the owner does nothing in between."""
    script, outcome, _ = perform(role, steps, ALIKE)
    joined: list[tuple[str, Any]] = []
    for kind, what in script:
        if kind == "feed" and joined and joined[-1][0] == "feed":
            joined[-1] = ("feed", joined[-1][1] + what)
        else:
            joined.append((kind, what))
    assert replay(role, joined, alike=ALIKE) == outcome


@roles
def test_the_talks_take_the_fast_ways(role: str) -> None:
    """The properties above would prove nothing if they didn't: a long run, and all that may interrupt it."""
    run = ("run", 20, 0, [0], "usual", "", True, "", None)
    steps: list[Step] = [run, run, ("resize", 300), run, ("control", b""), run, *[("act", 12, 0, 1), run] * 3]
    if role == "client":
        steps += [("act", 12, 0, 1), ("run", 20, 0, [0], "usual", "", True, "heads first", None)] * 4
    took = 0
    genuine = ServerConnection._take_like

    def counted(self: Any, pattern: Any, data: bytes, at: int, end: int) -> int:
        nonlocal took
        after = genuine(self, pattern, data, at, end)
        took += (after - at) // pattern.size
        return after

    with patch.object(ServerConnection, "_take_like", counted):
        script, outcome, in_runs = perform(role, steps, ALIKE)
    assert took > 60 if role == "server" else in_runs > 100
    assert len(outcome[0]) > 70
    assert replay(role, script, fast=False) == outcome
    for cut in (*range(1, 80), 997, len(BODIES[0])):
        assert replay(role, script, cut=cut, alike=ALIKE) == outcome


def plain_run(role: str, ids: list[int], which: int = 0, block: bytes = b"") -> list[bytes]:
    """Like messages, as a load test has them; `block` refers to the dynamic table."""
    peer = Peer(role)
    if not block:
        return [peer.message(stream, which, BODIES[1], "usual", "", False) for stream in ids]
    fields = wire.literal(wire.REQUEST if role == "server" else wire.RESPONSE) + block
    messages = []
    for stream in ids:
        out = wire.frame(wire.HEADERS, wire.END_HEADERS, stream, fields)
        out += wire.data(stream, BODIES[1], wire.END_STREAM if role == "server" else 0)
        if role == "client":
            out += wire.frame(wire.HEADERS, LAST, stream, block)
        messages.append(out)
    return messages


def begun(role: str, *rest: tuple[str, Any]) -> Script:
    """A script whose first run of six has taught the connection what is to come."""
    ids = list(range(1, 13, 2))
    start = wire.settings() + wire.SETTINGS_ACK
    script: Script = (
        [("feed", wire.PREFACE + start)] if role == "server" else [("act", (20, 0, 0)), ("feed", start)]
    )
    # The table's maximum is told first, as our SETTINGS ask for it.
    size = wire.integer(LIMITS.table, 0x1F, 0x20)
    first = plain_run(role, ids)
    head, rest_of_first = first[0][:9], first[0][9:]
    length = int.from_bytes(head[:3], "big") + len(size)
    first[0] = length.to_bytes(3, "big") + head[3:] + size + rest_of_first
    return [*script, ("feed", b"".join(first)), *rest]


def same(role: str, script: Script) -> tuple[Any, ...]:
    fast = replay(role, script, alike=ALIKE)
    assert replay(role, script, fast=False) == fast
    return fast


@roles
def test_any_bit_that_differs_is_seen(role: str) -> None:
    """Each bit of a message in the middle of a run, and of the run's first."""
    ids = list(range(13, 23, 2))
    messages = plain_run(role, ids)
    for which in (0, 2):
        # Bits of the body are all alike, and those of the first message: one of each octet will do.
        body = messages[which].index(BODIES[1])
        for place in range(len(messages[which])):
            for bit in range(1 if which == 0 or body <= place < body + len(BODIES[1]) else 8):
                octets = bytearray(messages[which])
                octets[place] ^= 1 << bit
                twisted = [*messages[:which], bytes(octets), *messages[which + 1 :]]
                same(role, begun(role, ("feed", b"".join(twisted))))


@roles
def test_another_message_of_the_same_size(role: str) -> None:
    ids = list(range(13, 23, 2))
    messages, others = plain_run(role, ids), plain_run(role, ids, which=1)
    fast = same(role, begun(role, ("feed", b"".join([*messages[:2], others[2], *messages[3:]]))))
    kinds = [dict(event[2])[b"x-kind"] for event in fast[0] if event[0] == "stream"]
    assert kinds[6:] == [b"k0", b"k0", b"k1", b"k0", b"k0"]


@roles
@pytest.mark.parametrize("before", ["head", "data", "rst", "whole", "window-0", "open"])
def test_stream_that_is_not_as_the_others(role: str, before: str) -> None:
    """Its message began, or it ended, before the run comes to it."""
    ids = list(range(13, 23, 2))
    messages = plain_run(role, ids)
    third = messages[2]
    head = third[: 9 + int.from_bytes(third[:3], "big")]
    first = {
        "head": head,
        "data": head + wire.data(ids[2], b"more"),
        "rst": head + wire.rst(ids[2]),
        "whole": third,
        "window-0": head + wire.window(ids[2], 0),
        "open": b"",
    }[before]
    same(role, begun(role, ("feed", first), ("feed", b"".join(messages))))
    same(role, begun(role, ("feed", first + b"".join(messages))))


@roles
def test_same_bytes_mean_something_else(role: str) -> None:
    """The run's header blocks refer to an entry of the table that has moved since."""

    def added(stream: int, field: bytes) -> bytes:
        head = wire.literal(wire.REQUEST if role == "server" else wire.RESPONSE)
        return wire.frame(wire.HEADERS, LAST, stream, head + field)

    runs = [plain_run(role, list(range(at, at + 6, 2)), block=b"\xbe") for at in (15, 23, 31)]
    script = begun(
        role,
        ("feed", added(13, b"\x40\x03x-a\x011") + b"".join(runs[0])),
        ("act", (8, 0, 0)),
        ("feed", added(21, b"\x40\x03x-b\x012") + b"".join(runs[1])),
        ("act", (8, 0, 0)),
        ("feed", added(29, b"\x40\x03x-c\x013")),
        ("feed", b"".join(runs[2])),
    )
    fast = same(role, script)
    last = [event[2][-1] for event in fast[0] if event[0] == "stream" and event[1] >= 13]
    assert last == [(b"x-a", b"1")] * 4 + [(b"x-b", b"2")] * 4 + [(b"x-c", b"3")] * 4


@roles
@pytest.mark.parametrize("skip", [-2, 0, 2, 4])
def test_ids_that_are_not_the_next_ones(role: str, skip: int) -> None:
    ids = [13, 15, 17 + skip, 19 + skip]
    fast = same(role, begun(role, ("feed", b"".join(plain_run(role, ids)) + wire.rst(19 + skip))))
    assert fast[0]


def test_answers_of_one_batch_that_differ() -> None:
    """Streams that came whole, in parts and not at all, bodies of all sizes, until the window is used up."""
    pieces = []
    for conn in (connection("server"), connection("server", fast=False)):
        assert isinstance(conn, ServerConnection)
        conn.receive(wire.PREFACE + wire.settings(), 0)
        octets = b"".join(plain_run("server", list(range(1, 60, 2))))
        octets += b"".join(
            wire.headers(at, wire.REQUEST) + wire.data(at, b"ab") + wire.data(at, b"c", wire.END_STREAM)
            for at in range(61, 80, 2)
        )
        streams = [event for event in conn.receive(octets, 0) if isinstance(event, Stream)]
        assert len(streams) == 40
        streams = [streams[at * 7 % 40] for at in range(40)]
        conn.reset(streams[5])
        conn.send_head(streams[6], REPLIES[0].head)
        with pytest.raises(LocalProtocolError):
            conn.responses(REPLIES[0], [(stream, bytes(10)) for stream in streams[:8]])
        sizes = [4, 4, 5, 4, 0, 4, 4, 9_000, 9_000, 9_001]
        answers = [(stream, bytes(sizes[at % 10])) for at, stream in enumerate(streams[7:])]
        done = conn.responses(REPLIES[0], answers)
        assert conn.waiting > 3
        conn.receive(wire.window(0, 50_000), 0)
        pieces.append((done, conn.waiting, conn._window, conn.open_streams, conn.outbound, conn.take()))
    assert pieces[0] == pieces[1]
    assert pieces[0][:2] == (33, 0)


def test_answers_use_up_the_window() -> None:
    """The last ones of a batch wait, though they are as the first."""
    for fast in (True, False):
        conn = connection("server", fast=fast)
        assert isinstance(conn, ServerConnection)
        conn.receive(wire.PREFACE + wire.settings(), 0)
        octets = b"".join(plain_run("server", list(range(1, 60, 2))))
        streams = [event for event in conn.receive(octets, 0) if isinstance(event, Stream)]
        assert conn.responses(REPLIES[0], [(stream, bytes(5_000)) for stream in streams]) == 30
        assert conn.waiting == 30 - 65_535 // 5_000
        assert sum(len(found.payload) for found in wire.split(conn.take()) if found.kind == 0) == 65_535


@pytest.mark.parametrize("sizes", [(0,), (100,), (0, 4_096), (65_536, 30)])
def test_answers_after_the_peer_resizes_its_table(sizes: tuple[int, ...]) -> None:
    """What was packed for one table is of no use with another."""
    taken = []
    for conn in (connection("server"), connection("server", fast=False)):
        assert isinstance(conn, ServerConnection)
        conn.receive(wire.PREFACE + wire.settings(), 0)
        out = b""
        for at in range(1, 41, 10):
            octets = b"".join(plain_run("server", list(range(at, at + 10, 2))))
            streams = [event for event in conn.receive(octets, 0) if isinstance(event, Stream)]
            for reply in REPLIES[:2]:
                conn.responses(reply, [(stream, bytes(6)) for stream in streams[:3]])
                streams = streams[3:]
            out += conn.take()
            if at == 11:
                conn.receive(b"".join(wire.settings((1, size)) for size in sizes), 0)
        taken.append(out)
    assert taken[0] == taken[1]
