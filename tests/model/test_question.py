"""Conditions: read, held, and refused."""

from __future__ import annotations

import pytest

from whichpod.model.errors import UsageError
from whichpod.model.question import Answer, check, parse_condition


def answer(value: float | str | None, *, unknown: bool = False) -> Answer:
    return Answer("it", value, "it", "in words", unknown=unknown)


@pytest.mark.parametrize(
    ("text", "value", "outcome"),
    [
        ("it == 0", 0.0, "passed"),
        ("it == 0", 1.0, "failed"),
        ("it < 2", 1.9, "passed"),
        ("it < 2", None, "failed"),
        ("it > 2", None, "passed"),
        ("it == never", None, "passed"),
        ("it == never", 3.0, "failed"),
        ("it != never", 3.0, "passed"),
        ("it is even|random", "even", "passed"),
        ("it is even|random", "none", "failed"),
        ("it is even", None, "failed"),
        ("it < 2", "even", "failed"),
    ],
)
def test_a_condition_holds_or_not(text: str, value: float | str | None, outcome: str) -> None:
    assert check(parse_condition(text), [answer(value)]).outcome == outcome


def test_what_can_not_be_told_is_inconclusive() -> None:
    assert check(parse_condition("it == 0"), [answer(0.0, unknown=True)]).outcome == "inconclusive"


@pytest.mark.parametrize("text", ["", "it", "it = 3", "it == three", "== 3", "it is"])
def test_what_is_no_condition_is_refused(text: str) -> None:
    with pytest.raises(UsageError):
        parse_condition(text)


def test_an_answer_that_nobody_asked_for_is_refused() -> None:
    with pytest.raises(UsageError, match="other"):
        check(parse_condition("other == 1"), [answer(1.0)])
