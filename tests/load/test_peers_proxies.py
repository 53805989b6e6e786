"""Envoy, nginx, Caddy and HAProxy: whom they send RPCs to, and what becomes of RPCs when something fails."""

from __future__ import annotations

import signal

import pytest

from tests.echo.engines import fast
from tests.load.peers.disturbed import disturbed
from tests.load.peers.proxies import NAMES, pods, proxy
from tests.load.runs import by_pod, run
from whichpod.echo.names import ECHO
from whichpod.load.call import Call

pytestmark = pytest.mark.usefixtures("forking")

each = pytest.mark.parametrize("name", NAMES)
MANY = 1_000_000


@each
def test_the_servers_behind_take_turns_exactly(name: str) -> None:
    with fast(pod="echo", pods=2) as servers, proxy(name, pods(servers)) as peer:
        small = run(addresses=[peer.address], requests=2_000, connections=3, concurrency=10)
        large = run(
            addresses=[peer.address], requests=100, connections=2, concurrency=5, payload_size=100_000
        )
        rated = run(addresses=[peer.address], requests=300, rate=1_500.0, connections=2)
    for report, each in ((small, 1_000), (large, 50), (rated, 150)):
        assert report.tally.statuses == {"OK": 2 * each}, report.evidence.first_error
        assert by_pod(report) == {"echo-0": each, "echo-1": each}
    # What came over each of our connections is told too.
    assert sorted(sum(c.values()) for c in small.tally.channels.values()) == [666, 667, 667]


@each
def test_a_server_s_refusal_comes_through_and_is_laid_to_it(name: str) -> None:
    with fast(pod="echo", pods=2) as servers, proxy(name, pods(servers)) as peer:
        report = run(addresses=[peer.address], requests=40, call=Call(f"{ECHO}None"), connections=2)
    assert report.tally.statuses == {"UNIMPLEMENTED": 40}
    assert {b.backend.label: b.failed for b in report.tally.backends.values()} == {"echo-0": 20, "echo-1": 20}


@each
def test_nobody_is_behind(name: str) -> None:
    """Envoy says so in gRPC's terms, the others in HTTP's (502, 503)."""
    with fast(pod="echo", pods=2) as servers:
        gone = pods(servers)
    with proxy(name, gone) as peer:
        report = run(addresses=[peer.address], requests=40, concurrency=10)
    assert report.tally.statuses == {"UNAVAILABLE": 40}
    assert (report.tally.backends, report.end_reason) == ({}, "target failed")


@each
def test_a_server_behind_goes_away(name: str) -> None:
    with (
        fast(pod="stays") as stays,
        fast(pod="goes") as goes,
        proxy(name, pods(stays, goes)) as peer,
    ):
        report = disturbed(
            peer.address,
            by=lambda: goes.drain(0),
            lasting_s=0.6,
            connections=2,
            concurrency=5,
        )
    # nginx asks the next one by itself, or resets what had begun to be answered with INTERNAL_ERROR.
    allowed = {"OK", "UNAVAILABLE"} | ({"INTERNAL"} if name == "nginx" else set())
    assert {"OK"} <= set(report.tally.statuses) <= allowed
    counts = by_pod(report)
    assert counts["stays"] > counts["goes"] > 0
    assert report.end_reason == "interrupted"


def test_it_is_killed() -> None:
    with fast(pod="echo", pods=2) as servers, proxy("envoy", pods(servers)) as peer:
        report = disturbed(
            peer.address, by=peer.end, requests=MANY, connections=2, concurrency=5, deadline_s=1
        )
    assert set(report.tally.statuses) == {"OK", "UNAVAILABLE"}
    # What was under way, and what was put on one connection before it was seen to have ended like the other.
    assert report.tally.failed <= 20
    assert report.tally.scheduled < MANY
    assert report.end_reason == "target failed"


@each
def test_it_is_killed_and_another_is_there(name: str) -> None:
    with (
        fast(pod="echo", pods=2) as servers,
        proxy(name, pods(servers)) as one,
        proxy(name, pods(servers)) as two,
    ):
        report = disturbed(
            one.address,
            two.address,
            by=one.end,
            lasting_s=0.6,
            connections=2,
            concurrency=5,
            deadline_s=5,
        )
    tally = report.tally
    assert (tally.in_flight, tally.dropped) == (0, 0)
    # None fails where it was ahead of the other one just then, so that nothing was under way there.
    assert {"OK"} <= set(tally.statuses) <= {"OK", "UNAVAILABLE"}
    assert report.evidence.first_error or not tally.failed
    assert tally.failed <= 40
    assert report.end_reason == "interrupted"


def test_it_hangs() -> None:
    with fast(pod="echo", pods=2) as servers, proxy("haproxy", pods(servers)) as peer:
        report = disturbed(
            peer.address,
            by=lambda: peer.tell(signal.SIGSTOP),
            lasting_s=0.6,
            connections=2,
            concurrency=5,
            deadline_s=0.4,
        )
    assert set(report.tally.statuses) == {"OK", "DEADLINE_EXCEEDED"}
    assert report.tally.failed >= 5


def test_an_open_loop_whose_peer_is_killed() -> None:
    with fast(pod="echo", pods=2) as servers, proxy("nginx", pods(servers)) as peer:
        report = disturbed(
            peer.address, by=peer.end, requests=None, rate=1_000.0, duration_s=30, connections=2, deadline_s=1
        )
    # Without a connection nothing is in flight.
    assert (report.tally.in_flight, report.end_reason) == (0, "target failed")
