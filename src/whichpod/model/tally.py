"""What was observed, counted: per backend, per channel, per status. Tallies merge."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from whichpod.model.histogram import Histogram
from whichpod.model.target import Backend

Phase = Literal["warmup", "measure"]
OK = "OK"
MOST_CONNECTIONS = 10_000
"""Server-side connections that are told apart by name; beyond, they are only counted, so that memory
stays flat when every RPC has a connection of its own."""


@dataclass(frozen=True, slots=True)
class Observation:
    """One RPC that came to an end. Times are monotonic, in ns."""

    sequence: int
    scheduled_ns: int
    """When it should have been sent; in closed loop, when it was."""
    sent_ns: int
    done_ns: int
    channel: int
    connection: str
    """Id of the connection as the server saw it; empty where the server doesn't tell."""
    backend: Backend | None
    status: str
    """Name of the gRPC status code."""
    phase: Phase = "measure"
    messages: int = 1
    """Messages that the backend answered: 1 for a unary RPC."""


@dataclass(slots=True)
class BackendTally:
    """What one backend answered."""

    backend: Backend
    done: int = 0
    failed: int = 0
    """RPCs that it failed, where it is known that it was this one."""
    messages: int = 0
    first_ns: int = 0
    """When it was first and last seen, in ns since the run began."""
    last_ns: int = 0
    latency: Histogram = field(default_factory=Histogram)
    """From the scheduled time to the answer."""
    service: Histogram = field(default_factory=Histogram)
    """From the sending to the answer."""

    def merge(self, other: BackendTally) -> None:
        """Adds `other`, which is about the same backend."""
        self.first_ns = min(self.first_ns, other.first_ns)
        self.last_ns = max(self.last_ns, other.last_ns)
        self.done += other.done
        self.failed += other.failed
        self.messages += other.messages
        self.latency.merge(other.latency)
        self.service.merge(other.service)


@dataclass(slots=True)
class Tally:
    """Counts of a run or of a part of it. Always: scheduled = done + failed + dropped + in_flight."""

    scheduled: int = 0
    done: int = 0
    failed: int = 0
    dropped: int = 0
    """Due by the schedule but never sent, since too many were in flight."""
    in_flight: int = 0
    warmup: int = 0
    """RPCs of the warm-up, which count nowhere else."""
    unattributed: int = 0
    """Done RPCs whose backend could not be told."""
    statuses: dict[str, int] = field(default_factory=dict)
    backends: dict[str, BackendTally] = field(default_factory=dict)
    """By backend id."""
    channels: dict[int, dict[str, int]] = field(default_factory=dict)
    """Per channel of the client: done RPCs per backend id."""
    connections: dict[str, dict[str, int]] = field(default_factory=dict)
    """Per connection as servers saw it: done RPCs per backend id. At most MOST_CONNECTIONS."""
    connections_untold: int = 0
    """RPCs on connections beyond those."""
    latency: Histogram = field(default_factory=Histogram)
    """Of all done RPCs, from the scheduled time."""
    service: Histogram = field(default_factory=Histogram)
    """Of all done RPCs, from the sending."""

    def started(self) -> None:
        """Counts an RPC that was sent and is now in flight."""
        self.scheduled += 1
        self.in_flight += 1

    def drop(self, times: int = 1) -> None:
        """Counts RPCs that were due but not sent."""
        self.scheduled += times
        self.dropped += times

    def add(self, seen: Observation, began_ns: int) -> None:
        """Counts the end of an RPC that `started` counted. `began_ns`: when the run began."""
        if seen.phase == "warmup":
            self.warmup += 1
            return
        self.in_flight -= 1
        self.statuses[seen.status] = self.statuses.get(seen.status, 0) + 1
        backend = self._backend(seen, began_ns)
        if seen.status != OK:
            self.failed += 1
            if backend:
                backend.failed += 1
            return
        self.done += 1
        latency, service = seen.done_ns - seen.scheduled_ns, seen.done_ns - seen.sent_ns
        self.latency.record(latency)
        self.service.record(service)
        if not backend:
            self.unattributed += 1
            return
        backend.done += 1
        backend.messages += seen.messages
        backend.latency.record(latency)
        backend.service.record(service)
        key = backend.backend.id
        _count(self.channels.setdefault(seen.channel, {}), key)
        if seen.connection in self.connections or len(self.connections) < MOST_CONNECTIONS:
            if seen.connection:
                _count(self.connections.setdefault(seen.connection, {}), key)
        else:
            self.connections_untold += 1

    def _backend(self, seen: Observation, began_ns: int) -> BackendTally | None:
        if seen.backend is None:
            return None
        at = seen.done_ns - began_ns
        entry = self.backends.get(seen.backend.id)
        if entry is None:
            entry = self.backends[seen.backend.id] = BackendTally(seen.backend, first_ns=at, last_ns=at)
        elif seen.backend.ip and not entry.backend.ip:
            entry.backend = seen.backend  # a failure's trailers tell less than an answer
        entry.first_ns, entry.last_ns = min(entry.first_ns, at), max(entry.last_ns, at)
        return entry

    def merge(self, other: Tally) -> None:
        """Adds `other`: counts are added, histograms merged bucket by bucket."""
        for name in ("scheduled", "done", "failed", "dropped", "in_flight", "warmup", "unattributed",
                     "connections_untold"):  # fmt: skip
            setattr(self, name, getattr(self, name) + getattr(other, name))
        for status, n in other.statuses.items():
            _count(self.statuses, status, n)
        for key, theirs in other.backends.items():
            if key in self.backends:
                self.backends[key].merge(theirs)
            else:
                mine = self.backends[key] = BackendTally(
                    theirs.backend, first_ns=theirs.first_ns, last_ns=theirs.last_ns
                )
                mine.merge(theirs)
        for channel, counts in other.channels.items():
            for key, n in counts.items():
                _count(self.channels.setdefault(channel, {}), key, n)
        self.connections_untold += _merge_connections(self.connections, other.connections)
        self.latency.merge(other.latency)
        self.service.merge(other.service)

    def by_label(self) -> dict[str, BackendTally]:
        """What each backend did by the name to show: a pod that was restarted comes once, with both lives."""
        found: dict[str, BackendTally] = {}
        merged: set[str] = set()
        for entry in self.backends.values():
            label = entry.backend.label
            first = found.setdefault(label, entry)
            if first is entry:
                continue
            if label not in merged:
                merged.add(label)
                whole = BackendTally(first.backend, first_ns=first.first_ns, last_ns=first.last_ns)
                whole.merge(first)
                first = found[label] = whole
            first.merge(entry)
        return found

    @property
    def balanced_books(self) -> bool:
        """Whether every scheduled RPC is accounted for."""
        return self.scheduled == self.done + self.failed + self.dropped + self.in_flight


def _count(counts: dict[str, int], key: str, times: int = 1) -> None:
    counts[key] = counts.get(key, 0) + times


def _merge_connections(mine: dict[str, dict[str, int]], theirs: dict[str, dict[str, int]]) -> int:
    untold = 0
    for connection, counts in theirs.items():
        if connection not in mine and len(mine) >= MOST_CONNECTIONS:
            untold += sum(counts.values())
            continue
        for key, n in counts.items():
            _count(mine.setdefault(connection, {}), key, n)
    return untold
