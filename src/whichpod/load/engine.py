"""One process's part of a load run: its lines, its schedule, its counts."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from whichpod.load.address import parse
from whichpod.load.call import Call
from whichpod.load.cells import Cell
from whichpod.load.closed_loop import ClosedLoop
from whichpod.load.conn import Conn, Tls
from whichpod.load.line import Line, Token
from whichpod.load.open_loop import OpenLoop
from whichpod.load.pace import Pace
from whichpod.model.histogram import Histogram
from whichpod.model.plan import Plan
from whichpod.model.target import Backend
from whichpod.reactor import Loop
from whichpod.wire import Request
from whichpod.wire.grpc import call_fields, unary_call
from whichpod.wire.status import GrpcStatus
from whichpod.wire.table import Pair

MS = 1_000_000
NEVER = 1 << 62
SAMPLE_NS = 10 * MS
"""How often the loop's lag is looked at."""
LEAST_PATIENCE_NS = 1_000 * MS


@dataclass(frozen=True, slots=True)
class Share:
    """A worker's part of the connections and of the work."""

    lines: tuple[tuple[int, str], ...]
    """(channel, address) of each connection."""
    of: int
    """Connections of all workers together."""
    seed: int = 0

    def part(self, total: int) -> int:
        """This worker's part of a number of RPCs: as many as its connections get of it."""
        each, more = divmod(total, self.of)
        return sum(each + (channel < more) for channel, _ in self.lines)


