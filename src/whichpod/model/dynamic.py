"""What came of scenarios in time."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Literal

from whichpod.model.codec import from_json, to_json
from whichpod.model.errors import UsageError
from whichpod.model.events import LabEvent
from whichpod.model.question import Answer, Finding
from whichpod.model.report import EndReason, Report
from whichpod.model.timeline import Timeline

SCHEMA_VERSION = 1
CellOutcome = Literal["passed", "failed", "inconclusive", "skipped", "measured"]
"""`measured`: nothing was expected."""


@dataclass(frozen=True, slots=True)
class StepDone:
    """A step that was taken. Times are monotonic, in ns."""

    name: str
    what: str
    """In words: `scale echo to 10`."""
    began_ns: int
    ended_ns: int
    """When it had come to its end: the new pods were ready, for instance."""
    pod: str = ""
    """The pod that it was about."""
    done: int = 0
    """RPCs of a client that the step started."""
    failed: int = 0
    remark: str = ""
    """What else there is to say, such as that client's error."""


@dataclass(slots=True)
class Cell:
    """One scenario on one path, run."""

    name: str
    """SCENARIO/PATH."""
    scenario: str
    path: str
    title: str
    """Of the scenario."""
    path_title: str
    outcome: CellOutcome = "skipped"
    why: str = ""
    """What the scenario is about, in two or three sentences."""
    because: str = ""
    """Why it is as it is on this path, in a sentence."""
    reason: str = ""
    """Why it was skipped or failed, with the way out."""
    answers: list[Answer] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    began_ns: int = 0
    """When the load began."""
    steps: list[StepDone] = field(default_factory=list)
    events: list[LabEvent] = field(default_factory=list)
    serving: tuple[str, ...] = ()
    """The Deployments whose pods should answer."""
    reports: list[Report] = field(default_factory=list)
    """Of each client."""
    duration_s: float = 0.0
    broken: bool = False
    """Whether the lab or the target failed, so that nothing can be said."""

    def timeline(self) -> Timeline | None:
        """What all clients saw, together."""
        found = [r.timeline for r in self.reports if r.timeline]
        if len(found) < 2:
            return found[0] if found else None
        merged = Timeline(found[0].interval_ns)
        for timeline in found:
            merged.merge(timeline)
        return merged


@dataclass(slots=True)
class Dynamic:
    """All scenarios in time, run. A cell that did not run is never counted as passed."""

    environment: dict[str, str]
    cells: list[Cell]
    started_at: str = ""
    """UTC, ISO 8601."""
    duration_s: float = 0.0
    at_once: int = 1
    """Cells that ran at a time."""
    end_reason: EndReason = "completed"
    schema_version: int = SCHEMA_VERSION

    def outcomes(self) -> dict[CellOutcome, int]:
        """How many cells came to each outcome."""
        found: dict[CellOutcome, int] = dict.fromkeys(
            ("passed", "failed", "inconclusive", "measured", "skipped"), 0
        )
        for cell in self.cells:
            found[cell.outcome] += 1
        return found

    def to_text(self) -> str:
        """JSON, one object, a cell a line."""
        data = to_json(self)
        cells = data.pop("cells")
        lines = ",\n".join(json.dumps(c, separators=(",", ":")) for c in cells)
        return f'{json.dumps(data)[:-1]}, "cells": [\n{lines}\n]}}'

    @classmethod
    def from_text(cls, text: str) -> Dynamic:
        """Reads `to_text`'s output. Raises UsageError on another schema version or broken data."""
        try:
            data = json.loads(text)
            if not isinstance(data, dict) or data.get("schema_version") != SCHEMA_VERSION:
                raise ValueError(f"expected schema_version {SCHEMA_VERSION}")
            return from_json(cls, data)
        except ValueError as e:
            raise UsageError(
                f"That is not a report of scenarios in time: {e}.", fix="Was it written by another version?"
            ) from None
