"""What was lost, and for how long."""

from __future__ import annotations

from whichpod.judge.answers.scene import Scene
from whichpod.model.question import Answer, Question

CALM_S = 0.5
"""A run that ends with a failure younger than this has not recovered, as far as can be told."""


def failed(scene: Scene, question: Question) -> list[Answer]:
    """RPCs that were due in the window and failed; those that were not sent, since too many were in flight,
    are told beside."""
    numbers = scene.touching(*scene.window(question))
    lost = scene.failed(numbers)
    total = lost + sum(scene.counts(numbers).values())
    label = question.label or "failed"
    name = question.name or "failed"
    share = 100 * lost / total if total else 0.0
    text = f"{lost} of {total}" + (f" ({share:.1f} %)" if lost else "")
    if unsent := scene.dropped(numbers):
        text += f", {unsent} more not sent"
    return [
        Answer(name, float(lost), label, text, unknown=not total),
        Answer(f"{name}_share", share, f"{label}, share", f"{share:.1f} %", "%", not total, minor=True),
    ]


def recovery(scene: Scene, question: Question) -> list[Answer]:
    """How long after a step RPCs still failed that were due: 0 where none did, never where they did to the
    end. A window that begins before the step takes in what was in flight then."""
    since, until = scene.window(question)
    zero = scene.moment(question.step) if question.step else since
    width = scene.timeline.interval_ns
    bad = [n for n in scene.touching(since, until) if scene.failed([n])]
    name, label = question.name or "recovery_s", question.label or "last failure after"
    if not bad:
        return [Answer(name, 0.0, label, "none failed", "s")]
    last_ns = scene.timeline.start_ns(bad[-1]) + width
    if until - last_ns < CALM_S * 1e9:
        return [Answer(name, None, label, "still failing at the end", "s")]
    value = max(0, last_ns - zero) / 1e9
    return [Answer(name, value, label, f"{value:.1f} s", "s")]


def first_failure(scene: Scene, question: Question) -> list[Answer]:
    """How long after a step the first RPC failed: who notices, and when."""
    since, until = scene.window(question)
    zero = scene.moment(question.step) if question.step else since
    name, label = question.name or "noticed_s", question.label or "first failure after"
    for n in scene.touching(since, until):
        if scene.failed([n]):
            value = max(0, scene.timeline.start_ns(n) - zero) / 1e9
            return [Answer(name, value, label, f"{value:.1f} s", "s")]
    return [Answer(name, None, label, "never", "s")]


def newcomer(scene: Scene, question: Question) -> list[Answer]:
    """RPCs that failed of the client that a step started."""
    step = scene.step(question.step)
    label = question.label or "a client that starts then"
    total = step.done + step.failed
    text = "all of its RPCs done" if not step.failed else f"{step.failed} of {total} RPCs fail"
    if step.remark:
        text += f": {step.remark}"
    return [Answer(question.name or "newcomer_failed", float(step.failed), label, text, unknown=not total)]
