"""Whether each client stays with its pod."""

from __future__ import annotations

from collections import Counter

from whichpod.judge.answers.scene import Scene
from whichpod.model.question import Answer, Question
from whichpod.model.timeline import UNKNOWN, Timeline


def sticky(scene: Scene, question: Question) -> list[Answer]:
    """How many of the clients had one pod each in the window, and how many pods they had together."""
    homes = [_pods(scene, client, question) for client in scene.clients]
    told = [pods for pods in homes if pods]
    name, label = question.name or "sticky", question.label or "clients that stayed with one pod"
    stayed = sum(len(pods) == 1 for pods in told)
    used = set().union(*told) if told else set()
    unknown = len(told) < len(homes) or not told
    return [
        Answer(name, 100 * stayed / max(1, len(homes)), label, f"{stayed} of {len(homes)}", "%", unknown),
        Answer(f"{name}_pods", float(len(used)), f"{label}: pods in use", str(len(used)), unknown=unknown),
    ]


def moved(scene: Scene, question: Question) -> list[Answer]:
    """How many clients have another pod after a step than before it. `since` and `until` bound the time
    after; the second before the step is compared with it."""
    step = scene.step(question.step)
    numbers = scene.inside(step.began_ns - 1_000_000_000, step.began_ns)
    name, label = question.name or "moved", question.label or "clients that went to another pod"
    changed = known = 0
    for client in scene.clients:
        before, after = (
            _main(scene, client, numbers),
            _main(scene, client, scene.inside(*scene.window(question))),
        )
        if before and after:
            known += 1
            changed += before != after
    value = 100 * changed / known if known else None
    return [Answer(name, value, label, f"{changed} of {known}", "%", unknown=not known)]


def _pods(scene: Scene, client: Timeline, question: Question) -> set[str]:
    return set(scene.counts(scene.inside(*scene.window(question)), client)) - {UNKNOWN}


def _main(scene: Scene, client: Timeline, numbers: range) -> str:
    counts = Counter(scene.counts(numbers, client))
    counts.pop(UNKNOWN, None)
    return counts.most_common(1)[0][0] if counts else ""
