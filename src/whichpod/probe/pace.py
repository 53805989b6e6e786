"""When RPCs are sent: one after another (closed loop), or on a schedule whatever became of those before."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

from whichpod.model.plan import Plan

OPEN_IN_FLIGHT = 100
"""RPCs in flight per channel at most in open loop, unless the plan's concurrency is higher: as many streams
as servers usually allow on a connection."""
MOST_THREADS = 2000

Send = Callable[[int, int, int], None]
"""Does RPC (sequence, channel), which was due at a time in monotonic ns; 0 means now."""


class Tickets:
    """Numbers the RPCs, so that exactly as many as planned are sent."""

    def __init__(self, most: int | None, until_ns: int | None, stop: Callable[[], bool]) -> None:
        self._most = most
        self._until_ns = until_ns
        self._stop = stop
        self._next = 0
        self._lock = threading.Lock()

    def take(self) -> int | None:
        """The next number, or None when all are given out or the time is over."""
        if self._stop() or (self._until_ns is not None and time.monotonic_ns() >= self._until_ns):
            return None
        with self._lock:
            if self._most is not None and self._next >= self._most:
                return None
            self._next += 1
            return self._next - 1


def closed_loop(plan: Plan, tickets: Tickets, send: Send) -> list[threading.Thread]:
    """Starts a thread per RPC in flight: each sends its next when the one before has ended."""

    def work(channel: int) -> None:
        while (sequence := tickets.take()) is not None:
            send(sequence, channel, 0)

    needed = plan.channels * plan.concurrency
    if plan.requests is not None:
        needed = min(needed, max(plan.requests, plan.channels))
    threads = [
        threading.Thread(target=work, args=(i % plan.channels,), name=f"probe-{i}", daemon=True)
        for i in range(needed)
    ]
    for thread in threads:
        thread.start()
    return threads


def open_loop(
    plan: Plan, began_ns: int, stop: threading.Event, send: Send, drop: Callable[[], None]
) -> list[threading.Thread]:
    """Starts a thread that sends on schedule; channels take turns. What finds its channel full is dropped."""
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

    thread = threading.Thread(target=pace, name="probe-pace", daemon=True)
    thread.start()
    return [thread]


def _schedule(plan: Plan, began_ns: int) -> Iterator[tuple[int, int]]:
    """(sequence, when it is due): evenly spaced."""
    assert plan.rate is not None
    gap_ns = 1e9 / plan.rate
    total = plan.requests if plan.requests is not None else round((plan.duration_s or 0) * plan.rate)
    for sequence in range(total):
        yield sequence, began_ns + round(sequence * gap_ns)
