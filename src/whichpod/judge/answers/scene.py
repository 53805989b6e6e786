"""What was measured, as answers look at it: intervals between two moments, and the pods of a moment."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from whichpod.model.dynamic import StepDone
from whichpod.model.errors import UsageError
from whichpod.model.events import LabEvent
from whichpod.model.histogram import Histogram
from whichpod.model.question import Question
from whichpod.model.timeline import UNKNOWN, Interval, Timeline

BEGIN, END = "begin", "end"
_MOMENT = re.compile(r"([a-z][a-z0-9-]*?)(\.end)?(?:([+-])([0-9.]+))?")


@dataclass(frozen=True, slots=True)
class Scene:
    """Timelines, steps and events of one run. Times are monotonic, in ns."""

    timeline: Timeline
    """Of all clients together."""
    clients: Sequence[Timeline]
    """Of each."""
    steps: Sequence[StepDone]
    events: Sequence[LabEvent]
    serving: Sequence[str]
    """The Deployments whose pods should answer."""
    began_ns: int
    ended_ns: int

    def step(self, name: str) -> StepDone:
        """The step of that name. Raises UsageError."""
        for step in self.steps:
            if step.name == name:
                return step
        raise UsageError(
            f"There is no step {name!r}.", fix=f"Steps: {', '.join(s.name for s in self.steps)}."
        )

    def moment(self, text: str) -> int:
        """The time that `STEP`, `STEP.end`, `begin` or `end`, with seconds added or not, means.

        Raises UsageError.
        """
        found = _MOMENT.fullmatch(text)
        if not found:
            raise UsageError(
                f"{text!r} is no moment.", fix="Write STEP, STEP.end, begin or end, as in out+1.5."
            )
        name, after, sign, seconds = found.groups()
        if name in (BEGIN, END):
            at = self.began_ns if name == BEGIN else self.ended_ns
        else:
            step = self.step(name)
            at = step.ended_ns if after else step.began_ns
        return at + round(float(seconds or 0) * 1e9) * (-1 if sign == "-" else 1)

    def window(self, question: Question) -> tuple[int, int]:
        """From when to when a question is asked."""
        since = self.moment(question.since or question.step or BEGIN)
        return since, self.moment(question.until or END)

    # Intervals

    def touching(self, since_ns: int, until_ns: int) -> range:
        """The intervals that have a part in the window: for what can't have happened before it."""
        width = self.timeline.interval_ns
        return self._within(since_ns // width, -(-until_ns // width))

    def inside(self, since_ns: int, until_ns: int) -> range:
        """The intervals that lie in the window with all of them."""
        width = self.timeline.interval_ns
        return self._within(-(-since_ns // width), until_ns // width)

    def _within(self, first: int, end: int) -> range:
        span = self.timeline.span
        return range(max(first, span.start), min(end, span.stop))

    def counts(self, numbers: range, timeline: Timeline | None = None) -> dict[str, int]:
        """RPCs done in those intervals, per pod that answered any; UNKNOWN for those of unknown origin."""
        found = {
            label: sum(i.done for i in _of(line.intervals, numbers))
            for label, line in (timeline or self.timeline).by_label().items()
        }
        return {label: n for label, n in found.items() if n}

    def failed(self, numbers: Iterable[int]) -> int:
        """RPCs failed in those intervals."""
        numbers = tuple(numbers)
        return sum(
            interval.failed
            for line in self.timeline.lines.values()
            for interval in _of(line.intervals, numbers)
        )

    def dropped(self, numbers: Iterable[int]) -> int:
        """RPCs that were due in those intervals and not sent, since too many were in flight."""
        return sum(self.timeline.dropped.get(n, 0) for n in numbers)

    def latency(self, numbers: range, pod: str = "") -> Histogram:
        """Latencies of those done, of one pod or of all."""
        found = Histogram()
        for label, line in self.timeline.by_label().items():
            if pod in ("", label):
                for interval in _of(line.intervals, numbers):
                    found.merge(interval.latency)
        return found

    # Pods

    def serves(self, pod: str) -> bool:
        """Whether a pod is one of those that should answer."""
        return pod != UNKNOWN and any(pod.rpartition("-")[0] == d for d in self.serving)

    def ready(self, at_ns: int) -> set[str]:
        """The pods that should answer and were ready at a time."""
        found: set[str] = set()
        for event in self.events:
            if event.at_ns > at_ns:
                break
            if event.kind == "ready" and self.serves(event.what):
                found.add(event.what)
            elif event.kind == "unready":
                found.discard(event.what)
        return found

    def new(self, since_ns: int, until_ns: int) -> dict[str, int]:
        """The pods that were created in the window and got ready, with when."""
        created: set[str] = set()
        found: dict[str, int] = {}
        for event in self.events:
            if not since_ns <= event.at_ns < until_ns:
                continue
            if event.kind == "created" and self.serves(event.what):
                created.add(event.what)
            elif event.kind == "ready" and event.what in created:
                found.setdefault(event.what, event.at_ns)
        return found

    def zone(self, pod: str) -> str:
        """The zone that a pod said it is in."""
        line = self.timeline.by_label().get(pod)
        return line.backend.zone if line and line.backend else ""


def _of(intervals: dict[int, Interval], numbers: Iterable[int]) -> Iterator[Interval]:
    return (intervals[n] for n in numbers if n in intervals)
