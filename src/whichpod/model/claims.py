"""Claims about gRPC load balancing, and what a run made of them."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from enum import StrEnum

from whichpod.model.codec import to_json
from whichpod.model.report import EndReason

SCHEMA_VERSION = 1


class Ruling(StrEnum):
    """What a run says of a claim."""

    CONFIRMED = "confirmed"
    REFUTED = "refuted"
    DEPENDS = "depends"
    """True under one condition and not under another, which is said."""
    UNSETTLED = "unsettled"
    """What was run can't tell, or what it takes could not be run."""


@dataclass(frozen=True, slots=True)
class Exhibit:
    """Something that was run for a claim."""

    name: str
    """`matrix:ROW`, `trial:NAME`, `dynamic:CELL` or `performance`."""
    title: str
    said: str
    """What came of it, in numbers."""


@dataclass(slots=True)
class ClaimResult:
    """A claim, held against what was measured."""

    name: str
    claim: str
    """The sentence, as it is told."""
    told_by: str
    """Who says so: `the guide`, or where else it is found."""
    ruling: Ruling
    said: str
    """Why, with the numbers of this run."""
    exhibits: tuple[Exhibit, ...] = ()


@dataclass(slots=True)
class Claims:
    """All claims of a run."""

    environment: dict[str, str]
    results: list[ClaimResult] = field(default_factory=list)
    duration_s: float = 0.0
    end_reason: EndReason = "completed"
    schema_version: int = SCHEMA_VERSION

    def rulings(self) -> dict[Ruling, int]:
        """How many claims came to each ruling."""
        found = dict.fromkeys(Ruling, 0)
        for result in self.results:
            found[result.ruling] += 1
        return found

    def to_text(self) -> str:
        """JSON, indented, one object."""
        return json.dumps(to_json(self), indent=2)
