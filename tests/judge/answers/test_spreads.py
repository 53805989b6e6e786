"""Shares in a window."""

from __future__ import annotations

import random

import pytest

from tests.judge.answers.play import played, scene, step
from whichpod.judge.answers import answers
from whichpod.model.errors import UsageError
from whichpod.model.question import Answer, Question


def told(found: list[Answer]) -> dict[str, float | str | None]:
    return {a.name: a.value for a in found}


def test_the_last_window_is_judged_and_not_what_went_before() -> None:
    timeline = played(lambda n, t: f"echo-{n % 2}" if t >= 5 else "echo-0")
    found = told(answers(scene(timeline), (Question("spread", since="end-4"),)))
    assert found["spread"] in ("even", "random")  # two pods need thousands of RPCs to be told even
    assert found["spread_most"] == 50


def test_a_ready_pod_that_gets_nothing_counts() -> None:
    timeline = played(lambda _n, _t: "echo-0")
    found = told(answers(scene(timeline), (Question("spread"),)))
    assert found["spread"] == "none"
    assert found["spread_hit"] == 1


def test_skew_is_called_skew() -> None:
    timeline = played(lambda n, _t: "echo-0" if n % 4 else "echo-1")
    assert told(answers(scene(timeline), (Question("spread"),)))["spread"] == "skewed"


def test_ten_per_cent_is_told_from_twelve() -> None:
    ask = (Question("share", given={"deployment": "canary", "due": 10}),)
    dice = random.Random(3)

    def of(weight: float) -> Answer:
        timeline = played(lambda _n, _t: "canary-0" if dice.random() < weight else "echo-0", rate=400)
        return next(a for a in answers(scene(timeline), ask) if a.name == "share_p")

    assert float(of(0.10).value or 0) > 0.001
    assert float(of(0.14).value or 0) < 0.001


def test_shares_of_a_zone_and_of_the_pod_of_a_step() -> None:
    timeline = played(lambda n, _t: "a-0" if n % 4 else "b-0")
    asks = (
        Question("share", name="near", given={"zone": "zone-a"}),
        Question("share", name="hit", given={"pod_of": "kill"}),
    )
    found = told(answers(scene(timeline, steps=[step("kill", 1, pod="b-0")]), asks))
    assert found == {"near": 75, "hit": 25}


def test_an_empty_window_can_not_be_judged() -> None:
    timeline = played(lambda _n, _t: "echo-0")
    (found,) = answers(scene(timeline), (Question("spread", since="end"),))
    assert found.unknown


@pytest.mark.parametrize("moment", ["", "3", "nowhere+1", "begin++1"])
def test_moments_that_do_not_exist_are_refused(moment: str) -> None:
    timeline = played(lambda _n, _t: "echo-0")
    with pytest.raises(UsageError):
        scene(timeline).moment(moment)


def test_moments() -> None:
    found = scene(played(lambda _n, _t: "echo-0"), steps=[step("zone-b", 2, until=3)])
    moments = [found.moment(m) for m in ("begin", "zone-b", "zone-b+0.5", "zone-b.end-1", "end-7.5")]
    assert [(m - found.began_ns) / 1e9 for m in moments] == [0, 2, 2.5, 2, 2.5]
