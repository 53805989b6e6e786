"""The performance table: what each configuration costs, measured in interleaved repetitions."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Literal

from whichpod.model.codec import to_json
from whichpod.model.report import EndReason
from whichpod.model.usage import Usage
from whichpod.model.verdict import Balance

SCHEMA_VERSION = 1

RowOutcome = Literal["measured", "failed", "skipped", "not run"]
"""`failed`: at least one visit was. `not run`: the run ended before."""


@dataclass(frozen=True, slots=True)
class Settings:
    """What the rows were measured with, the same for all of them."""

    pods: int = 5
    streams: int = 20
    """RPCs in flight per connection at saturation."""
    rate: float = 500.0
    """RPCs per second of the low-rate phase (open loop)."""
    duration_s: float = 3.0
    """Of each of the two phases."""
    warmup_s: float = 0.5
    repetitions: int = 3
    engine: str = "fast"
    """The pods' server: `fast` or `grpcio`."""
    payload_size: int = 0
    """Bytes of payload in each request."""

    @property
    def connections(self) -> int:
        """The client's connections in all, the same number in every row: one for each pod."""
        return self.pods


@dataclass(frozen=True, slots=True)
class LowRate:
    """The phase at a low fixed rate: what it takes when nothing waits for anything."""

    done: int
    failed: int
    dropped: int
    p50_ns: int
    """Latency from the scheduled time, as all latencies of this phase."""
    p99_ns: int
    late_sends: int
    """RPCs that the client itself sent late."""
    cpu_us: dict[str, float]
    """As in Saturated. Each RPC comes alone, so that it wakes every process on its way."""
    elsewhere_cores: float
    """Cores that were busy with something else."""


@dataclass(frozen=True, slots=True)
class Saturated:
    """The closed-loop phase: as many RPCs as come through."""

    done: int
    failed: int
    rps: float
    p50_ns: int
    p99_ns: int
    cpu_us: dict[str, float]
    """CPU microseconds per RPC by role, and of `all`; empty where the cluster can't tell."""
    usage: Usage
    balance: Balance
    hit: int
    known: int
    counts: dict[str, int]
    limit: str
    """What was full: names of roles and `machine`, joined by " and "; empty where nothing was."""


@dataclass(frozen=True, slots=True)
class Visit:
    """One repetition of one row: a lab of its own, both phases."""

    repetition: int
    """From 1."""
    duration_s: float = 0.0
    low: LowRate | None = None
    saturated: Saturated | None = None
    error: str = ""
    """Why it failed; the phases are None then."""


@dataclass(frozen=True, slots=True)
class Figure:
    """A value over the repetitions."""

    median: float
    low: float
    high: float
    samples: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Figures:
    """What a row comes to. What is held against direct is taken repetition by repetition."""

    rps: Figure
    """RPCs per second at saturation."""
    p50_ns: Figure
    """At the low rate, as p99."""
    p99_ns: Figure
    cpu_us: dict[str, Figure]
    """CPU microseconds per RPC at saturation, by role, and of `all`."""
    hit: Figure
    """Servers that answered at saturation."""
    failed: int
    """RPCs of both phases that failed or, due too often, were not sent; all repetitions together."""
    cpus: int
    """Cores of the machine; 0 where the cluster can't tell."""
    busy_cores: Figure
    """Of those, how many worked at saturation, whatever for."""
    elsewhere_cores: Figure
    """Cores that were busy with something else at saturation."""
    low_cpu_us: dict[str, Figure] = field(default_factory=dict)
    """CPU microseconds per RPC at the low rate, likewise."""
    added_p50_ns: Figure | None = None
    """More than direct, at the low rate; None in the row of direct and where it was not measured."""
    added_p99_ns: Figure | None = None
    rps_ratio: Figure | None = None
    """RPCs per second, as a part of direct's."""
    cpu_ratio: Figure | None = None
    """CPU of all processes per RPC at saturation, as a multiple of direct's."""
    low_cpu_ratio: Figure | None = None
    """The same at the low rate."""


@dataclass(slots=True)
class PerformanceRow:
    """One configuration."""

    name: str
    title: str
    note: str = ""
    """What to know when reading its figures."""
    guide: str = ""
    """The published guide's figure, where it is at hand."""
    outcome: RowOutcome = "not run"
    reason: str = ""
    """Why it was skipped or failed, with the way out."""
    known: int = 0
    """Servers behind the name."""
    balances: tuple[Balance, ...] = ()
    """The judge's classes at saturation, each once, the most frequent first."""
    limits: tuple[str, ...] = ()
    """What was full at saturation, likewise; `nothing` where nothing was."""
    figures: Figures | None = None
    visits: list[Visit] = field(default_factory=list)
    """The raw figures of every repetition."""


@dataclass(slots=True)
class Performance:
    """The whole table. A row that did not run is never counted as measured."""

    environment: dict[str, str]
    settings: Settings
    rows: list[PerformanceRow]
    caveats: tuple[str, ...] = ()
    """What to know when reading the table, a sentence each."""
    started_at: str = ""
    """UTC, ISO 8601."""
    duration_s: float = 0.0
    end_reason: EndReason = "completed"
    tool: Literal["bench-matrix"] = "bench-matrix"
    schema_version: int = SCHEMA_VERSION

    def outcomes(self) -> dict[RowOutcome, int]:
        """How many rows came to each outcome."""
        found: dict[RowOutcome, int] = {"measured": 0, "failed": 0, "skipped": 0, "not run": 0}
        for row in self.rows:
            found[row.outcome] += 1
        return found

    def to_text(self) -> str:
        """JSON, indented, one object."""
        return json.dumps(to_json(self), indent=2)
