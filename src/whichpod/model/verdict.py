"""What the judge says of a tally."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

from whichpod.model.expectation import Expectation
from whichpod.model.target import Learnt


class Balance(StrEnum):
    """How RPCs are spread."""

    SINGLE = "single"
    """There is only one backend."""
    NONE = "none"
    """One backend of several took everything."""
    PARTIAL = "partial"
    """A subset answered, smaller than chance would leave it."""
    SKEWED = "skewed"
    """All or nearly all answered, but not in even shares."""
    RANDOM = "random"
    """Consistent with an independent, even choice per RPC."""
    EVEN = "even"
    """More even than chance, as round robin is."""
    INCONCLUSIVE = "inconclusive"
    """The sample can't tell."""


Headline = Literal["balanced", "partly balanced", "not balanced", "single server", "inconclusive", "refused"]
Outcome = Literal["passed", "failed", "inconclusive"]


@dataclass(frozen=True, slots=True)
class Spread:
    """The numbers behind a verdict, over the backends that should answer (those with nothing included)."""

    total: int
    """RPCs (or messages, see Verdict.unit) judged."""
    known: int
    hit: int
    mean: float
    variance: float
    """Population variance of the counts."""
    stdev: float
    cv: float
    """Coefficient of variation: stdev / mean."""
    jain: float
    """Jain's fairness index, 1/known (all on one) to 1 (even)."""
    chi_square: float
    """Pearson's statistic against even shares."""
    dof: int
    p_skewed: float
    """Chance of a statistic at least this large if each RPC chose at random, evenly."""
    p_even: float
    """Chance of a statistic at most this small if each RPC chose at random, evenly."""
    max_deviation: float
    """Largest relative distance of a backend's share from its due: 0.5 is half as much again."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """How RPCs were spread, whether that was expected, and why it is called so."""

    balance: Balance
    headline: Headline
    sentence: str
    """One sentence for a person."""
    spread: Spread
    counts: dict[str, int]
    """Per backend label, those that should have answered and did not included."""
    unit: Literal["rpc", "message"] = "rpc"
    """What was counted: messages where a single stream was all there was to judge."""
    known_by: Learnt | None = None
    """How the number of backends is known; None: only those that answered are known."""
    expectation: Expectation | None = None
    outcome: Outcome | None = None
    """None where nothing was expected."""
    reasons: tuple[str, ...] = ()
    """Why the outcome is so, a sentence each."""
    requests_needed: int = 0
    """How many RPCs would settle an inconclusive verdict; 0 where that is not what is missing."""


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """Why RPCs are spread as they are, and what changes it."""

    cause: str
    evidence: tuple[str, ...]
    fix: str
    code: str
    """A stable short name: l4-connection, one-address, pick-first, shared-connection, port-forward, …"""
