"""Responses that look alike come as runs; what is in flight is told whatever form it has."""

from __future__ import annotations

from typing import Any

import pytest

from tests.wire import bytes as wire
from whichpod.wire import (
    ClientConnection,
    Event,
    Failed,
    GoawayReceived,
    Limits,
    Request,
    Run,
    Stream,
    Terminated,
)

REQUEST = Request(tuple(wire.REQUEST), b"\0\0\0\0\1x")
LAST = wire.END_HEADERS | wire.END_STREAM


def body(server: bytes, call: int) -> bytes:
    return b"\0\0\0\0\x0c" + server.ljust(8, b".") + b"%04d" % call


def head(stream: int) -> bytes:
    return wire.headers(stream, wire.RESPONSE)


def rest(stream: int, content: bytes) -> bytes:
    return wire.data(stream, content) + wire.headers(stream, wire.TRAILERS, LAST)


def answer(stream: int, server: bytes = b"a") -> bytes:
    return head(stream) + rest(stream, body(server, stream))


def client(alike: int | None = 13, limits: Limits | None = None, *, next_id: int = 1) -> ClientConnection:
    """One that knows by now how responses look."""
    conn = ClientConnection(0, limits, next_id=next_id)
    conn.alike = alike
    conn.receive(wire.settings((3, 1_000)) + wire.SETTINGS_ACK, 0)
    for _ in range(2):
        start = conn._next_id
        assert conn.requests(REQUEST, [0] * 3) == 3
        conn.receive(b"".join(answer(stream) for stream in range(start, start + 6, 2)), 0)
    assert conn.open_streams == 0
    conn.take()
    return conn


def sent(conn: ClientConnection, tokens: list[Any]) -> range:
    start = conn._next_id
    assert conn.requests(REQUEST, tokens) == len(tokens)
    return range(start, start + 2 * len(tokens), 2)


def told(events: list[Event]) -> list[tuple[int, bytes, Any]]:
    """(stream, body, token) of each response, in runs or not."""
    found = []
    for event in events:
        for stream in event if isinstance(event, Run) else [event]:
            assert isinstance(stream, Stream)
            assert stream.head is not None
            assert stream.trailers is not None
            assert (stream.head.status, stream.trailers.get(b"grpc-status")) == (200, b"0")
            found.append((stream.id, stream.body, stream.token))
    return found


def lengths(events: list[Event]) -> list[int]:
    return [len(event) if isinstance(event, Run) else 1 for event in events]


def test_answers_that_come_together_are_a_run() -> None:
    conn = client()
    ids = sent(conn, list("abcde"))
    assert conn.open_streams == 5
    events = conn.receive(b"".join(map(answer, ids)), 0)
    assert lengths(events) == [5]
    assert told(events) == [
        (stream, body(b"a", stream), token) for stream, token in zip(ids, "abcde", strict=True)
    ]
    assert conn.open_streams == 0


def test_without_being_asked_for_there_is_none() -> None:
    conn = client(None)
    ids = sent(conn, [0] * 5)
    assert lengths(conn.receive(b"".join(map(answer, ids)), 0)) == [1] * 5


def test_beginnings_first_bodies_later() -> None:
    """nghttpd's order. It may be cut anywhere between two responses."""
    conn = client()
    for _ in range(2):
        ids = sent(conn, list("abcde"))
        assert conn.receive(b"".join(map(head, ids)), 0) == []
        assert conn.open_streams == 5
        bodies = [rest(stream, body(b"a", stream)) for stream in ids]
        events = conn.receive(b"".join(bodies[:2]), 0)
        assert conn.open_streams == 3
        events += conn.receive(b"".join(bodies[2:]), 0)
        assert [token for _, _, token in told(events)] == list("abcde")
        assert lengths(events) == [2, 3]


def test_a_beginning_that_came_first_by_chance() -> None:
    """A read ended right after it; what comes later is whole again, and taken so."""
    conn = client()
    ids = sent(conn, [0] * 4)
    whole = b"".join(map(answer, ids))
    cut = len(head(ids[0]))
    assert conn.receive(whole[:cut], 0) == []
    assert sum(lengths(conn.receive(whole[cut:], 0))) == 4
    for _ in range(3):
        ids = sent(conn, [0] * 4)
        events = conn.receive(b"".join(map(answer, ids)), 0)
    assert lengths(events) == [4]


def test_only_some_are_answered() -> None:
    conn = client()
    ids = sent(conn, list("abcde"))
    events = conn.receive(b"".join(map(answer, ids[:2])), 0)
    assert (lengths(events), conn.open_streams, conn.capacity) == ([2], 3, 997)
    more = sent(conn, list("fg"))
    events = conn.receive(b"".join(map(answer, [*ids[2:], *more])), 0)
    assert lengths(events) == [5]
    assert [token for _, _, token in told(events)] == list("cdefg")


def test_another_server_is_another_run() -> None:
    """What tells servers apart differs within the batch: no run has two of them."""
    conn = client()
    ids = sent(conn, list("abcdef"))
    servers = [b"a", b"a", b"b", b"b", b"b", b"a"]
    events = conn.receive(b"".join(map(answer, ids, servers)), 0)
    assert sum(lengths(events)) == 6
    assert [content[5:6] for _, content, _ in told(events)] == servers
    for event in events:
        if isinstance(event, Run):
            assert len({stream.body[:13] for stream in event}) == 1
    # What doesn't tell them apart doesn't split one.
    conn = client(alike=5)
    ids = sent(conn, list("abcdef"))
    events = conn.receive(b"".join(map(answer, ids, servers)), 0)
    assert lengths(events) == [6]
    assert [content[5:6] for _, content, _ in told(events)] == servers


