"""When RPCs are sent: one after another (closed loop), or on a schedule whatever became of those before."""

from __future__ import annotations

import itertools
import math
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from whichpod.model.plan import Plan

OPEN_IN_FLIGHT = 100
"""RPCs in flight per channel at most in open loop, unless the plan's concurrency is higher: as many streams
as servers usually allow on a connection."""
MOST_THREADS = 2000

Work = Callable[[], None]
Send = Callable[[int, int, int], None]
"""Does RPC (sequence, channel), which was due at a time in monotonic ns; 0 means now."""


class Tickets:
    """Numbers a channel's RPCs, so that exactly as many as planned are sent."""

    def __init__(self, numbers: Iterable[int], until_ns: int | None, stop: Callable[[], bool]) -> None:
        self._numbers = iter(numbers)
        self._until_ns = until_ns
        self._stop = stop
        self._lock = threading.Lock()

    def take(self) -> int | None:
        """The next number, or None when all are given out or the time is over."""
        if self._stop() or (self._until_ns is not None and time.monotonic_ns() >= self._until_ns):
            return None
        with self._lock:
            return next(self._numbers, None)


def closed_loop(plan: Plan, until_ns: int | None, stop: Callable[[], bool], send: Send) -> list[Work]:
    """The work of a thread per RPC in flight: each sends its next when the one before has ended.

    Of a number of RPCs each channel has its share, give or take one: a channel that is quick to connect does
    not take that of one that is slow.
    """

    def work(channel: int, tickets: Tickets) -> None:
        while (sequence := tickets.take()) is not None:
            send(sequence, channel, 0)

    found: list[Work] = []
    for channel in range(plan.channels):
        numbers: Iterable[int] = itertools.count(channel, plan.channels)
        most = plan.concurrency
        if plan.requests is not None:
            numbers = range(channel, plan.requests, plan.channels)
            most = min(most, len(numbers))
        found += [partial(work, channel, Tickets(numbers, until_ns, stop))] * most
    return found


def open_loop(
    plan: Plan, began_ns: int, stop: threading.Event, send: Send, drop: Callable[[], None]
) -> list[Work]:
    """The work of a thread that sends on schedule; channels take turns. What finds its channel full is
    dropped."""
    most = max(plan.concurrency, OPEN_IN_FLIGHT)
    in_flight = [0] * plan.channels
    lock = threading.Lock()

    def one(sequence: int, channel: int, due_ns: int) -> None:
        try:
            send(sequence, channel, due_ns)
        finally:
            with lock:
                in_flight[channel] -= 1

    def pace() -> None:
        with ThreadPoolExecutor(min(most * plan.channels, MOST_THREADS), "probe") as pool:
            for sequence, due_ns in _schedule(plan, began_ns):
                wait = (due_ns - time.monotonic_ns()) / 1e9
                if stop.wait(wait) if wait > 0 else stop.is_set():
                    return
                channel = sequence % plan.channels
                with lock:
                    full = in_flight[channel] >= most
                    in_flight[channel] += not full
                if full:
                    drop()
                else:
                    pool.submit(one, sequence, channel, due_ns)

    return [pace]


def _schedule(plan: Plan, began_ns: int) -> Iterator[tuple[int, int]]:
    """(sequence, when it is due): evenly spaced."""
    assert plan.rate is not None
    gap_ns = 1e9 / plan.rate
    total = plan.requests if plan.requests is not None else _due_within(plan.duration_s or 0, plan.rate)
    for sequence in range(total):
        yield sequence, began_ns + round(sequence * gap_ns)


def _due_within(seconds: float, rate: float) -> int:
    """How many are due before the time is over. The first is due at once."""
    return max(1, math.ceil(seconds * rate - 1e-6))
