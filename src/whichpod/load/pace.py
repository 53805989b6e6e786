"""When RPCs are started, and on which line."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import deque
from typing import TYPE_CHECKING

from whichpod.wire.codes import GrpcCode
from whichpod.wire.status import GrpcStatus

if TYPE_CHECKING:
    from whichpod.load.engine import Engine
    from whichpod.load.line import Line

NO_CAP = 1 << 62
NOT_TAKEN = GrpcStatus(GrpcCode.DEADLINE_EXCEEDED, "no connection took it before the deadline passed")

NO_CONNECTION = GrpcStatus(GrpcCode.UNAVAILABLE, "no connection came up again")

Again = tuple[int, int, int]


class Pace(ABC):
    """A schedule. Lines tell it what became free; it starts RPCs on them."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self.sent_all = False
        """Nothing more will be started, save tries again."""
        self._again: deque[tuple[Again, Line]] = deque()

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
        """Starts nothing more; what was due and never sent is dropped."""
        engine = self._engine
        self.sent_all = True
        for line in engine.lines:
            engine.dropped += sum(due >= engine.began for due, _, _ in line.waiting)
            line.waiting.clear()
        engine.waiting = 0

    def give_up(self, now: int) -> None:
        """No connection is there or awaited: what was due is dropped, what was to be tried again failed."""
        self.stop()
        while self._again:
            token, line = self._again.popleft()
            self._engine.failed(line, token, NO_CONNECTION, None, now)

    def again(self, token: Again, line: Line, /) -> bool:
        """Starts an RPC of a line once more; False where nothing is started any more."""
        if self._engine.interrupted:
            return False
        self._again.append((token, line))
        self._engine.loop.soon(self.retry)
        return True

    @property
    def retries(self) -> int:
        """RPCs that wait to be tried again."""
        return len(self._again)

    def expire(self, now: int) -> None:
        """Fails those whose deadline has passed."""
        engine, again = self._engine, self._again
        while again and again[0][0][0] <= now - engine.deadline_ns:
            token, line = again.popleft()
            engine.failed(line, token, NOT_TAKEN, None, now)
            self.freed(line, 1, now)

    def retry(self) -> None:
        """Starts what waits to be tried again: on its own line, as a channel would.

        That may be about to have a new connection or a stream free. Other connections may be as near to their
        end as it was. Where its line is down, whichever takes it.
        """
        able = deque(line for line in self._engine.lines if line.ready)
        for _ in range(len(self._again)):
            token, line = self._again.popleft()
            if line.connecting or line.ready:
                if not line.start([token]):
                    self._again.append((token, line))
                continue
            while able and not able[0].start([token]):
                able.popleft()
            if able:
                able.rotate(-1)
            else:
                self._again.append((token, line))
