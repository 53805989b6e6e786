"""Connections told apart by the peer's address."""

from __future__ import annotations

from whichpod.echo.connections import MOST, RECHECK_AFTER_S, Connections


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_calls_are_counted_per_peer() -> None:
    seen = Connections(lambda _: 0, Clock())
    assert [seen.count(p)[1] for p in ("a", "a", "b", "a")] == [1, 2, 1, 3]
    assert seen.count("a")[0] != seen.count("b")[0]


def test_a_port_that_comes_again_is_a_new_connection() -> None:
    clock, streams = Clock(), 0
    seen = Connections(lambda _: streams, clock)
    first = [seen.count("a") for _ in range(3)][-1]
    clock.now += RECHECK_AFTER_S + 1
    streams = 4  # three were counted, and this one: the same connection
    assert seen.count("a") == (first[0], 4)
    clock.now += RECHECK_AFTER_S + 1
    streams = 1
    again = seen.count("a")
    assert again[0] != first[0]
    assert again[1] == 1


def test_nothing_is_asked_while_a_connection_is_busy() -> None:
    clock, asked = Clock(), []
    seen = Connections(lambda peer: asked.append(peer) or 0, clock)  # type: ignore[func-returns-value]
    for _ in range(100):
        clock.now += RECHECK_AFTER_S / 2
        seen.count("a")
    assert not asked


def test_memory_is_bounded() -> None:
    seen = Connections(lambda _: 0, Clock())
    first = seen.count("0")[0]
    for i in range(MOST):
        seen.count(str(i + 1))
    assert seen.count("0")[0] != first
