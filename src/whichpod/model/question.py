"""What is asked of a scenario in time, and what must hold of the answers."""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

from whichpod.model.errors import UsageError

NEVER = "never"
Comparison = Literal["<=", ">=", "==", "!=", "<", ">", "is"]
Held = Literal["passed", "failed", "inconclusive"]

_COMPARE: dict[str, Callable[[float, float], bool]] = {
    "<=": operator.le, ">=": operator.ge, "==": operator.eq, "!=": operator.ne, "<": operator.lt,
    ">": operator.gt,
}  # fmt: skip
_FORM = re.compile(r"([a-z][a-z0-9_]*)\s*(<=|>=|==|!=|<|>|\bis\b)\s*(\S+)")


@dataclass(frozen=True, slots=True)
class Question:
    """Something that is asked of what was measured."""

    ask: str
    """What, by the name of one of `judge.answers`."""
    name: str = ""
    """Name of the answer for conditions; empty: the ask's own. Where there are several answers, their
    prefix."""
    label: str = ""
    """For people; empty: the ask's own words."""
    step: str = ""
    """The step that it is about."""
    since: str = ""
    """Where the window begins: STEP, STEP.end, `begin` or `end`, with seconds added: `out+1.5`. Empty: at
    the step, or the beginning."""
    until: str = ""
    """Where it ends; empty: at the end."""
    given: dict[str, Any] = field(default_factory=dict)
    """What else that one takes."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What was measured, as a value and in words."""

    name: str
    value: float | str | None
    """In `unit`; None: it never happened, or `unknown`."""
    label: str
    text: str
    """The value for people, with what it rests on."""
    unit: Literal["s", "ms", "%", ""] = ""
    unknown: bool = False
    """Whether there was too little to tell."""
    minor: bool = False
    """Whether another answer's words say it too, so that it is for conditions only."""


@dataclass(frozen=True, slots=True)
class Condition:
    """Something that must hold of an answer."""

    text: str
    name: str
    comparison: Comparison
    bound: float | tuple[str, ...]
    """A number in the answer's unit, infinite for `never`; for `is`, words of which one must be it."""

    def holds(self, answer: Answer) -> bool:
        """Whether it holds. What never happened is later than any time."""
        if isinstance(self.bound, tuple):
            return answer.value in self.bound
        if isinstance(answer.value, str):
            return False
        return _COMPARE[self.comparison](math.inf if answer.value is None else answer.value, self.bound)


@dataclass(frozen=True, slots=True)
class Finding:
    """A condition, held against what was measured."""

    text: str
    outcome: Held
    measured: str


def parse_condition(text: str) -> Condition:
    """Reads `failed == 0`, `first_s < 2`, `share_s == never` or `spread is even|random`.

    Raises UsageError.
    """
    found = _FORM.fullmatch(text.strip())
    if not found:
        raise UsageError(
            f"{text!r} is no condition.",
            fix="For example: failed == 0, first_s == never, spread is even|random",
        )
    name, comparison, bound = found[1], found[2], found[3]
    if comparison == "is":
        return Condition(text, name, "is", tuple(bound.split("|")))
    try:
        number = math.inf if bound == NEVER else float(bound)
    except ValueError:
        raise UsageError(f"{text!r}: {bound!r} is no number.", fix="Write a number, or never.") from None
    known: dict[str, Comparison] = {"<=": "<=", ">=": ">=", "==": "==", "!=": "!=", "<": "<", ">": ">"}
    return Condition(text, name, known[comparison], number)


def check(condition: Condition, answers: list[Answer]) -> Finding:
    """What becomes of a condition. Raises UsageError where nobody asked for the answer."""
    for answer in answers:
        if answer.name == condition.name:
            if answer.unknown:
                return Finding(condition.text, "inconclusive", answer.text)
            return Finding(condition.text, "passed" if condition.holds(answer) else "failed", answer.text)
    raise UsageError(
        f"{condition.text!r}: there is no answer {condition.name!r}.",
        fix=f"There are: {', '.join(a.name for a in answers) or 'none'}.",
    )
