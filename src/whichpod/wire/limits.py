"""How much a peer may ask of us. RFC 9113, section 10.5 leaves the numbers to implementations."""

from __future__ import annotations

from dataclasses import dataclass

SECOND = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Limits:
    """The same for both roles. Sizes in bytes, times in ns."""

    header_list: int = 65_536
    """A decoded header list, counted as SETTINGS_MAX_HEADER_LIST_SIZE counts: 32 more for each field."""
    fields: int = 128
    continuations: int = 8
    table: int = 4_096
    """HPACK dynamic table, of either direction."""
    streams: int = 100
    """Streams that a peer may have open at once, and what a client assumes before it is told."""
    stream_window: int = 65_536
    connection_window: int = 1_048_576
    body: int = 4 * 1_048_576 + 4_096
    """A body that is collected before it is delivered: a message of 4 MiB with room for its prefix."""
    bodies: int = 32 * 1_048_576
    """All bodies being collected on a connection."""
    resets: int = 1_000
    resets_per_s: int = 33
    """Resets received, and sent because the peer left us no choice (CVE-2023-44487, CVE-2025-8671)."""
    chores: int = 1_000
    chores_per_s: int = 33
    chores_per_work: int = 10
    """Frames that carry nothing (PING, SETTINGS, PRIORITY, WINDOW_UPDATE, empty DATA, unknown ones). What is
    earned by each stream or DATA frame lets peers live that ping once a round trip to measure bandwidth."""
    controls: int = 1_000
    """Control frames waiting to be taken (CVE-2019-9512, 9515)."""
    outbound: int = 4 * 1_048_576
    """Bytes waiting to be taken; beyond it, bodies wait in their streams."""
    settings: int = 32
    """Entries of one SETTINGS frame."""
    patience_ns: int = 10 * SECOND
    """For the preface with its SETTINGS, for a header block, and for the SETTINGS ACK."""


class Budget:
    """A leaky bucket: `burst` at once, drained by time and by work done."""

    __slots__ = ("_at", "_burst", "_level", "_per_s", "_per_work", "_work")

    def __init__(self, burst: int, per_s: int, now: int, per_work: int = 0) -> None:
        self._burst, self._per_s, self._per_work = burst, per_s, per_work
        self._level = 0.0
        self._at, self._work = now, 0

    def spend(self, now: int, work: int = 0) -> bool:
        """Counts one more at `now` ns, after `work` units in all; False once that is too many."""
        drained = (now - self._at) / SECOND * self._per_s + (work - self._work) * self._per_work
        self._at, self._work = now, work
        self._level = max(0.0, self._level - max(0.0, drained)) + 1
        return self._level <= self._burst
