"""An open loop: RPCs start at their times."""

from __future__ import annotations

import random
import time
from typing import TYPE_CHECKING

from whichpod.load.pace import NO_CAP, Pace
from whichpod.model.plan import Arrivals

if TYPE_CHECKING:
    from whichpod.load.engine import Engine
    from whichpod.load.line import Line

MOST_WAITING = 1_000_000
"""RPCs of an open loop that may wait for a stream; what is due beyond is dropped."""
TICK_NS = 100_000
"""An open loop of over 10,000 RPCs a second starts those of a tenth of a millisecond together."""
MOST_AT_ONCE = 20_000
"""RPCs that are handed out before the loop turns to what else there is, such as being told to stop."""

LATE_NS = 10_000_000
"""An RPC that is taken up so long after its time, by our own fault, is a late send."""


class OpenLoop(Pace):
    """RPCs start at their times, on one line after another, whatever became of those before. One that finds
    no stream free on its line waits there."""

    def __init__(self, engine: Engine) -> None:
        super().__init__(engine)
        plan = engine.plan
        assert plan.rate is not None
        part = len(engine.share.lines) / engine.share.of
        self._gap = 1e9 / (plan.rate * part)
        # Workers take turns.
        first = min(channel for channel, _ in engine.share.lines)
        self._offset = self._gap * first / engine.share.of
        self._poisson = plan.arrivals is Arrivals.POISSON
        self._dice = random.Random(engine.share.seed or None)  # noqa: S311 - arrivals, not secrets
        self._first = self._next = 0.0
        self._index = 0
        self._turn = 0
        self._count = 0
        self._left = NO_CAP
        self._until = float(NO_CAP)
        self._measuring = False

    @property
    def scheduled(self) -> int:
        """Measured RPCs so far."""
        return self._count

    def warm_up(self, until: int) -> None:
        """Follows the schedule until then."""
        now = time.monotonic_ns()
        if until > now:
            self._start(now + self._offset)
            self._until = until
            self._run()

    def begin(self) -> None:
        """Counts from here on."""
        engine = self._engine
        plan = engine.plan
        self._measuring = True
        self._start(engine.began + (self._interval() if self._poisson else self._offset))
        self._left = NO_CAP if plan.requests is None else engine.share.part(plan.requests)
        self._until = float(NO_CAP)
        if plan.duration_s is not None:
            # Half a nanosecond less: rounding must not let one more slip in at the very end.
            self._until = engine.began + plan.duration_s * 1e9 - 0.5
        self._run()

    def _start(self, first: float) -> None:
        self._first = self._next = first
        self._index = 0

    def _advance(self) -> None:
        """Sets the time of the next one."""
        if self._poisson:
            self._next += self._interval()
        else:
            # Not by adding up: after millions of them, rounding would make one too many or too few.
            self._index += 1
            self._next = self._first + self._index * self._gap

    def _interval(self) -> float:
        return self._dice.expovariate(1.0) * self._gap

    def _run(self) -> None:
        """Hands out all that is due, and comes again when the next is."""
        engine = self._engine
        if self.sent_all or engine.over:
            return
        now = time.monotonic_ns()
        lines = [line for line in engine.lines if line.ready] or engine.lines
        touched: dict[Line, None] = {}
        for _ in range(MOST_AT_ONCE):
            if self._next > now or self._next >= self._until or not self._left:
                break
            due = int(self._next)
            self._advance()
            if self._measuring:
                self._count += 1
                self._left -= 1
                engine.late += now - due > LATE_NS
            line = lines[self._turn % len(lines)]
            self._turn += 1
            if engine.waiting >= MOST_WAITING:
                engine.dropped += self._measuring
                continue
            engine.waiting += 1
            line.waiting.append((due, 0, 1))
            touched[line] = None
        for line in touched:
            self._pull(line, now)
        if not self._left or self._next >= self._until:
            if self._measuring:
                self.sent_all = True
                engine.check_end()
            return
        engine.loop.at(int(max(self._next, now + TICK_NS)), self._run)

    def _pull(self, line: Line, now: int) -> None:
        waiting = line.waiting
        count = min(len(waiting), line.capacity, self._engine.plan.concurrency - line.in_flight)
        if count <= 0:
            return
        tokens = [(waiting.popleft()[0], now, 1) for _ in range(count)]
        started = line.start(tokens)
        self._engine.waiting -= started
        for due, _, tries in reversed(tokens[started:]):
            waiting.appendleft((due, 0, tries))

    def freed(self, line: Line, _count: int, now: int, /) -> None:
        """Starts what waits there."""
        if self._again:
            self.retry()
        if line.waiting:
            self._pull(line, now)
        if self.sent_all:
            self._engine.check_end()

    def up(self, line: Line) -> None:
        """Starts what waits there."""
        self._engine.loop.soon(lambda: self._pull(line, time.monotonic_ns()))

    def down(self, line: Line) -> None:
        """What waits there goes to the others."""
        others = [other for other in self._engine.lines if other.ready and other is not line]
        while line.waiting and others:
            other = others[self._turn % len(others)]
            self._turn += 1
            other.waiting.append(line.waiting.popleft())
        for other in others:
            if other.waiting:
                self.up(other)
