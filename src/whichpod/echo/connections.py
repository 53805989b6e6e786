"""Tells connections apart, and counts the RPCs on each."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

MOST = 20_000
"""Connections remembered; the one that was longest unused is forgotten first."""
RECHECK_AFTER_S = 10.0
"""After such a pause a peer's address may be another connection's: a port is given out anew in time."""

StreamsStarted = Callable[[str], int]
"""How many streams the open connection of a peer has started; 0 where that can't be told."""


@dataclass(slots=True)
class _Seen:
    id: str
    calls: int
    last: float


class Connections:
    """Connections by the peer's address, which is all that grpcio tells of them. Thread-safe.

    A connection that comes from an address seen before is a new one where it has started fewer streams than
    were counted. That is asked only after a pause, since asking costs more than an RPC.
    """

    def __init__(self, streams_started: StreamsStarted, clock: Callable[[], float] = time.monotonic) -> None:
        self._streams_started = streams_started
        self._clock = clock
        self._seen: OrderedDict[str, _Seen] = OrderedDict()
        self._made = 0
        self.lock = threading.Lock()

    def count(self, peer: str) -> tuple[str, int]:
        """The id of the peer's connection, and the how-manieth RPC on it this is."""
        now = self._clock()
        with self.lock:
            seen = self._seen.get(peer)
            if seen is None or (
                now - seen.last > RECHECK_AFTER_S and self._streams_started(peer) <= seen.calls
            ):
                self._made += 1
                seen = self._seen[peer] = _Seen(f"{peer}#{self._made}", 0, now)
                if len(self._seen) > MOST:
                    self._seen.popitem(last=False)
            self._seen.move_to_end(peer)
            seen.calls += 1
            seen.last = now
            return seen.id, seen.calls
