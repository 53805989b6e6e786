"""What backends answered over time: counts and latencies per interval, in fixed memory, mergeable.

Intervals are counted from the zero of the monotonic clock, which all processes of a machine share, so what
several clients saw on one machine can be merged, and held against what happened there meanwhile. An RPC
belongs to the interval in which it was due, not to the one in which it ended: so each interval of a steady
load has the same number of RPCs, and one that waited in vain for its deadline is counted where it began.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from whichpod.model.codec import from_json, to_json
from whichpod.model.histogram import Histogram
from whichpod.model.tally import OK, Observation
from whichpod.model.target import Backend

SCHEMA_VERSION = 1
MOST_INTERVALS = 600
"""Beyond, pairs of them become one."""
UNKNOWN = ""
"""Key of the line of RPCs that nobody is known to have answered or failed."""


@dataclass(slots=True)
class Interval:
    """What one backend did of the RPCs that were due in one interval."""

    done: int = 0
    failed: int = 0
    latency: Histogram = field(default_factory=Histogram)
    """Of those done, from the scheduled time."""

    def merge(self, other: Interval) -> None:
        """Adds `other`."""
        self.done += other.done
        self.failed += other.failed
        self.latency.merge(other.latency)


@dataclass(slots=True)
class Line:
    """What one backend did over time."""

    backend: Backend | None
    """None where it could not be told: RPCs that found nobody."""
    intervals: dict[int, Interval] = field(default_factory=dict)
    """By number; those in which nothing was due are left out."""
    first_ns: int = 0
    """When the first RPC that it answered was due, by the monotonic clock; 0: it answered none."""

    def at(self, number: int) -> Interval:
        """The interval of that number, made where it isn't there yet."""
        found = self.intervals.get(number)
        if found is None:
            found = self.intervals[number] = Interval()
        return found


