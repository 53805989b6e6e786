"""Tells connections apart, and counts the RPCs on each."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from urllib.parse import unquote

MOST = 20_000
"""Connections remembered; the one that was longest unused is forgotten first."""
TRUSTED_S = 0.25
"""So long after it was last seen open, a peer's address is still the same connection's."""

Opened = Callable[[], Iterable[str]]
"""Peers of the connections opened since it was last asked, oldest first."""
Seen = tuple[str, str, int]
"""The peer for people, its connection's id and the RPC's number on it."""


@dataclass(slots=True)
class _Open:
    id: str
    peer: str
    last: float
    calls: int = 0
    told: bool = True
    """Whether it was learnt from `Opened`."""


class Connections:
    """Connections by the peer's address, which is all that grpcio tells of them. Thread-safe.

    An address comes again when its port is given out anew. So the connections opened since are asked for
    whenever an address is unknown or was not in use for a while: at most once per connection and four times
    a second, however many connections there are.
    """

    def __init__(self, opened: Opened, clock: Callable[[], float] = time.monotonic) -> None:
        self._opened = opened
        self._clock = clock
        self._seen: OrderedDict[str, _Open] = OrderedDict()
        self._made = 0
        self._asked = clock()
        self._lock = threading.Lock()
        self.calls = 0
        """RPCs counted on all of them."""

    def count(self, peer: str) -> Seen:
        """Counts an RPC."""
        with self._lock:
            now = self._clock()
            seen = self._seen.get(peer)
            if seen is None or now - max(seen.last, self._asked) > TRUSTED_S:
                self._ask(now)
                seen = self._seen.get(peer) or self._add(peer, now, told=False)
            self._seen.move_to_end(peer)
            seen.last = now
            seen.calls += 1
            self.calls += 1
            return seen.peer, seen.id, seen.calls

    def _ask(self, now: float) -> None:
        self._asked = now
        for peer in self._opened():
            seen = self._seen.get(peer)
            if seen is not None and not seen.told:
                seen.told = True  # an RPC was quicker than the news of its connection
            else:
                self._add(peer, now)

    def _add(self, peer: str, now: float, *, told: bool = True) -> _Open:
        self._made += 1
        readable = unquote(peer)  # grpc writes [::1] as %5B::1%5D
        seen = self._seen[peer] = _Open(f"{readable}#{self._made}", readable, now, told=told)
        self._seen.move_to_end(peer)
        if len(self._seen) > MOST:
            self._seen.popitem(last=False)
        return seen
