"""Counts of one backend on one connection: what the engine writes for every RPC, and what is made of it."""

from __future__ import annotations

from whichpod.model.histogram import HIGHEST_NS, Histogram, bucket_of
from whichpod.model.target import Backend


class Cell:
    """RPCs that one backend did on one connection. The histogram's counters are written by the engine
    directly, since a call for each RPC would cost more than all the rest of its bookkeeping."""

    __slots__ = ("backend", "buckets", "done", "failed", "first", "high", "last", "low", "service", "total")

    def __init__(self, backend: Backend | None, *, service: bool) -> None:
        self.backend = backend
        """None: it isn't told who answers."""
        self.done = 0
        self.failed = 0
        self.first = 0
        self.last = 0
        """When it was first and last seen, in monotonic ns; 0: never."""
        self.buckets: dict[int, int] = {}
        """Latency from the scheduled time, by bucket."""
        self.total = 0
        self.low = HIGHEST_NS
        self.high = 0
        self.service: Histogram | None = Histogram() if service else None
        """From the sending; None in closed loop, where that is the same."""

    def add(self, latency: int, times: int, now: int) -> None:
        """Counts RPCs of one latency in ns, done at `now`."""
        if latency > HIGHEST_NS:
            latency = HIGHEST_NS
        elif latency < 0:
            latency = 0
        index = bucket_of(latency)
        buckets = self.buckets
        buckets[index] = buckets.get(index, 0) + times
        self.done += times
        self.total += latency * times
        if latency < self.low:
            self.low = latency
        if latency > self.high:
            self.high = latency
        if not self.first:
            self.first = now
        self.last = now

    def latency(self) -> Histogram:
        """What was counted."""
        return Histogram.of(
            self.buckets, total=self.total, minimum=self.low if self.done else 0, maximum=self.high
        )