class Timeline:
    """Counts per interval and backend. Not for several threads at a time."""

    __slots__ = ("_first", "_last", "dropped", "interval_ns", "lines")

    def __init__(self, interval_ns: int) -> None:
        if interval_ns < 1:
            raise ValueError(f"timeline: an interval of {interval_ns} ns makes no sense")
        self.interval_ns = interval_ns
        """Width of an interval; it doubles when there would be more than MOST_INTERVALS."""
        self.lines: dict[str, Line] = {}
        """By backend id: a process that was started anew has a line of its own."""
        self.dropped: dict[int, int] = {}
        """RPCs that were due but not sent, by interval."""
        self._first: int | None = None
        self._last: int | None = None

    def add(self, seen: Observation) -> None:
        """Counts the end of an RPC; one of the warm-up counts nowhere."""
        if seen.phase == "warmup":
            return
        number = self._number(seen.scheduled_ns)
        line = self._line(seen.backend)
        interval = line.at(number)
        if seen.status != OK:
            interval.failed += 1
            return
        interval.done += 1
        interval.latency.record(seen.done_ns - seen.scheduled_ns)
        if not line.first_ns or seen.scheduled_ns < line.first_ns:
            line.first_ns = seen.scheduled_ns

    def drop(self, due_ns: int) -> None:
        """Counts an RPC that was due and not sent."""
        number = self._number(due_ns)
        self.dropped[number] = self.dropped.get(number, 0) + 1

    @property
    def span(self) -> range:
        """The numbers of all intervals from the first to the last in use."""
        if self._first is None or self._last is None:
            return range(0)
        return range(self._first, self._last + 1)

    def start_ns(self, number: int) -> int:
        """When an interval begins, by the monotonic clock."""
        return number * self.interval_ns

    def by_label(self) -> dict[str, Line]:
        """Lines by the name to show: a pod that was restarted comes once, with all its lives."""
        found: dict[str, Line] = {}
        for line in self.lines.values():
            label = line.backend.label if line.backend else UNKNOWN
            _merge_line(found.setdefault(label, Line(line.backend)), line)
        return found

    def merge(self, other: Timeline) -> None:
        """Adds what another client of the same machine saw.

        Raises ValueError where one's interval isn't the other's doubled some times over.
        """
        wide, narrow = max(self.interval_ns, other.interval_ns), min(self.interval_ns, other.interval_ns)
        factor = wide // narrow
        if wide % narrow or factor & (factor - 1):
            raise ValueError(f"timeline: intervals of {wide} and {narrow} ns can't be merged")
        other = Timeline.from_json(other.to_json())  # a copy, which may be widened
        while self.interval_ns < wide:
            self._widen()
        while other.interval_ns < wide:
            other._widen()
        while other.span:
            first, last = other.span[0], other.span[-1]
            if self.span:
                first, last = min(first, self.span[0]), max(last, self.span[-1])
            if last - first < MOST_INTERVALS:
                self._first, self._last = first, last
                break
            self._widen()
            other._widen()
        for key, line in other.lines.items():
            _merge_line(self.lines.setdefault(key, Line(line.backend)), line)
        for number, n in other.dropped.items():
            self.dropped[number] = self.dropped.get(number, 0) + n

    def _line(self, backend: Backend | None) -> Line:
        key = backend.id if backend else UNKNOWN
        found = self.lines.get(key)
        if found is None:
            found = self.lines[key] = Line(backend)
        elif backend and found.backend and backend.ip and not found.backend.ip:
            found.backend = backend  # a failure's trailers tell less than an answer
        return found

    def _number(self, at_ns: int) -> int:
        self._reach(at_ns // self.interval_ns)
        return at_ns // self.interval_ns  # which may be wider now

    def _reach(self, number: int) -> None:
        first = number if self._first is None else min(self._first, number)
        last = number if self._last is None else max(self._last, number)
        self._first, self._last = first, last
        while self._last - self._first >= MOST_INTERVALS:
            self._widen()

    def _widen(self) -> None:
        """Makes intervals twice as wide."""
        self.interval_ns *= 2
        if self._first is not None and self._last is not None:
            self._first, self._last = self._first // 2, self._last // 2
        for line in self.lines.values():
            before, line.intervals = line.intervals, {}
            for number, interval in before.items():
                line.at(number // 2).merge(interval)
        counts, self.dropped = self.dropped, {}
        for number, n in counts.items():
            self.dropped[number // 2] = self.dropped.get(number // 2, 0) + n

    def to_json(self) -> dict[str, Any]:
        """The exact content.

        An interval is [done, failed]; with one answer also its latency in ns, with more of them the sum, the
        least, the largest, and the histogram's buckets.
        """
        return {
            "schema_version": SCHEMA_VERSION,
            "interval_ns": self.interval_ns,
            "lines": {
                key: {
                    "backend": to_json(line.backend),
                    "first_ns": line.first_ns,
                    "intervals": {str(n): _packed(i) for n, i in sorted(line.intervals.items())},
                }
                for key, line in self.lines.items()
            },
            "dropped": {str(n): count for n, count in sorted(self.dropped.items())},
        }

    @classmethod
    def from_json(cls, data: object) -> Timeline:
        """What `to_json` wrote. Raises ValueError when it isn't that."""
        if not isinstance(data, Mapping) or data.get("schema_version") != SCHEMA_VERSION:
            raise ValueError(f"timeline: expected an object with schema_version {SCHEMA_VERSION}")
        try:
            made = cls(int(data["interval_ns"]))
            for key, line in data["lines"].items():
                backend = from_json(Backend, line["backend"]) if line["backend"] else None
                found = made.lines[key] = Line(backend, first_ns=int(line["first_ns"]))
                for number, packed in line["intervals"].items():
                    found.intervals[int(number)] = _unpacked(packed)
            made.dropped = {int(n): int(count) for n, count in data["dropped"].items()}
        except (KeyError, TypeError, AttributeError, IndexError) as e:
            raise ValueError(f"timeline: {e!r}") from None
        for number in made._numbers():
            made._reach(number)
        return made

    def _numbers(self) -> Iterator[int]:
        for line in self.lines.values():
            yield from tuple(line.intervals)
        yield from tuple(self.dropped)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Timeline) and self.to_json() == other.to_json()

    __hash__ = None  # type: ignore[assignment]


def _merge_line(mine: Line, theirs: Line) -> None:
    firsts = [n for n in (mine.first_ns, theirs.first_ns) if n]
    mine.first_ns = min(firsts, default=0)
    if theirs.backend and theirs.backend.ip and not (mine.backend and mine.backend.ip):
        mine.backend = theirs.backend
    for number, interval in theirs.intervals.items():
        mine.at(number).merge(interval)


def _packed(interval: Interval) -> list[Any]:
    latency = interval.latency
    if latency.count < 2:
        return [interval.done, interval.failed, *([latency.total] * latency.count)]
    return [interval.done, interval.failed, latency.total, latency.minimum, latency.maximum, latency.counts()]


def _unpacked(packed: Any) -> Interval:
    done, failed, *rest = packed
    if len(rest) < 2:
        return Interval(int(done), int(failed), Histogram(map(int, rest)))
    total, minimum, maximum, buckets = rest
    counted = {int(i): int(n) for i, n in buckets.items()}
    if sum(counted.values()) != done:
        raise ValueError("timeline: the buckets don't add up to the count")
    return Interval(
        int(done),
        int(failed),
        Histogram.of(counted, total=int(total), minimum=int(minimum), maximum=int(maximum)),
    )
