"""What there is to judge: a count for each backend that should answer."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from whichpod.judge.names import assign
from whichpod.model.plan import Plan, Stream
from whichpod.model.tally import BackendTally, Tally
from whichpod.model.target import Backend, Learnt, Target

Unit = Literal["rpc", "message"]


@dataclass(frozen=True, slots=True)
class Sample:
    """Counts per label of a backend, silent ones included, and how the list of backends came about."""

    counts: dict[str, int]
    members: dict[str, tuple[Backend, ...]]
    """Per label who answered under it: more than one where a pod was restarted."""
    unit: Unit
    known_by: Learnt | None
    notes: tuple[str, ...]

    @property
    def total(self) -> int:
        """RPCs or messages judged."""
        return sum(self.counts.values())

    @property
    def hit(self) -> list[str]:
        """Labels that got anything, the busiest first."""
        return sorted((label for label, n in self.counts.items() if n), key=lambda x: (-self.counts[x], x))

    def quantity(self, n: int) -> str:
        """`n` with its unit in words."""
        word = "RPC" if self.unit == "rpc" else "message"
        return f"{n} {word}" if n == 1 else f"{n} {word}s"


def sample(tally: Tally, target: Target, plan: Plan) -> Sample:
    """Counts what each backend got: RPCs done and those that it failed.

    Where a single stream was all there was, its messages are counted.
    """
    by_label: dict[str, list[BackendTally]] = defaultdict(list)
    for entry in tally.backends.values():
        by_label[entry.backend.label].append(entry)
    members = {label: tuple(e.backend for e in entries) for label, entries in by_label.items()}
    found = assign(target, members)
    unit = _unit(tally, plan)
    counts = {label: _count(by_label[label], unit) for label in sorted(by_label)}
    counts |= dict.fromkeys(found.silent, 0)
    return Sample(counts, members, unit, found.known_by, (*found.notes, *_untold(tally)))


def _unit(tally: Tally, plan: Plan) -> Unit:
    messages = sum(b.messages for b in tally.backends.values())
    single = plan.stream is not Stream.UNARY and tally.done == 1 and not tally.failed
    return "message" if single and messages > 1 else "rpc"


def _count(entries: Iterable[BackendTally], unit: Unit) -> int:
    if unit == "message":
        return sum(e.messages for e in entries)
    return sum(e.done + e.failed for e in entries)


def _untold(tally: Tally) -> list[str]:
    if not tally.unattributed:
        return []
    return [f"{tally.unattributed} of {tally.done} answers don't tell which server they came from."]
