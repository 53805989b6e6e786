"""The fast ways give what the plain way gives, however the bytes are cut."""

from __future__ import annotations

from typing import Any
from unittest.mock import patch

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.wire.talks import BODIES, Step, perform, replay, talks
from whichpod.wire import ClientConnection, ServerConnection

roles = pytest.mark.parametrize("role", ["server", "client"])


@roles
@settings(max_examples=150)
@given(steps=talks)
def test_fast_ways_do_what_the_plain_way_does(role: str, steps: list[Step]) -> None:
    script, outcome = perform(role, steps)
    assert replay(role, script, fast=False) == outcome


@roles
@settings(max_examples=100)
@given(steps=talks, cut=st.one_of(st.integers(1, 200), st.integers(200, 20_000)))
def test_any_cut_gives_the_same_events_and_output(role: str, steps: list[Step], cut: int) -> None:
    script, outcome = perform(role, steps)
    assert replay(role, script, cut=cut) == outcome


@roles
@settings(max_examples=30)
@given(steps=talks)
def test_all_that_comes_in_one_piece(role: str, steps: list[Step]) -> None:
    """What was several reads comes as one, as far as the owner does nothing in between."""
    script, outcome = perform(role, steps)
    joined: list[tuple[str, Any]] = []
    for kind, what in script:
        if kind == "feed" and joined and joined[-1][0] == "feed":
            joined[-1] = ("feed", joined[-1][1] + what)
        else:
            joined.append((kind, what))
    assert replay(role, joined) == outcome


@roles
def test_the_talks_take_the_fast_ways(role: str) -> None:
    """The properties above would prove nothing if they didn't: a long run, and all that may interrupt it."""
    run = ("run", 20, 0, [0], "data" if role == "server" else "trailers", "", True, "")
    steps: list[Step] = [run, run, ("resize", 300), run, ("control", b""), run, *[("act", 12, 0, 1), run] * 3]
    connection = ServerConnection if role == "server" else ClientConnection
    took = 0
    genuine = connection._take_like

    def counted(self: Any, pattern: Any, data: bytes, at: int, end: int) -> int:
        nonlocal took
        after: int = genuine(self, pattern, data, at, end)
        took += (after - at) // pattern.size
        return after

    with patch.object(connection, "_take_like", counted):
        script, outcome = perform(role, steps)
    assert took > 60
    assert len(outcome[0]) > 70
    assert replay(role, script, fast=False) == outcome
    for cut in (*range(1, 80), 997, len(BODIES[0])):
        assert replay(role, script, cut=cut) == outcome
