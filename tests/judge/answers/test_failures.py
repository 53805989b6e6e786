"""What was lost, and for how long."""

from __future__ import annotations

from tests.judge.answers.play import INTERVAL, at, played, scene, step
from whichpod.judge.answers import answers
from whichpod.model.dynamic import StepDone
from whichpod.model.question import Answer, Question

KILL = step("kill", 3, pod="echo-1")
ASK = (
    Question("failed", step="kill"),
    Question("recovery", step="kill"),
    Question("first-failure", step="kill"),
)


def told(found: list[Answer]) -> dict[str, float | str | None]:
    return {a.name: a.value for a in found}


def test_a_pod_that_fails_for_two_seconds() -> None:
    timeline = played(lambda n, t: "!" if n % 2 and 3.5 <= t < 5.5 else "echo-0")
    found = told(answers(scene(timeline, steps=[KILL]), ASK))
    assert found["failed"] == 50
    assert found["recovery_s"] == 2.5
    assert found["noticed_s"] == 0.5


def test_where_nothing_fails() -> None:
    timeline = played(lambda _n, _t: "echo-0")
    found = told(answers(scene(timeline, steps=[KILL]), ASK))
    assert found == {"failed": 0, "failed_share": 0, "recovery_s": 0, "noticed_s": None}


def test_what_was_in_flight_when_a_pod_died_was_due_before() -> None:
    timeline = played(lambda _n, t: "!" if 2.9 <= t < 3 else "echo-0")
    asks = (
        Question("failed", since="kill-0.4"),
        Question("recovery", step="kill", since="kill-0.4"),
        Question("recovery", name="late_s", step="kill"),
    )
    found = answers(scene(timeline, steps=[KILL]), asks)
    assert told(found)["failed"] == 5
    assert told(found)["recovery_s"] == 0
    assert found[2].text == "0.0 s"
    assert found[3].text == "none failed"


def test_failures_before_the_step_are_not_its_doing() -> None:
    timeline = played(lambda _n, t: "!" if t < 2 else "echo-0")
    assert told(answers(scene(timeline, steps=[KILL]), ASK))["failed"] == 0


def test_what_fails_to_the_end_has_not_recovered() -> None:
    timeline = played(lambda n, t: "!" if t >= 4 and n % 5 == 0 else "echo-0")
    assert told(answers(scene(timeline, steps=[KILL]), ASK))["recovery_s"] is None


def test_what_was_due_and_not_sent_is_told_beside() -> None:
    timeline = played(lambda _n, _t: "echo-0")
    timeline.drop(at(4))
    timeline.drop(at(4) + INTERVAL)
    found = answers(scene(timeline, steps=[KILL]), ASK)
    assert told(found)["failed"] == 0
    assert "2 more not sent" in found[0].text


def test_a_client_that_came_later() -> None:
    timeline = played(lambda _n, _t: "echo-0")
    late = StepDone("late", "a client starts", at(4), at(5), done=0, failed=10, remark="no such name")
    (answer,) = answers(scene(timeline, steps=[late]), (Question("newcomer", step="late"),))
    assert answer.value == 10
    assert "no such name" in answer.text
