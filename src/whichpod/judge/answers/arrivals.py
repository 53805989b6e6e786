"""How pods that came while the load went on got theirs."""

from __future__ import annotations

from whichpod.judge.answers.scene import Scene
from whichpod.model.question import Answer, Question
from whichpod.stats import binomial

WINDOW_S = 1.0
"""Seconds over which a share is judged."""
LEVEL = 0.01
"""A share that chance would put so far off no oftener than this is not fair."""


def first_rpc(scene: Scene, question: Question) -> list[Answer]:
    """How long the slowest of the new pods waited from being ready to its first RPC, and how many got one."""
    since, until = scene.window(question)
    new = scene.new(since, until)
    lines = scene.timeline.by_label()
    waits: dict[str, float] = {}
    for pod, ready_ns in new.items():
        line = lines.get(pod)
        if line and line.first_ns and line.first_ns < until:
            waits[pod] = max(0, line.first_ns - ready_ns) / 1e9
    prefix = question.name or "new"
    hit = Answer(f"{prefix}_hit", float(len(waits)), "new pods that got any", f"{len(waits)} of {len(new)}")
    label = question.label or "a new pod's first RPC, ready to due"
    if not new:
        return [Answer(f"{prefix}_first_s", None, label, "no pod came", "s", unknown=True), hit]
    if len(waits) < len(new):
        return [Answer(f"{prefix}_first_s", None, label, "never" if not waits else "some never", "s"), hit]
    slowest = max(waits.values())
    return [Answer(f"{prefix}_first_s", slowest, label, f"{slowest:.2f} s", "s"), hit]


def fair_share(scene: Scene, question: Question) -> list[Answer]:
    """How long it takes, from when the last new pod is ready, until the new pods together have their share
    of the RPCs, within what chance allows."""
    since, until = scene.window(question)
    new = scene.new(since, until)
    name, label = question.name or "fair_s", question.label or "new pods' fair share after"
    if not new:
        return [Answer(name, None, label, "no pod came", "s", unknown=True)]
    start = max(new.values())
    pods = scene.ready(start)
    fair = len(new) / len(pods | set(new))
    width = scene.timeline.interval_ns
    size = max(1, round(WINDOW_S * 1e9 / width))
    numbers = scene.inside(start, until)
    per = [scene.counts(range(n, n + 1)) for n in numbers]
    seen: set[float] = set()
    for at in range(len(per) - size + 1):
        part = per[at : at + size]
        total = sum(sum(counts.values()) for counts in part)
        theirs = sum(counts.get(pod, 0) for counts in part for pod in new)
        seen |= {theirs / total} if total else set()
        if total and binomial.two_sided(theirs, total, fair) >= LEVEL:
            value = max(0, scene.timeline.start_ns(numbers[at]) - start) / 1e9
            return [Answer(name, value, label, f"{value:.1f} s", "s")]
    if len(per) < size:
        return [Answer(name, None, label, "the run was over", "s", unknown=True)]
    shares = f"{min(seen):.0%} to {max(seen):.0%}" if len(seen) > 1 else f"{max(seen, default=0):.0%}"
    text = f"never: {shares}, due {fair:.0%}"
    return [Answer(name, None, label, text, "s")]
