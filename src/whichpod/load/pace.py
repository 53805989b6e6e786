"""When RPCs are started, and on which line: closed loop and open loop."""

from __future__ import annotations

import math
import random
import time
from abc import ABC, abstractmethod
from collections import deque
from typing import TYPE_CHECKING

from whichpod.model.plan import Arrivals
from whichpod.wire.codes import GrpcCode
from whichpod.wire.status import GrpcStatus

if TYPE_CHECKING:
    from whichpod.load.engine import Engine
    from whichpod.load.line import Line

NO_CAP = 1 << 62
MOST_WAITING = 1_000_000
"""RPCs of an open loop that may wait for a stream; what is due beyond is dropped."""
TICK_NS = 100_000
"""An open loop of over 10,000 RPCs a second starts those of a tenth of a millisecond together."""

LATE_NS = 1_000_000
"""An RPC that is taken up so long after its time, by our own fault, is a late send."""

NOT_TAKEN = GrpcStatus(GrpcCode.DEADLINE_EXCEEDED, "no connection took it before the deadline passed")

Again = tuple[int, int, int]


class Pace(ABC):
    """A schedule. Lines tell it what became free; it starts RPCs on them."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self.sent_all = False
        """Nothing more will be started, save tries again."""
        self._again: deque[Again] = deque()

    @abstractmethod
    def warm_up(self, until: int) -> None:
        """The warm-up begins; it ends at `until`, in monotonic ns."""

    @abstractmethod
    def begin(self) -> None:
        """The measuring begins."""

    @property
    @abstractmethod
    def scheduled(self) -> int:
        """Measured RPCs so far."""

    @abstractmethod
    def freed(self, line: Line, count: int, now: int, /) -> None:
        """So many RPCs ended on a line."""

    @abstractmethod
    def up(self, line: Line, /) -> None:
        """A line came up."""

    @abstractmethod
    def down(self, line: Line, /) -> None:
        """A line went down."""

    def stop(self) -> None:
        """Starts nothing more."""
        self.sent_all = True
        self._again.clear()
        for line in self._engine.lines:
            line.waiting.clear()

    def again(self, token: Again) -> bool:
        """Starts an RPC once more when that is possible; False where nothing is started any more."""
        if self._engine.interrupted:
            return False
        self._again.append(token)
        self._engine.loop.soon(self._retry)
        return True

    @property
    def retries(self) -> int:
        """RPCs that wait to be tried again."""
        return len(self._again)

    def expire(self, now: int) -> None:
        """Fails those whose deadline has passed."""
        engine, again = self._engine, self._again
        while again and again[0][0] <= now - engine.deadline_ns:
            line = engine.lines[0]
            engine.failed(line, again.popleft(), NOT_TAKEN, None, now)
            self.freed(line, 1, now)

    def _retry(self) -> None:
        """Starts what waits to be tried again, on whichever line takes it."""
        lines = [line for line in self._engine.lines if line.ready]
        while self._again and lines:
            line = lines[0]
            if line.start([self._again[0]]):
                self._again.popleft()
                lines.append(lines.pop(0))
            else:
                lines.pop(0)


class ClosedLoop(Pace):
    """So many RPCs under way at all times: `streams` for each connection.

    An RPC that ended is followed by one on the same line, so that what comes in one read goes out in one
    write; but no line may get ahead of the slowest by more than two rounds of `streams` RPCs: what it would
    start then goes to the lines that are behind, as round robin would have it.
    """

    def __init__(self, engine: Engine) -> None:
        super().__init__(engine)
        self._step = engine.plan.concurrency
        self._free = 0
        self._quota = False
        self._goal = 0
        self._behind = 0
        self._many = len({address for _, address in engine.share.lines}) > 1
        self._quotas: dict[Line, int] = {}
        self._started = False

    @property
    def scheduled(self) -> int:
        """Measured RPCs so far."""
        return 0 if not self._quota else sum(line.sent for line in self._engine.lines)

    def warm_up(self, until: int) -> None:
        """Starts at once, where there is a warm-up."""
        self._free = self._step * len(self._engine.lines)
        self._started = True
        if until > time.monotonic_ns():
            self._share_out()
            self._spread()

    def begin(self) -> None:
        """Counts from here on."""
        engine = self._engine
        for line in engine.lines:
            line.sent = 0
        self._quota = True
        self._share_out()
        if engine.plan.duration_s is not None:
            engine.loop.at(engine.began + round(engine.plan.duration_s * 1e9), self._time_is_up)
        self._spread()

    def _time_is_up(self) -> None:
        self.sent_all = True
        self._engine.check_end()

    def freed(self, line: Line, count: int, now: int, /) -> None:
        """Starts as many, there or elsewhere."""
        if self.sent_all:
            self._engine.check_end()
            return
        if self._again:
            self._retry()
        most = min(count, line.cap - line.sent)
        started = line.start([now] * most) if most > 0 else 0
        line.sent += started
        if started < count:
            self._free += count - started
            self._engine.loop.soon(self._spread)
        if line.sent >= line.goal and not line.reached:
            self._reached(line)

    def up(self, _line: Line) -> None:
        """It gets its share."""
        self._share_out()
        self._engine.loop.soon(self._spread)

    def down(self, _line: Line) -> None:
        """The others get its share."""
        self._share_out()
        self._engine.loop.soon(self._spread)

    def _reached(self, line: Line) -> None:
        line.reached = True
        self._behind -= 1
        if self._behind <= 0:
            self._next_round()

    def _share_out(self) -> None:
        """Says how many each line gets, anew where lines came or went."""
        engine, plan = self._engine, self._engine.plan
        lines = [line for line in engine.lines if line.ready]
        if not lines or not self._started:
            return
        self._quotas = dict.fromkeys(engine.lines, NO_CAP)
        if self._quota and plan.requests is not None:
            total = engine.share.part(plan.requests)
            left = max(0, total - sum(line.sent for line in engine.lines))
            # By what each has sent already: the shares of all together are to be even.
            for line in engine.lines:
                self._quotas[line] = line.sent
            for line, more in zip(lines, level([line.sent for line in lines], left), strict=True):
                self._quotas[line] += more
        self._goal = min(line.sent for line in lines)
        self._next_round()

    def _next_round(self) -> None:
        """Lets every line go on for another step, once the slowest has come to the goal."""
        lines = [line for line in self._engine.lines if line.ready]
        quotas = self._quotas
        open_ones = [line for line in lines if line.sent < quotas[line]]
        if not open_ones:
            for line in lines:
                line.cap = quotas[line]
                line.reached = True
            self._check_sent()
            return
        self._goal = min(line.sent for line in open_ones) + self._step
        self._behind = 0
        for line in lines:
            line.cap = min(self._goal + self._step, quotas[line]) if self._many else quotas[line]
            line.goal = min(self._goal, quotas[line])
            # Lines of one address need not keep step.
            line.reached = line.sent >= line.goal or not self._many
            self._behind += not line.reached
        if self._free:
            self._engine.loop.soon(self._spread)

    def _check_sent(self) -> None:
        plan = self._engine.plan
        if self._quota and plan.requests is not None and not self.sent_all:
            self.sent_all = self.scheduled >= self._engine.share.part(plan.requests)
            if self.sent_all:
                self._engine.check_end()

    def _spread(self) -> None:
        """Starts what is free on the lines that may, evenly."""
        if self.sent_all or not self._free:
            return
        now = time.monotonic_ns()
        progress = True
        while self._free and progress:
            progress = False
            able = [line for line in self._engine.lines if line.sent < line.cap and line.capacity > 0]
            able.sort(key=lambda line: line.sent)
            for at, line in enumerate(able):
                fair = math.ceil(self._free / (len(able) - at))
                count = min(fair, self._free, line.cap - line.sent)
                started = line.start([now] * count) if count > 0 else 0
                line.sent += started
                self._free -= started
                progress |= started > 0
                if line.sent >= line.goal and not line.reached:
                    self._reached(line)
        self._check_sent()


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
        self._next = 0.0
        self._turn = 0
        self._count = 0
        self._left = NO_CAP
        self._until = float(NO_CAP)
        self._measuring = False
        self._waiting = 0

    @property
    def scheduled(self) -> int:
        """Measured RPCs so far."""
        return self._count

    def warm_up(self, until: int) -> None:
        """Follows the schedule until then."""
        now = time.monotonic_ns()
        if until > now:
            self._next = now + self._offset
            self._until = until
            self._run()

    def begin(self) -> None:
        """Counts from here on."""
        engine = self._engine
        plan = engine.plan
        self._measuring = True
        self._next = engine.began + (self._interval() if self._poisson else self._offset)
        self._left = NO_CAP if plan.requests is None else engine.share.part(plan.requests)
        self._until = float(NO_CAP)
        if plan.duration_s is not None:
            self._until = engine.began + plan.duration_s * 1e9
        self._run()

    def _interval(self) -> float:
        return self._dice.expovariate(1.0) * self._gap if self._poisson else self._gap

    def _run(self) -> None:
        """Hands out all that is due, and comes again when the next is."""
        engine = self._engine
        if self.sent_all or engine.over:
            return
        now = time.monotonic_ns()
        lines = [line for line in engine.lines if line.ready] or engine.lines
        touched: dict[Line, None] = {}
        while self._next <= now and self._next < self._until and self._left:
            due = int(self._next)
            self._next += self._interval()
            if self._measuring:
                self._count += 1
                self._left -= 1
                engine.late += now - due > LATE_NS
            line = lines[self._turn % len(lines)]
            self._turn += 1
            if self._waiting >= MOST_WAITING:
                engine.dropped += self._measuring
                continue
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
        for due, _, tries in reversed(tokens[started:]):
            waiting.appendleft((due, 0, tries))

    def freed(self, line: Line, _count: int, now: int, /) -> None:
        """Starts what waits there."""
        if self._again:
            self._retry()
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


def level(sent: list[int], left: int) -> list[int]:
    """How many more of each bring numbers as near to one another as `left` more allow."""
    low, high = min(sent), min(sent) + left + 1
    while high - low > 1:
        middle = (low + high) // 2
        if sum(max(0, middle - n) for n in sent) <= left:
            low = middle
        else:
            high = middle
    more = [max(0, low - n) for n in sent]
    rest = left - sum(more)
    for i, n in enumerate(sent):
        if rest and n + more[i] == low:
            more[i] += 1
            rest -= 1
    return more
