"""Answers to what is asked of a scenario in time. Pure functions over timelines, steps and events."""

from __future__ import annotations

from collections.abc import Callable

from whichpod.judge.answers.arrivals import fair_share, first_rpc
from whichpod.judge.answers.failures import failed, first_failure, newcomer, recovery
from whichpod.judge.answers.scene import Scene
from whichpod.judge.answers.sessions import moved, sticky
from whichpod.judge.answers.spreads import share, spread
from whichpod.judge.answers.times import latency, rate
from whichpod.model.errors import UsageError
from whichpod.model.question import Answer, Question

ASKS: dict[str, Callable[[Scene, Question], list[Answer]]] = {
    "failed": failed,
    "fair-share": fair_share,
    "first-failure": first_failure,
    "first-rpc": first_rpc,
    "latency": latency,
    "moved": moved,
    "newcomer": newcomer,
    "rate": rate,
    "recovery": recovery,
    "share": share,
    "spread": spread,
    "sticky": sticky,
}


def answers(scene: Scene, questions: tuple[Question, ...]) -> list[Answer]:
    """All answers, in the questions' order. Raises UsageError for what can't be asked."""
    return [answer for q in questions for answer in asked(q)(scene, q)]


def asked(question: Question) -> Callable[[Scene, Question], list[Answer]]:
    """What answers a question. Raises UsageError."""
    if question.ask not in ASKS:
        raise UsageError(f"Nobody can be asked for {question.ask!r}.", fix=f"Known: {', '.join(ASKS)}.")
    return ASKS[question.ask]


__all__ = ["ASKS", "Scene", "answers", "asked"]
