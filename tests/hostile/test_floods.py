"""Peers that make us work for nothing, or never read what they asked for."""

from __future__ import annotations

import pytest

from tests.hostile.victim import CALL, Victim
from tests.wire import bytes as wire
from whichpod.wire import ClientConnection, ErrorCode, Failed, Limits, Reply, ServerConnection, Stream

REPLY = Reply(tuple(wire.RESPONSE), tuple(wire.TRAILERS))
only_server = pytest.mark.parametrize("role", ["server"])
only_client = pytest.mark.parametrize("role", ["client"])

NUISANCES = {
    "ping": wire.ping(),
    "ping-ack": wire.ping(flags=1),
    "settings": wire.settings(),
    "settings-entries": wire.settings(*[(4, 65_535)] * 32),
    "settings-table-size": wire.settings((1, 0), (1, 4_096)),
    "settings-ack": wire.SETTINGS_ACK,
    "priority": wire.frame(wire.PRIORITY, 0, 1, bytes(5)),
    "window-of-1": wire.window(0, 1),
    "window-of-a-stream": wire.window(1, 1),
    "unknown": wire.frame(0x50, 0, 0, b"x"),
    "empty-data": wire.data(1, b""),
    "padded-empty-data": wire.frame(wire.DATA, wire.PADDED, 1, b"\0"),
    "goaway": wire.goaway(2**31 - 1),
}


@pytest.mark.parametrize("frame", NUISANCES.values(), ids=NUISANCES.keys())
def test_case_21_flood(victim: Victim, frame: bytes) -> None:
    """The peer reads all answers, so only the budget stops it: 1000, and ten for the one stream."""
    victim.stream()
    count = 0
    while not victim.conn.closed:
        victim.feed(frame)
        count += 1
        assert count < 1_100
        if not victim.conn.closed:
            victim.conn.take()
    assert count > 900
    victim.closed_with(ErrorCode.ENHANCE_YOUR_CALM)


@pytest.mark.parametrize("frame", [wire.ping(), wire.settings()])
def test_case_21_answers_that_are_never_read(role: str, frame: bytes) -> None:
    victim = Victim(role, Limits(chores=10**9))
    for _ in range(1_001):
        victim.feed(frame)
    victim.closed_with(ErrorCode.ENHANCE_YOUR_CALM)
    assert victim.conn.outbound == 0


def test_case_21_slow_nuisance_is_fine(victim: Victim) -> None:
    for _ in range(3_000):
        victim.now += 10**9 // 33
        victim.feed(wire.ping())
        victim.conn.take()
    victim.alive()


@only_server
def test_case_21_work_earns_pings(role: str) -> None:
    """A peer that measures its bandwidth with a PING for each RPC is no attacker."""
    victim = Victim(role)
    assert isinstance(victim.conn, ServerConnection)
    for _ in range(3_000):
        stream = victim.next
        victim.next += 2
        victim.feed(victim.whole(stream), wire.ping(), wire.window(0, 6))
        ended = victim.events.pop()
        assert isinstance(ended, Stream)
        victim.conn.respond(ended, REPLY, ended.body)
        victim.conn.take()
    victim.alive()


@only_server
def test_case_21_data_dribble(role: str) -> None:
    """A large reply drawn by the byte (CVE-2019-9511): the frames so got earn nothing."""
    victim = Victim(role)
    victim.feed(wire.settings((4, 0)))
    assert isinstance(victim.conn, ServerConnection)
    stream = victim.stream(ended=True)
    ended = victim.events[-1]
    assert isinstance(ended, Stream)
    victim.conn.respond(ended, REPLY, bytes(100_000))
    count = 0
    while not victim.conn.closed:
        victim.feed(wire.window(stream, 1))
        count += 1
        assert count < 1_100
        if not victim.conn.closed:
            victim.conn.take()
    victim.closed_with(ErrorCode.ENHANCE_YOUR_CALM)


