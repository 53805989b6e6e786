"""Connections told apart by the peer's address."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from whichpod.echo import connections
from whichpod.echo.connections import TRUSTED_S, Connections


class World:
    """Connections that open, and a clock."""

    def __init__(self) -> None:
        self.now = 0.0
        self.new: list[str] = []
        self.asked = 0

    def opened(self) -> list[str]:
        self.asked += 1
        told, self.new = self.new, []
        return told

    def connections(self) -> Connections:
        return Connections(self.opened, lambda: self.now)


@pytest.fixture
def world() -> World:
    return World()


def test_calls_are_counted_per_peer(world: World) -> None:
    seen, world.new = world.connections(), ["a", "b"]
    assert [seen.count(p)[2] for p in ("a", "a", "b", "a")] == [1, 2, 1, 3]
    assert seen.count("a")[1] != seen.count("b")[1]
    assert seen.calls == 6
    assert world.asked == 1


def test_a_port_that_comes_again_is_a_new_connection(world: World) -> None:
    seen, world.new = world.connections(), ["a"]
    first = seen.count("a")
    world.now += 1
    assert seen.count("a") == (*first[:2], 2)
    world.now += 1
    world.new = ["a"]
    again = seen.count("a")
    assert again[1] != first[1]
    assert again[2] == 1


def test_little_is_asked_however_many_connections_there_are(world: World) -> None:
    seen = world.connections()
    peers = [str(i) for i in range(100)]
    world.new = list(peers)
    for peer in peers:
        seen.count(peer)
    assert world.asked == 1
    for _ in range(1000):
        for peer in peers:
            seen.count(peer)
        world.now += 0.01
    assert world.asked <= 1 + 10 / TRUSTED_S


def test_an_rpc_that_is_quicker_than_the_news_of_its_connection(world: World) -> None:
    seen = world.connections()
    first = seen.count("a")
    world.now += 1
    world.new = ["a"]
    assert seen.count("a") == (*first[:2], 2)


def test_peers_are_readable(world: World) -> None:
    peer, connection, _ = world.connections().count("ipv6:%5B::1%5D:4711")
    assert peer == "ipv6:[::1]:4711"
    assert connection.startswith(peer)


def test_memory_is_bounded(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "MOST", 10)
    seen = world.connections()
    first, kept = seen.count("0")[1], ""
    for i in range(20):
        kept = seen.count("kept")[1]
        seen.count(str(i + 1))
    assert seen.count("kept")[1] == kept
    assert seen.count("0")[1] != first


@given(st.lists(st.tuples(st.sampled_from(["open", "call", "wait"]), st.sampled_from("abc")), max_size=60))
def test_any_history_is_told_right(history: list[tuple[str, str]]) -> None:
    world = World()
    seen = world.connections()
    truth: dict[str, list[str]] = {}
    ids: dict[str, str] = {}
    for number, (what, peer) in enumerate(history):
        if what == "open":
            world.now += 2 * TRUSTED_S  # a port isn't given out anew at once
            world.new.append(peer)
            truth[peer] = []
            ids[peer] = ""
        elif what == "call" and peer in truth:
            _, connection, call = seen.count(peer)
            truth[peer].append(connection)
            assert call == len(truth[peer]), number
            assert set(truth[peer]) == {connection}
            ids[peer] = connection
        else:
            world.now += 2 * TRUSTED_S
    told = [i for i in ids.values() if i]
    assert len(told) == len(set(told))
