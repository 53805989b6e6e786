"""How new pods get theirs."""

from __future__ import annotations

import random

from tests.judge.answers.play import COMES, played, scene, step
from whichpod.judge.answers import answers
from whichpod.model.question import Answer, Question

ASK = (Question("first-rpc", step="out"), Question("fair-share", step="out"))


def told(found: list[Answer]) -> dict[str, float | str | None]:
    return {a.name: a.value for a in found}


def turns(n: int, pods: int) -> str:
    return f"echo-{n % pods}"


def test_a_balancer_that_hears_of_new_pods_gives_them_their_share() -> None:
    timeline = played(lambda n, t: turns(n, 4 if t >= 5 else 2))
    found = told(answers(scene(timeline, steps=[step("out", 2)], events=COMES), ASK))
    assert found["new_hit"] == 2
    assert found["new_first_s"] is not None
    assert 2.0 <= float(found["new_first_s"]) <= 2.1  # echo-2 waited from 3 s on
    assert found["fair_s"] is not None
    assert 0 < float(found["fair_s"]) <= 1.0


def test_a_balancer_that_does_not_hear_of_them_never_does() -> None:
    timeline = played(lambda n, _: turns(n, 2))
    found = told(answers(scene(timeline, steps=[step("out", 2)], events=COMES), ASK))
    assert found == {"new_first_s": None, "new_hit": 0, "fair_s": None}


def test_all_of_it_on_one_new_pod_is_no_fair_share() -> None:
    timeline = played(lambda _, t: "echo-2" if t >= 3 else "echo-0")
    found = told(answers(scene(timeline, steps=[step("out", 2)], events=COMES), ASK))
    assert found["new_hit"] == 1
    assert found["new_first_s"] is None
    assert found["fair_s"] is None


def test_a_share_that_is_far_too_small_is_not_fair() -> None:
    timeline = played(lambda n, t: "echo-2" if t >= 4 and n % 20 == 0 else turns(n, 2))
    found = told(answers(scene(timeline, steps=[step("out", 2)], events=COMES), ASK))
    assert found["fair_s"] is None


def test_chance_is_not_held_against_a_random_choice() -> None:
    dice = random.Random(7)
    timeline = played(lambda _, t: f"echo-{dice.randrange(4 if t >= 4 else 2)}")
    found = told(answers(scene(timeline, steps=[step("out", 2)], events=COMES), ASK))
    assert found["fair_s"] is not None


def test_where_no_pod_came_nothing_can_be_told() -> None:
    timeline = played(lambda n, _: turns(n, 2))
    found = answers(scene(timeline, steps=[step("out", 2)]), ASK)
    assert [a.unknown for a in found if a.name.endswith("_s")] == [True, True]


def test_pods_of_other_deployments_are_nobodys_business() -> None:
    timeline = played(lambda n, _: turns(n, 2))
    events = [(2.0, "created", "edge-0"), (3.0, "ready", "edge-0")]
    found = answers(scene(timeline, steps=[step("out", 2)], events=events), ASK)
    assert found[0].unknown