@only_server
def test_case_21_replies_that_are_never_read(role: str) -> None:
    """Requests go on, windows are wide open, nothing is taken: what waits is bounded, streams are refused."""
    victim = Victim(role)
    assert isinstance(victim.conn, ServerConnection)
    victim.feed(wire.settings((4, 2**31 - 1)), wire.window(0, 2**31 - 1 - 65_535))
    for _ in range(400):
        stream = victim.next
        victim.next += 2
        for event in victim.feed(victim.whole(stream)):
            if isinstance(event, Stream):
                victim.conn.respond(event, REPLY, bytes(65_536))
        assert victim.conn.outbound < 4 * 2**20 + 100_000
        assert victim.conn.open_streams <= 100
    assert victim.conn.waiting == 100
    refused = taken = 0
    while octets := victim.conn.take():
        assert len(octets) < 4 * 2**20 + 100_000
        found = wire.split(octets)
        refused += sum(frame.kind == wire.RST for frame in found)
        taken += sum(len(frame.payload) for frame in found if frame.kind == wire.DATA)
    assert taken == 65_536 * (400 - refused)
    assert victim.conn.open_streams == 0
    victim.alive()


@only_server
def test_case_22_rapid_reset(role: str) -> None:
    victim = Victim(role)
    count = 0
    while not victim.conn.closed:
        stream = victim.stream(ended=True)
        victim.feed(wire.rst(stream))
        count += 1
        assert count < 1_100
        if not victim.conn.closed:
            victim.conn.take()
        assert victim.conn.open_streams <= 1
    assert count == 1_001
    # Each request that was handed over was also called off.
    handed = [event for event in victim.events if isinstance(event, Stream)]
    failed = [event.stream for event in victim.events if isinstance(event, Failed)]
    assert handed == failed
    victim.closed_with(ErrorCode.ENHANCE_YOUR_CALM)


@only_server
@pytest.mark.parametrize(
    "provoke", ["window", "data-after-end", "headers-after-end", "priority", "malformed"]
)
def test_case_22_made_you_reset(role: str, provoke: str) -> None:
    """The peer makes us reset its streams (CVE-2025-8671): those count as well."""
    victim = Victim(role)
    count = 0
    while not victim.conn.closed:
        stream = victim.stream(ended=provoke not in ("window", "malformed"))
        if provoke == "window":
            victim.feed(wire.window(stream, 0))
        elif provoke == "data-after-end":
            victim.feed(wire.data(stream, b"x"))
        elif provoke == "headers-after-end":
            victim.feed(victim.head(stream))
        elif provoke == "priority":
            victim.feed(wire.frame(wire.PRIORITY, 0, stream, b"x"))
        else:
            victim.feed(wire.headers(stream, wire.TRAILERS))
        count += 1
        assert count < 1_100
        if not victim.conn.closed:
            victim.conn.take()
    assert count == 1_001
    victim.closed_with(ErrorCode.ENHANCE_YOUR_CALM)


def test_case_22_resets_at_the_allowed_rate(victim: Victim) -> None:
    for _ in range(2_000):
        victim.now += 10**9 // 33 + 1
        victim.feed(wire.rst(victim.stream()))
        victim.conn.take()
    victim.alive()


@only_client
def test_case_22_server_resets_all(role: str) -> None:
    victim = Victim(role)
    count = 0
    while not victim.conn.closed:
        victim.feed(wire.rst(victim.stream(begun=False), ErrorCode.REFUSED_STREAM))
        count += 1
        assert count < 1_100
    assert count == 1_001
    victim.closed_with(ErrorCode.ENHANCE_YOUR_CALM)


@only_client
def test_case_22_own_cancellations_do_not_count(role: str) -> None:
    victim = Victim(role)
    assert isinstance(victim.conn, ClientConnection)
    for _ in range(3_000):
        stream = victim.conn.request(CALL)
        victim.conn.reset(stream)
        victim.conn.take()
    assert len(victim.conn._forsaken) <= 4_096
    victim.alive()


def test_memory_of_reset_streams_is_bounded(role: str) -> None:
    victim = Victim(role, Limits(resets=10**9, chores=10**9))
    for _ in range(6_000):
        victim.feed(wire.window(victim.stream(), 0))
        victim.conn.take()
    assert len(victim.conn._forsaken) == 4_096
    assert victim.conn.open_streams == 0


def test_cache_of_header_blocks_is_bounded(role: str) -> None:
    victim = Victim(role, Limits(resets=10**9))
    for number in range(3_000):
        stream = victim.next if victim.server else victim.stream(begun=False)
        victim.next += 2
        victim.feed(victim.head(stream, (b"x-%d" % number, b"v" * 1_000)), wire.rst(stream))
        victim.conn.take()
    cache = victim.conn._decoder.cache
    assert sum(len(key) for key in cache) < 2**20
