"""Load reports that clients weigh servers by: ORCA (gRFC A51), one in the trailers of each RPC.

gRPC's policy weighted_round_robin (gRFC A58) and Envoy's client_side_weighted_round_robin make
`qps / (utilization + eps / qps * penalty)` of them.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, fields
from struct import Struct
from typing import Literal

from whichpod.model.errors import UsageError

TRAILER = "endpoint-load-metrics-bin"
"""Carries a serialised OrcaLoadReport."""
MOST = 1e12
"""Larger numbers than this are no load."""
_pack = Struct("<Bd").pack
_TAGS = {"cpu": 0x09, "mem": 0x11, "qps": 0x31, "eps": 0x39, "utilization": 0x49}
"""Of xds.data.orca.v3.OrcaLoadReport: a field's number << 3, and 1 for a double."""


@dataclass(frozen=True, slots=True)
class LoadReport:
    """What a report says. 0 is as good as nothing: clients don't tell them apart (proto3)."""

    utilization: float = 0.0
    """application_utilization: share of what the application can do; above 1 is too much."""
    qps: float = 0.0
    """rps_fractional: RPCs per second."""
    eps: float = 0.0
    """Failed RPCs per second."""
    cpu: float = 0.0
    """cpu_utilization, which counts where there is no other utilization."""
    mem: float = 0.0
    """mem_utilization, 0 to 1."""

    def encode(self) -> bytes:
        """A serialised xds.data.orca.v3.OrcaLoadReport."""
        found = ((tag, getattr(self, name)) for name, tag in _TAGS.items())
        return b"".join(_pack(tag, value) for tag, value in found if value)


_WORDS: dict[str, Literal["off", "auto"]] = {"off": "off", "auto": "auto"}
Reports = LoadReport | Literal["off", "auto"]
"""What is reported: always the same, nothing, or what the server's own work comes to (`Load`)."""


def parse_reports(text: str) -> Reports:
    """Reads `off`, `auto`, or what each report says: `utilization=0.5,qps=100`. Raises UsageError."""
    text = text.strip()
    if text in _WORDS:
        return _WORDS[text]
    known = [field.name for field in fields(LoadReport)]
    said: dict[str, float] = {}
    for part in text.split(","):
        name, _, value = (word.strip() for word in part.partition("="))
        try:
            number = float(value)
        except ValueError:
            number = -1.0
        if name not in known or name in said or not 0 <= number <= (1 if name == "mem" else MOST):
            raise UsageError(
                f"--load-reports {text!r} makes no sense.",
                fix=f"It takes off, auto, or numbers like utilization=0.5,qps=100 of {', '.join(known)}.",
            )
        said[name] = number
    return LoadReport(**said)


class Load:
    """What a server did in the last second. Thread-safe.

    Utilization is the number of RPCs that were in flight on average, as a share of the capacity. By Little's
    law, qps divided by it is the capacity divided by the time that an RPC takes, whatever a server's share of
    the RPCs is: so servers of one capacity are weighed by how fast they are.
    """

    def __init__(self, capacity: int, clock: Callable[[], int] = time.monotonic_ns) -> None:
        self._capacity = capacity
        self._clock = clock
        self._in_flight = set[object]()
        self._at = clock()
        self._slots = deque([_Slot(self._at)], maxlen=SLOTS)
        self._made = self._at - FRESH_NS
        self._report = b""
        self._lock = threading.Lock()

    def begin(self, since: int | None = None) -> object:
        """An RPC has begun, just now or at `since` (monotonic ns). Returns what `end` is told."""
        rpc = object()
        with self._lock:
            now = self._advance()
            self._in_flight.add(rpc)
            if since is not None:
                self._slots[-1].busy += max(0, now - since)
        return rpc

    def end(self, rpc: object, *, failed: bool = False) -> None:
        """An RPC has ended. Again is no fault."""
        with self._lock:
            if rpc not in self._in_flight:
                return
            self._advance()
            self._in_flight.remove(rpc)
            self._slots[-1].done += 1
            self._slots[-1].failed += failed

    def report(self) -> bytes:
        """A report, serialised; the same one for 10 ms, for it is made of a second."""
        with self._lock:
            now = self._advance()
            if now - self._made >= FRESH_NS:
                self._made = now
                self._report = self._measured(now).encode()
            return self._report

    def _measured(self, now: int) -> LoadReport:
        slots = self._slots
        ns = max(1, now - slots[0].start)
        return LoadReport(
            utilization=sum(slot.busy for slot in slots) / ns / self._capacity,
            qps=sum(slot.done for slot in slots) / ns * 1e9,
            eps=sum(slot.failed for slot in slots) / ns * 1e9,
        )

    def _advance(self) -> int:
        """Puts the time that RPCs in flight took into the slots in which it fell. Returns the time."""
        now, slots, in_flight = self._clock(), self._slots, len(self._in_flight)
        if now - self._at > SLOTS * SLOT_NS:
            self._at = now - SLOTS * SLOT_NS
            slots.clear()
            slots.append(_Slot(self._at))
        while now >= (edge := slots[-1].start + SLOT_NS):
            slots[-1].busy += in_flight * (edge - self._at)
            self._at = edge
            slots.append(_Slot(edge))
        slots[-1].busy += in_flight * (now - self._at)
        self._at = now
        return now


SLOTS, SLOT_NS = 10, 100_000_000
"""The last second, in parts that are forgotten one by one."""
FRESH_NS = 10_000_000


class _Slot:
    __slots__ = ("busy", "done", "failed", "start")

    def __init__(self, start: int) -> None:
        self.start = start
        self.busy = self.done = self.failed = 0
