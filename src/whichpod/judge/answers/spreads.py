"""How RPCs were spread in a window: evenly, by weight, by zone."""

from __future__ import annotations

from collections.abc import Mapping

from whichpod.judge.answers.scene import Scene
from whichpod.judge.classes import classify, headline
from whichpod.judge.sample import Sample
from whichpod.model.question import Answer, Question
from whichpod.model.timeline import UNKNOWN
from whichpod.stats import binomial
from whichpod.stats.spread import spread as numbers_of

TOLERANCE, CONFIDENCE = 0.05, 0.99
MOST_SHOWN = 10


def spread(scene: Scene, question: Question) -> list[Answer]:
    """How evenly the pods that were ready at the window's end shared its RPCs; the class is that of
    docs/verdict.md."""
    since, until = scene.window(question)
    counted = scene.counts(scene.inside(since, until))
    counted.pop(UNKNOWN, None)
    counts = dict.fromkeys(sorted(scene.ready(until)), 0) | counted
    name, label = question.name or "spread", question.label or "spread"
    if not counted or not counts:
        return [Answer(name, None, label, "nothing was answered", unknown=True)]
    sample = Sample(counts, {}, "rpc", "lab", ())
    found = numbers_of(list(counts.values()))
    finding = classify(sample, found, tolerance=TOLERANCE, confidence=CONFIDENCE)
    most = max(counts.values()) / sum(counts.values())
    text = f"{finding.balance}: {_shown(counts)}, {headline(finding.balance, found)}"
    return [
        Answer(name, finding.balance.value, label, text, unknown=finding.balance.value == "inconclusive"),
        Answer(
            f"{name}_hit", float(found.hit), f"{label}, pods hit", f"{found.hit} of {found.known}", minor=True
        ),
        Answer(f"{name}_most", 100 * most, f"{label}, largest share", f"{most:.0%}", "%", minor=True),
    ]


def _shown(counts: Mapping[str, int]) -> str:
    numbers = [str(n) for n in sorted(counts.values(), reverse=True)]
    if len(numbers) <= MOST_SHOWN:
        return "/".join(numbers)
    return f"{'/'.join(numbers[: MOST_SHOWN - 2])}/… min {numbers[-1]} of {len(numbers)}"


def share(scene: Scene, question: Question) -> list[Answer]:
    """The share of the RPCs done that some pods have: those of a `deployment`, of a `zone`, or the one of a
    `pod_of` step. With `due`, in per cent, how likely chance makes a share at least so far off."""
    counts = scene.counts(scene.inside(*scene.window(question)))
    total = sum(counts.values())
    theirs = sum(n for pod, n in counts.items() if _meant(scene, question, pod))
    name, label = question.name or "share", question.label or "share"
    if not total:
        return [Answer(name, None, label, "nothing was answered", "%", unknown=True)]
    value = 100 * theirs / total
    text = f"{value:.1f} % ({theirs} of {total})"
    due = question.given.get("due")
    if due is None:
        return [Answer(name, value, label, text, "%")]
    p = binomial.two_sided(theirs, total, due / 100)
    return [
        Answer(name, value, label, f"{text}, due {due:g} %, p = {p:.2g}", "%"),
        Answer(f"{name}_p", p, f"{label}, chance of one so far off", f"{p:.2g}", minor=True),
    ]


def _meant(scene: Scene, question: Question, pod: str) -> bool:
    given = question.given
    if "pod_of" in given:
        return bool(pod == scene.step(given["pod_of"]).pod)
    if "zone" in given:
        return bool(scene.zone(pod) == given["zone"])
    return bool(pod.rpartition("-")[0] == given.get("deployment"))
