"""A line: one of the run's connections, whichever TCP connection it has at the moment, and its counts."""

from __future__ import annotations

import time
from collections import deque
from itertools import groupby
from typing import TYPE_CHECKING

from whichpod.load.address import Address
from whichpod.load.cells import Cell
from whichpod.load.conn import Conn, Tls
from whichpod.load.telling import Teller
from whichpod.wire import Event, Failed, GoawayReceived, Run, SettingsReceived, Stream, Terminated
from whichpod.wire.codes import GrpcCode, code_of_error
from whichpod.wire.grpc import is_grpc, result_of
from whichpod.wire.messages import PREFIX_SIZE
from whichpod.wire.status import GrpcStatus, status_of

if TYPE_CHECKING:
    from whichpod.load.engine import Engine

Token = int | tuple[int, int, int]
"""What an RPC carries: when it was sent, in monotonic ns; or (due, sent, tries)."""

MOST_KEYS = 4_096
"""Looks of responses that are remembered per connection."""
MOST_BLOCKS = 64
FIRST_BACKOFF_NS, LAST_BACKOFF_NS = 10_000_000, 1_000_000_000
CONNECT_NS = 5_000_000_000
NOBODY = Cell(None, service=False)
DEADLINE = GrpcStatus(GrpcCode.DEADLINE_EXCEEDED, "the deadline passed")


