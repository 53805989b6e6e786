"""How long RPCs took, and how many a second were done."""

from __future__ import annotations

from whichpod.judge.answers.scene import Scene
from whichpod.model.question import Answer, Question
from whichpod.model.units import format_ns


def latency(scene: Scene, question: Question) -> list[Answer]:
    """Mean and percentiles of the RPCs done in the window, from when they were due."""
    numbers = scene.inside(*scene.window(question))
    found = scene.latency(numbers)
    prefix = f"{question.name}_" if question.name else ""
    values = {"mean": found.mean} | {f"p{p}": float(found.percentile(p)) for p in (50, 90, 99)}
    words = ", ".join(f"{name} {format_ns(round(ns))}" for name, ns in values.items())
    none = not found.count
    return [
        Answer(
            f"{prefix}{name}_ms",
            ns / 1e6,
            question.label or "latency",
            "none done" if none else words if name == "mean" else format_ns(round(ns)),
            "ms",
            none,
            minor=name != "mean",
        )
        for name, ns in values.items()
    ]


def rate(scene: Scene, question: Question) -> list[Answer]:
    """RPCs done a second in the window."""
    numbers = scene.inside(*scene.window(question))
    seconds = len(numbers) * scene.timeline.interval_ns / 1e9
    done = sum(scene.counts(numbers).values())
    name, label = question.name or "rps", question.label or "RPCs a second"
    if not seconds:
        return [Answer(name, None, label, "the run was over", unknown=True)]
    return [Answer(name, done / seconds, label, f"{done / seconds:.0f}")]
