"""Times, rates and sessions."""

from __future__ import annotations

import pytest

from tests.judge.answers.play import at, played, scene, step
from whichpod.judge.answers import answers, asked
from whichpod.model.dynamic import StepDone
from whichpod.model.errors import UsageError
from whichpod.model.question import Answer, Question
from whichpod.model.timeline import Timeline


def told(found: list[Answer]) -> dict[str, float | str | None]:
    return {a.name: a.value for a in found}


def test_latency_and_rate_of_a_window() -> None:
    timeline = played(
        lambda n, t: "echo-1" if t >= 5 and n % 5 == 0 else "echo-0",
        took=lambda pod: 0.1 if pod == "echo-1" else 0.001,
    )
    asks = (
        Question("latency", name="before", until="end-5"),
        Question("latency", name="after", since="end-5"),
        Question("rate"),
    )
    found = told(answers(scene(timeline), asks))
    assert found["before_p99_ms"] == pytest.approx(1, rel=0.01)
    assert found["after_p50_ms"] == pytest.approx(1, rel=0.01)
    assert found["after_p90_ms"] == pytest.approx(100, rel=0.01)
    assert found["after_mean_ms"] == pytest.approx(20.8, rel=0.01)
    assert found["rps"] == pytest.approx(50)


def sessions(*homes: tuple[str, str]) -> list[Timeline]:
    """A client each, with the pod that it has in the first half and in the second."""
    return [played(lambda _n, t, h=home: h[t >= 5]) for home in homes]  # type: ignore[misc]


def asked_of(clients: list[Timeline], steps: list[StepDone]) -> dict[str, float | str | None]:
    merged = Timeline(clients[0].interval_ns)
    for client in clients:
        merged.merge(client)
    asks = (Question("sticky", until="end-5"), Question("moved", step="out", since="out+1"))
    return told(answers(scene(merged, steps=steps, clients=clients), asks))


def test_clients_that_stay_and_clients_that_move() -> None:
    clients = sessions(("echo-0", "echo-0"), ("echo-1", "echo-1"), ("echo-1", "echo-0"), ("echo-0", "echo-0"))
    found = asked_of(clients, [step("out", 5)])
    assert found == {"sticky": 100, "sticky_pods": 2, "moved": 25}


def test_a_client_that_is_spread_is_not_sticky() -> None:
    clients = [played(lambda n, _t: f"echo-{n % 2}"), *sessions(("echo-0", "echo-0"))]
    found = asked_of(clients, [step("out", 5)])
    assert found["sticky"] == 50


def test_what_nobody_can_answer_is_refused() -> None:
    with pytest.raises(UsageError, match="fair-share"):
        asked(Question("weather"))


def test_pods_that_are_ready_are_known_by_the_events() -> None:
    events = [(1.0, "created", "echo-2"), (2.0, "ready", "echo-2"), (3.0, "unready", "echo-0")]
    found = scene(played(lambda _n, _t: "echo-0"), events=events)
    assert found.ready(at(0)) == {"echo-0", "echo-1"}
    assert found.ready(at(2.5)) == {"echo-0", "echo-1", "echo-2"}
    assert found.ready(at(4)) == {"echo-1", "echo-2"}