class Engine:
    """Runs a share of a plan. Made, `prepare`d (connections come up), `begin`ning, and then it is `over`."""

    def __init__(
        self,
        plan: Plan,
        call: Call,
        share: Share,
        *,
        authority: str,
        tls: Tls | None = None,
        metadata: tuple[Pair, ...] = (),
    ) -> None:
        self.loop = Loop()
        self.plan = plan
        self.call = call
        self.share = share
        self.deadline_ns = round(plan.deadline_s * 1e9)
        scheme = "https" if tls else "http"
        head = call_fields(
            call.path, authority, scheme=scheme, timeout_ns=self.deadline_ns, metadata=metadata
        )
        self.request: Request = unary_call(head, call.message)
        self.began = NEVER
        """When the measuring began, in monotonic ns; RPCs due before that are warm-up."""
        self.ended = 0
        """When the last measured RPC ended."""
        self.over = False
        self.interrupted = False
        self.lost = False
        """Every connection was down for too long."""
        self.batching: Conn | None = None
        """The connection whose responses are being taken in."""
        self.under_way = 0
        """RPCs that are sent and haven't ended, warm-up included."""
        self.waiting = 0
        """RPCs that are due and wait for a stream."""
        self.warm = 0
        self.dropped = 0
        self.failures = 0
        self.late = 0
        self.statuses: dict[str, int] = {}
        self.first_error = ""
        self.lag = Histogram()
        self.cpu_s = 0.0
        self.lines = [Line(self, channel, parse(address), address, tls) for channel, address in share.lines]
        self.on_prepared: Callable[[], None] = lambda: None
        self.on_over: Callable[[], None] = lambda: None
        self.pace: Pace = OpenLoop(self) if plan.open_loop else ClosedLoop(self)
        self._prepared = False
        self._tried = 0
        self._down_since: int | None = None
        self._sample_at = 0

    # The course of a run.

    def prepare(self) -> None:
        """Connects. `on_prepared` follows once each line is up or has failed once."""
        for line in self.lines:
            line.open()
        self.loop.after(SAMPLE_NS, self._look_after)

    def begin(self, at: int) -> None:
        """Sends from `at` on; after the warm-up, what comes is measured."""
        measured = at + round(self.plan.warmup_s * 1e9)
        self.loop.at(at, lambda: self.pace.warm_up(measured))
        self.loop.at(measured, self._measure)

    def _measure(self) -> None:
        if self.over:
            return
        self.began = time.monotonic_ns()
        self.cpu_s = time.process_time()
        self.lag = Histogram()
        self.pace.begin()

    def interrupt(self, grace_ns: int) -> None:
        """Sends nothing more and is over soon; what hasn't ended by then stays in flight."""
        if not self.over:
            self.interrupted = True
            self.pace.stop()
            self.loop.after(grace_ns, self.finish)
            self.check_end()

    def finish(self) -> None:
        """It is over: closes everything."""
        if self.over:
            return
        self.over = True
        self.cpu_s = time.process_time() - self.cpu_s if self.began != NEVER else 0.0
        self.in_flight = self.scheduled - self.done - self.failures - self.dropped
        for line in self.lines:
            line.close()
        # What they still have to send goes out in this turn and the next.
        self.loop.soon(self.on_over)

    in_flight = 0
    """RPCs that were under way when it was over."""

    def check_end(self) -> None:
        """Is over where nothing more is sent and nothing is under way."""
        if self.pace.sent_all and not (self.under_way or self.waiting or self.pace.retries):
            self.finish()

    # What the lines tell.

    def line_up(self, line: Line) -> None:
        """It can take RPCs."""
        self._down_since = None
        # Before others take its streams.
        if self.pace.retries:
            self.loop.soon(self.pace.retry)
        self.pace.up(line)
        self._check_prepared()

    def line_down(self, line: Line) -> None:
        """It can't for now."""
        self.pace.down(line)
        if self.pace.retries:
            self.loop.soon(self.pace.retry)
        self._check_prepared()

    def _check_prepared(self) -> None:
        if self._prepared:
            return
        while self._tried < len(self.lines) and self.lines[self._tried].tried:
            self._tried += 1
        if self._tried == len(self.lines):
            self._prepared = True
            self.loop.soon(self.on_prepared)

    def count(self, cell: Cell, token: Token, times: int, now: int) -> None:
        """RPCs of one token were done."""
        if isinstance(token, int):
            if token < self.began:
                self.warm += times
                return
            cell.add(now - token, times, now)
        else:
            due, sent, _ = token
            if due < self.began:
                self.warm += times
                return
            cell.add(now - due, times, now)
            if cell.service is not None:
                cell.service.record(now - sent, times)
        self.ended = now

    def failed(self, line: Line, token: Token, status: GrpcStatus, backend: Backend | None, now: int) -> None:
        """An RPC failed."""
        if (token if isinstance(token, int) else token[0]) < self.began:
            self.warm += 1
            return
        self.failures += 1
        self.ended = now
        name = status.code.name
        self.statuses[name] = self.statuses.get(name, 0) + 1
        if not self.first_error:
            self.first_error = f"{name}: {status.message}" if status.message else name
        if backend is not None:
            cell = line.cells.get(backend.id)
            if cell is None:
                cell = line.cells[backend.id] = Cell(backend, service=self.plan.open_loop)
            cell.failed += 1
            cell.first, cell.last = cell.first or now, now

    def again(self, token: Token, line: Line) -> bool:
        """Tries an RPC again that no server has looked at (gRPC's transparent retries, gRFC A6), once."""
        if isinstance(token, int):
            token = (token, token, 1)
        if self.over or token[2] > 1:
            return False
        if not self.pace.again((token[0], token[1], token[2] + 1), line):
            return False
        self.under_way -= 1
        return True

    @property
    def scheduled(self) -> int:
        """Measured RPCs that were started, or should have been."""
        return self.pace.scheduled

    @property
    def done(self) -> int:
        """Measured RPCs that went well."""
        return sum(cell.done for line in self.lines for cell in line.cells.values())

    # Now and then.

    def _look_after(self) -> None:
        if self.over:
            return
        now = time.monotonic_ns()
        self.lag.record(self.loop.lag_ns)
        self.loop.at(now + SAMPLE_NS, self._look_after)
        self._sample_at += 1
        if self._sample_at % 10:
            return
        for line in self.lines:
            line.tick(now)
            expired = line.expire(now)
            if expired:
                self.under_way -= expired
                self.pace.freed(line, expired, now)
        self.pace.expire(now)
        self._watch_lines(now)
        self.check_end()

    def _watch_lines(self, now: int) -> None:
        if not self._prepared or any(line.ready for line in self.lines):
            self._down_since = None
        elif self._down_since is None:
            self._down_since = now
        elif now - self._down_since > max(self.deadline_ns, LEAST_PATIENCE_NS):
            self.lost = True
            self.pace.give_up(now)
            self.finish()


def addresses_of(addresses: Sequence[str], connections: int) -> list[tuple[int, str]]:
    """(channel, address) of each connection: one for each address in turn."""
    return list(enumerate(list(addresses) * connections))
