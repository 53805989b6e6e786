"""The one serialisable result of a run. Every renderer consumes it."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Literal

from whichpod.model.codec import from_json, to_json
from whichpod.model.errors import UsageError
from whichpod.model.expectation import Expectation
from whichpod.model.plan import Plan
from whichpod.model.tally import Tally
from whichpod.model.target import Target
from whichpod.model.timeline import Timeline
from whichpod.model.verdict import Diagnosis, Verdict

SCHEMA_VERSION = 1

EndReason = Literal["completed", "interrupted", "target failed"]
Outcome = Literal["passed", "failed", "skipped", "inconclusive"]


@dataclass(frozen=True, slots=True)
class WorkerLoad:
    """How busy one process of a load run was while measuring."""

    rpcs: int = 0
    cpu_s: float = 0.0
    cpu_share: float = 0.0
    """Of one core."""
    lag_p99_ns: int = 0
    """How late its event loop came to what was due."""
    lag_max_ns: int = 0
    late_sends: int = 0
    peak_rss_bytes: int = 0
    """The most memory that it held."""
    lost: bool = False
    """It died; what it had not reported is missing."""
    cause: str = ""
    """What it died of, such as `signal 9`."""


@dataclass(frozen=True, slots=True)
class ThresholdResult:
    """A condition of --fail-if, held against the run."""

    text: str
    """As it was given, such as `p99>50ms`."""
    measured: str
    """The measured value in words; empty where there was none."""
    failed: bool | None
    """Whether the condition holds, so that the run fails; None where the run can't tell."""
    reason: str = ""
    """Why it can't tell, in a sentence."""


@dataclass(frozen=True, slots=True)
class Saturation:
    """Whether the client itself was the limit."""

    cpu_s: float = 0.0
    """CPU seconds that the client's process used while measuring."""
    cpu_share: float = 0.0
    """Those per second of wall time: 1.0 is one full core."""
    late_sends: int = 0
    """Open loop: RPCs sent more than 10 ms after their time."""
    saturated: bool = False
    reasons: tuple[str, ...] = ()
    """Why, a sentence each."""
    workers: tuple[WorkerLoad, ...] = ()
    """Load only: each process."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """What was seen of the way to the backends, for the diagnosis."""

    resolved: tuple[str, ...] = ()
    """Addresses that the target's name stands for, where that could be asked."""
    connections_open: int = 0
    """TCP connections that were open at one time, at most; counted by channelz, not assumed."""
    connections_opened: int = 0
    """Different TCP connections seen in all."""
    remote_peers: tuple[str, ...] = ()
    """Remote addresses of those connections."""
    server_saw_peers: tuple[str, ...] = ()
    """Peer addresses that the servers saw (hosts, without ports), where they tell."""
    policy: str = ""
    """Client policy in force, as far as known."""
    first_error: str = ""
    """Status and details of the first RPC that failed."""


@dataclass(slots=True)
class Report:
    """All of one run: what was asked, where, what came of it, what that means."""

    target: Target
    plan: Plan
    tally: Tally
    evidence: Evidence = field(default_factory=Evidence)
    saturation: Saturation = field(default_factory=Saturation)
    environment: dict[str, str] = field(default_factory=dict)
    """Versions and machine: whichpod, python, grpcio, platform, machine, cpus, and the cluster's parts."""
    started_at: str = ""
    """UTC, ISO 8601."""
    duration_s: float = 0.0
    """Wall time of the measured phase."""
    end_reason: EndReason = "completed"
    verdict: Verdict | None = None
    diagnosis: Diagnosis | None = None
    tool: Literal["probe", "bench", "watch"] = "probe"
    """What ran it: real gRPC channels, the load engine, or nothing: others' traffic was counted."""
    thresholds: tuple[ThresholdResult, ...] = ()
    timeline: Timeline | None = None
    """What was answered over time, where the plan asked for it."""
    schema_version: int = SCHEMA_VERSION

    @property
    def rps(self) -> float:
        """RPCs done per second of the measured phase."""
        return self.tally.done / self.duration_s if self.duration_s else 0.0

    def to_text(self) -> str:
        """JSON on one line."""
        return json.dumps(to_json(self), separators=(",", ":"))

    @classmethod
    def from_text(cls, text: str) -> Report:
        """Reads `to_text`'s output. Raises UsageError on another schema version or broken data."""
        try:
            data = json.loads(text)
            if not isinstance(data, dict) or data.get("schema_version") != SCHEMA_VERSION:
                raise ValueError(f"expected schema_version {SCHEMA_VERSION}")
            return from_json(cls, data)
        except ValueError as e:
            raise UsageError(
                f"That is not a whichpod report: {e}.", fix="Was it written by another version?"
            ) from None


@dataclass(slots=True)
class Row:
    """One configuration of the matrix, run."""

    name: str
    title: str
    outcome: Outcome
    why: str
    """Two or three sentences on why the configuration behaves so."""
    guide: str = ""
    """What the published guide says of it."""
    expectation: Expectation | None = None
    reason: str = ""
    """Why it was skipped or failed, with the way out."""
    backends_known: int = 0
    backends_hit: int = 0
    counts: dict[str, int] = field(default_factory=dict)
    verdict: Verdict | None = None
    duration_s: float = 0.0
    report: Report | None = None
    because: str = ""
    """Why, in a few words for a table."""


@dataclass(slots=True)
class Matrix:
    """The whole matrix, run. A row that did not run is never counted as passed."""

    environment: dict[str, str]
    rows: list[Row]
    duration_s: float = 0.0
    end_reason: EndReason = "completed"
    schema_version: int = SCHEMA_VERSION

    def outcomes(self) -> dict[Outcome, int]:
        """How many rows came to each outcome."""
        found: dict[Outcome, int] = {"passed": 0, "failed": 0, "inconclusive": 0, "skipped": 0}
        for row in self.rows:
            found[row.outcome] += 1
        return found

    def to_text(self) -> str:
        """JSON, indented, one object."""
        return json.dumps(to_json(self), indent=2)