class Line:
    """Keeps a connection to one address, counts what comes back on it."""

    __slots__ = (
        "_address", "_alike", "_backoff", "_conn", "_cut", "_engine", "_good", "_known", "_retiring",
        "_teller", "_tls", "cap", "cells", "error", "goal", "index", "label", "opened", "reached", "sent",
        "tried", "waiting",
    )  # fmt: skip

    def __init__(self, engine: Engine, index: int, address: Address, label: str, tls: Tls | None) -> None:
        self.index = index
        """Of all the run's connections; the channel of the tally."""
        self.label = label
        self.opened = 0
        """TCP connections that came up."""
        self.error = ""
        """Why the last attempt failed."""
        self.tried = False
        """The first attempt is over."""
        self.sent = 0
        """RPCs started, tries again not counted."""
        self.cap = 0
        """Closed loop: how many it may have started by now."""
        self.goal = 0
        """Closed loop: how many all lines must have started before the next round."""
        self.reached = False
        """Closed loop: it has."""
        self.waiting: deque[tuple[int, int, int]] = deque()
        """Open loop: RPCs that are due and wait for a stream."""
        self.cells: dict[str, Cell] = {}
        """By backend id; "" where it isn't told."""
        self._engine = engine
        self._address = address
        self._tls = tls
        self._teller = Teller(engine.call.identify, label)
        self._known: dict[bytes, tuple[Cell, int]] = {}
        self._cut = self._teller.cut(b"")
        self._alike: int | None = None
        # Header blocks that are in order, by their identity: the cache of the core keeps them alike.
        self._good: dict[int, object] = {}
        self._conn: Conn | None = None
        self._retiring: list[Conn] = []
        self._backoff = FIRST_BACKOFF_NS

    # The connection.

    @property
    def ready(self) -> bool:
        """Whether RPCs can be started, streams permitting."""
        conn = self._conn
        return conn is not None and conn.settled and not conn.core.spent

    @property
    def connecting(self) -> bool:
        """Whether a connection is on its way."""
        return self._conn is not None and not self._conn.settled

    @property
    def capacity(self) -> int:
        """How many RPCs can be started now."""
        conn = self._conn
        if conn is None or not conn.settled or conn.link.backlog:
            return 0
        return conn.core.capacity

    @property
    def in_flight(self) -> int:
        """Streams that are open."""
        return sum(conn.core.open_streams for conn in self._conns())

    def _conns(self) -> list[Conn]:
        return [*self._retiring, self._conn] if self._conn else list(self._retiring)

    def open(self) -> None:
        """Connects."""
        if self._conn is not None or self._engine.over:
            return
        try:
            conn = self._conn = Conn(self._engine.loop, self, self._address, self._tls)
            conn.core.alike = self._alike
        except OSError as error:
            self._failed_to_open((error.strerror or str(error)).lower())
            return
        self._engine.loop.after(CONNECT_NS, lambda: self._give_up(conn))

    def _give_up(self, conn: Conn) -> None:
        if self._conn is conn and not conn.settled:
            self._conn = None
            conn.link.close()
            self._failed_to_open(f"no answer within {CONNECT_NS // 10**9} s")

    def _failed_to_open(self, reason: str) -> None:
        self.error = reason
        self.tried = True
        self._engine.loop.after(self._backoff, self.open)
        self._backoff = min(2 * self._backoff, LAST_BACKOFF_NS)
        self._engine.line_down(self)

    def on_end(self, conn: Conn, reason: str) -> None:
        """A connection is gone; another is opened where it was the current one."""
        if conn in self._retiring:
            self._retiring.remove(conn)
        elif conn is self._conn:
            self._conn = None
            self._failed_to_open(reason)

    def _replace(self, conn: Conn) -> None:
        """The connection takes no more streams (GOAWAY, ids used up): those that are open finish on it."""
        if conn is self._conn:
            self._conn = None
            self._retiring.append(conn)
            self._engine.line_down(self)
            self.open()

    def close(self) -> None:
        """Ends what is open."""
        for conn in self._conns():
            conn.close()
        self._retiring.clear()
        self._conn = None

    def tick(self, now: int) -> None:
        """Times what the peer owes us."""
        for conn in self._conns():
            due = conn.core.deadline
            if due is not None and now >= due:
                self.on_events(conn, conn.core.tick(now), now)
                conn.flush()

    # Requests.

    def start(self, tokens: list[int] | list[tuple[int, int, int]]) -> int:
        """Starts an RPC for each token, the first ones first; for how many."""
        conn = self._conn
        if conn is None or not conn.settled or conn.link.backlog:
            return 0
        core = conn.core
        count = core.requests(self._engine.request, tokens)
        if count:
            self._engine.under_way += count
            # Within a batch of responses what is started goes out with the rest, after it.
            if self._engine.batching is not conn:
                conn.flush()
            if core.spent:
                self._replace(conn)
        return count

    def on_room(self) -> None:
        """What was queued in the connection is with the kernel."""
        self._engine.pace.freed(self, 0, time.monotonic_ns())

    def expire(self, now: int) -> int:
        """Ends RPCs whose deadline has passed; how many had been sent."""
        latest = now - self._engine.deadline_ns

        def is_late(token: Token) -> bool:
            return (token if isinstance(token, int) else token[0]) <= latest

        late = [(conn, stream) for conn in self._conns() for stream in conn.core.overdue(is_late)]
        for conn, stream in late:
            conn.core.reset(stream)
            self._engine.failed(self, stream.token, DEADLINE, None, now)
        for conn in {conn for conn, _ in late}:
            conn.flush()
        expired = len(late)
        waiting = self.waiting
        while waiting and waiting[0][0] <= latest:
            self._engine.waiting -= 1
            self._engine.failed(self, waiting.popleft(), DEADLINE, None, now)
        return expired

    # Responses.

    def on_events(self, conn: Conn, events: list[Event], now: int) -> None:
        """Takes in what the core made of bytes. This is where a run spends its time: responses that look as
        ones before are counted by dictionary look-ups, and runs of like ones at once."""
        engine = self._engine
        engine.batching = conn
        freed = 0
        others: list[Event] = []
        for event in events:
            if not isinstance(event, Run):
                others.append(event)
                continue
            cell = event.like.mark or self._recognise(event)
            if cell is None:
                others.extend(event)
                continue
            self._backoff = FIRST_BACKOFF_NS
            tokens = event.tokens
            freed += len(tokens)
            if tokens.count(tokens[0]) == len(tokens):
                engine.count(cell, tokens[0], len(tokens), now)
            else:
                for token, alike in groupby(tokens):
                    engine.count(cell, token, sum(1 for _ in alike), now)
        if others:
            freed += self._one_by_one(conn, others, now)
        if freed:
            engine.under_way -= freed
            engine.pace.freed(self, freed, now)
        engine.batching = None
        if conn in self._retiring and conn.core.finished and not conn.link.closed:
            self._retiring.remove(conn)  # first: its last words may find the peer gone, which ends it too
            conn.close()

    def _recognise(self, run: Run) -> Cell | None:
        """The cell of a run; None where its responses must be looked at one by one, because none like them
        was before, or because what they have in common doesn't tell who answered."""
        sample = next(iter(run))
        if id(sample.head) not in self._good or id(sample.trailers) not in self._good:
            return None
        cut = self._teller.cut(sample.body)
        found = self._known.get(sample.body[:cut] if cut else self._teller.key(sample))
        if found is None or found[1] != len(sample.body) or max(cut, PREFIX_SIZE) > run.like.same:
            return None
        run.like.mark = found[0]
        return found[0]

    def _one_by_one(self, conn: Conn, events: list[Event], now: int) -> int:
        """Takes in events that are no runs; how many RPCs ended."""
        engine = self._engine
        known, good, teller = self._known, self._good, self._teller
        cut = self._cut
        freed = run = 0
        last_cell = NOBODY
        last_token: Token = 0
        head = trailers = None
        for event in events:
            if not isinstance(event, Stream):
                freed += self._on_event(conn, event, now)
                continue
            freed += 1
            if event.trailers is not trailers or event.head is not head:
                in_order = id(event.trailers) in good and id(event.head) in good
                if not in_order and not self._in_order(event, now):
                    continue
                trailers, head = event.trailers, event.head
            body = event.body
            found = known.get(body[:cut] if cut else teller.key(event))
            if found is None or found[1] != len(body):
                found = self._learn(event, now)
                cut = self._cut
                if found is None:
                    continue
            token = event.token
            if token is last_token and found[0] is last_cell:
                run += 1
                continue
            if run:
                engine.count(last_cell, last_token, run, now)
            last_cell, last_token, run = found[0], token, 1
        if run:
            engine.count(last_cell, last_token, run, now)
            self._backoff = FIRST_BACKOFF_NS
        return freed

    def _in_order(self, stream: Stream, now: int) -> bool:
        """Whether the RPC went well, going by its header blocks. One that didn't is counted."""
        head, trailers = stream.head, stream.trailers
        status = status_of(stream)
        if status.code is not GrpcCode.OK or head is None or trailers is None or not is_grpc(head):
            if status.code is GrpcCode.OK:
                status = result_of(stream)[0]
                if status.code is GrpcCode.OK:
                    status = GrpcStatus(GrpcCode.UNKNOWN, "The answer's content type is not gRPC's.")
            self._engine.failed(self, stream.token, status, self._teller.blamed(stream), now)
            return False
        if len(self._good) >= MOST_BLOCKS:
            self._good.clear()
        self._good[id(head)] = head
        self._good[id(trailers)] = trailers
        return True

    def _learn(self, stream: Stream, now: int) -> tuple[Cell, int] | None:
        """The cell of a response that looks like none before; None, and counted, where it is broken."""
        body = stream.body
        self._cut = cut = self._teller.cut(body)
        key = body[:cut] if cut else self._teller.key(stream)
        found = self._known.get(key)
        if found is not None and found[1] == len(body):
            return found
        status, _ = result_of(stream)
        if status.code is not GrpcCode.OK:
            self._engine.failed(self, stream.token, status, self._teller.blamed(stream), now)
            return None
        cell = self.cell_of(stream)
        if len(self._known) >= MOST_KEYS:
            self._known.clear()
        found = (cell, len(body))
        if body[0] == 0 and (cut != PREFIX_SIZE or self._teller.constant):
            # Only where its start tells: not that of a compressed answer, or of one without a server.
            self._known[key] = found
            self._tell_apart(max(cut, PREFIX_SIZE))
        return found

    def _tell_apart(self, octets: int) -> None:
        """Responses whose bodies have so much in common may come as runs."""
        if self._teller.by_body or octets <= (self._alike or 0):
            return
        self._alike = octets
        for conn in self._conns():
            conn.core.alike = octets

    def cell_of(self, stream: Stream) -> Cell:
        """The counts of the one who answered."""
        backend = self._teller.backend(stream)
        key = backend.id if backend else ""
        cell = self.cells.get(key)
        if cell is None:
            cell = self.cells[key] = Cell(backend, service=self._engine.plan.open_loop)
        return cell

    def _on_event(self, conn: Conn, event: Event, now: int) -> int:
        """What isn't a response; how many RPCs ended by it."""
        if isinstance(event, Failed):
            token = event.stream.token
            if event.retryable and self._engine.again(token, self):
                return 0
            status = GrpcStatus(code_of_error(event.error), event.error.message)
            self._engine.failed(self, token, status, None, now)
            return 1
        if isinstance(event, SettingsReceived):
            if not conn.settled:
                conn.settled = True
                self.tried = True
                self.opened += 1
                self._engine.line_up(self)
        elif isinstance(event, GoawayReceived):
            self._replace(conn)
        elif isinstance(event, Terminated) and not conn.link.closed:
            conn.flush()
            conn.link.close(flush=True)
            reason = event.error.message.rstrip(".") if event.error else "the connection ended"
            self._engine.loop.soon(lambda: self.on_end(conn, reason))
        return 0