def test_what_tells_them_apart_may_change() -> None:
    conn = client(alike=5)
    ids = sent(conn, [0] * 4)
    conn.alike = 13
    events = conn.receive(b"".join(map(answer, ids, [b"a", b"a", b"b", b"b"])), 0)
    assert [len({stream.body[:13] for stream in event}) for event in events if isinstance(event, Run)] == [
        1
    ] * (len([event for event in events if isinstance(event, Run)]))
    assert sum(lengths(events)) == 4


@pytest.mark.parametrize("order", [[4, 3, 2, 1, 0], [0, 2, 4, 1, 3], [1, 0, 3, 2, 4]])
def test_out_of_order(order: list[int]) -> None:
    conn = client()
    ids = sent(conn, list("abcde"))
    events = conn.receive(b"".join(answer(ids[at]) for at in order), 0)
    assert [token for _, _, token in told(events)] == ["abcde"[at] for at in order]


def test_a_server_that_mixes_answers_is_no_longer_tried() -> None:
    conn = client()
    for _ in range(60):
        ids = sent(conn, list("abcd"))
        assert len(told(conn.receive(b"".join(map(answer, reversed(ids))), 0))) == 4
    assert conn._luck <= 0
    ids = sent(conn, list("abcd"))
    assert not conn._flights
    assert lengths(conn.receive(b"".join(map(answer, ids)), 0)) == [1] * 4


def test_windows_open_in_time() -> None:
    """Bodies of runs use the connection's window as any others do."""
    conn = client(limits=Limits(connection_window=70_000))
    received = granted = 0
    for _ in range(2_000):
        ids = sent(conn, [0] * 5)
        conn.receive(wire.window(0, 5 * 6), 0)
        assert sum(lengths(conn.receive(b"".join(map(answer, ids)), 0))) == 5
        received += 5 * 17
        granted += sum(
            int.from_bytes(found.payload, "big") for found in wire.split(conn.take()) if found.kind == 8
        )
        assert received - granted <= 70_000
    assert granted > 70_000


def test_late_ones_are_found() -> None:
    conn = client()
    ids = sent(conn, [1, 2, 3, 9])
    more = sent(conn, [10])
    late = conn.overdue(lambda token: token < 5)
    assert [stream.token for stream in late] == [1, 2, 3]
    for stream in late:
        conn.reset(stream)
    assert conn.open_streams == 2
    # Theirs may still come.
    events = conn.receive(b"".join(map(answer, [*ids, *more])), 0)
    assert [token for _, _, token in told(events)] == [9, 10]


def test_streams_are_told_in_any_form() -> None:
    conn = client()
    ids = sent(conn, list("abc"))
    conn.receive(b"".join(map(head, ids[:2])), 0)
    more = sent(conn, ["d"])
    assert [(stream.id, stream.token) for stream in conn.streams] == list(
        zip([*ids, *more], "abcd", strict=True)
    )
    assert conn.open_streams == 4


@pytest.mark.parametrize("begun", [False, True])
def test_goaway_fails_those_above_its_last_id(begun: bool) -> None:
    conn = client()
    ids = sent(conn, list("abcde"))
    if begun:
        conn.receive(b"".join(map(head, ids)), 0)
    events = conn.receive(wire.goaway(ids[2]), 0)
    assert isinstance(events[0], GoawayReceived)
    failed = [event for event in events if isinstance(event, Failed)]
    assert [(event.stream.token, event.retryable) for event in failed] == [("d", True), ("e", True)]
    make = (lambda stream: rest(stream, body(b"a", stream))) if begun else answer
    assert [token for _, _, token in told(conn.receive(b"".join(map(make, ids[:3])), 0))] == list("abc")
    assert conn.finished


def test_the_end_fails_all() -> None:
    conn = client()
    sent(conn, list("abc"))
    events = conn.receive_eof(0)
    assert [event.stream.token for event in events if isinstance(event, Failed)] == list("abc")
    assert isinstance(events[-1], Terminated)
    assert events[-1].error is not None
    assert "with 3 streams open" in events[-1].error.message
    assert conn.open_streams == 0


def test_a_reset_ends_one_of_a_flight() -> None:
    conn = client()
    ids = sent(conn, list("abc"))
    (event,) = conn.receive(wire.rst(ids[1], 7), 0)
    assert isinstance(event, Failed)
    assert (event.stream.token, event.retryable) == ("b", True)
    assert [token for _, _, token in told(conn.receive(answer(ids[0]) + answer(ids[2]), 0))] == ["a", "c"]


def test_up_to_the_last_id() -> None:
    conn = client(next_id=2**31 - 21)
    assert conn.requests(REQUEST, list("abcdefgh")) == 5 == 11 - 6
    assert conn.spent
    assert not conn.finished
    ids = range(2**31 - 9, 2**31 + 1, 2)
    assert lengths(conn.receive(b"".join(map(answer, ids)), 0)) == [5]
    assert conn.finished
