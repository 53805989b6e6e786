"""A closed loop: each RPC waits for one to end."""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING

from whichpod.load.pace import NO_CAP, Pace

if TYPE_CHECKING:
    from whichpod.load.engine import Engine
    from whichpod.load.line import Line

LOOK_NS = 1_000_000
LONG_RUN = 256
"""A round is at most this part of what each address has had."""


class ClosedLoop(Pace):
    """So many RPCs under way at all times: `streams` for each connection.

    An RPC that ended is followed by one on the same line, so that what comes in one read goes out in one
    write; but no line may get ahead of the slowest by more than two rounds (of `streams` RPCs at first). What
    it would start then goes to the lines that are behind, as round robin would have it.
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
        # Lines that are behind the goal, the furthest last.
        self._laggards: list[Line] = []
        self._looked_at = 0

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
        if self._again:
            self.retry()
        if self.sent_all:
            self._engine.check_end()
            return
        most = min(count, line.cap - line.sent)
        started = line.start([now] * most) if most > 0 else 0
        line.sent += started
        if started < count:
            self._free += count - started
            self._engine.loop.soon(self._spread)
        self._note(line)

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
        lines = [line for line in engine.lines if line.ready] if self._started else []
        if not lines:
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
        slowest = min(line.sent for line in open_ones)
        # Rounds get longer as the run does: in step, batches break up, and later a small lead is no skew.
        step = max(self._step, slowest // LONG_RUN)
        self._goal = slowest + step
        self._behind = 0
        for line in lines:
            line.cap = min(self._goal + step, quotas[line]) if self._many else quotas[line]
            line.goal = min(self._goal, quotas[line])
            # Lines of one address need not keep step.
            line.reached = line.sent >= line.goal or not self._many
            self._behind += not line.reached
        self._laggards = [line for line in lines if not line.reached]
        self._laggards.sort(key=lambda line: line.sent, reverse=True)
        if self._free:
            self._engine.loop.soon(self._spread)

    def _check_sent(self) -> None:
        plan = self._engine.plan
        if self._quota and plan.requests is not None and not self.sent_all:
            self.sent_all = self.scheduled >= self._engine.share.part(plan.requests)
            if self.sent_all:
                self._engine.check_end()

    def _spread(self) -> None:
        """Starts what is free on the lines that may: brings those to the goal that are behind, each in one
        batch; what is left after that goes to all, evenly."""
        if self.sent_all or not self._free:
            return
        now = time.monotonic_ns()
        while self._free and self._laggards:
            line = self._laggards[-1]
            count = min(self._free, line.goal - line.sent)
            started = self._start(line, count, now)
            if line.sent >= line.goal or started < count:
                self._laggards.pop()
            self._note(line)
        if self._free:
            self._look_at_all(now)
        self._check_sent()

    def _look_at_all(self, now: int) -> None:
        """Not at each turn: there may be thousands of lines, all with as many RPCs as their servers allow."""
        if now < self._looked_at + LOOK_NS:
            self._engine.loop.after(LOOK_NS, self._spread)
            return
        self._looked_at = now
        progress = True
        while self._free and progress:
            progress = False
            able = [line for line in self._engine.lines if line.sent < line.cap and line.capacity > 0]
            able.sort(key=lambda line: line.sent)
            for at, line in enumerate(able):
                fair = math.ceil(self._free / (len(able) - at))
                progress |= self._start(line, min(fair, self._free, line.cap - line.sent), now) > 0
                self._note(line)

    def _start(self, line: Line, count: int, now: int) -> int:
        """Starts so many of those that are free on a line, as far as it can; how many."""
        started = line.start([now] * count) if count > 0 else 0
        line.sent += started
        self._free -= started
        return started

    def _note(self, line: Line) -> None:
        if line.sent >= line.goal and not line.reached:
            self._reached(line)


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
