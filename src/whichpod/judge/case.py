"""What an expectation is held against, and what comes of it."""

from __future__ import annotations

from dataclasses import dataclass

from whichpod.judge.classes import Finding
from whichpod.judge.sample import Sample
from whichpod.model.expectation import Expectation
from whichpod.model.plan import Plan
from whichpod.model.tally import Tally
from whichpod.model.verdict import Balance, Outcome, Spread


@dataclass(frozen=True, slots=True)
class Case:
    """An expectation and all that is known of the run."""

    expectation: Expectation
    sample: Sample
    spread: Spread
    finding: Finding
    tally: Tally
    plan: Plan
    way: str = "channel"
    """What the client's ways to the servers are called: a gRPC channel, or a load run's connection."""
    takes_turns: bool = False
    """Whether the client itself takes turns over several addresses, each with connections of its own."""

    @property
    def balance(self) -> Balance:
        """The class."""
        return self.finding.balance

    @property
    def alone(self) -> bool:
        """Whether one server answered and no other is known, without anybody having said so."""
        return self.balance is Balance.SINGLE and self.sample.known_by is None

    @property
    def pinned(self) -> bool:
        """Whether several channels were used and each stayed with one server."""
        used = self.tally.channels
        return len(used) > 1 and all(len(backends) == 1 for backends in used.values())


@dataclass(frozen=True, slots=True)
class Result:
    """An outcome with its reasons, a sentence each."""

    outcome: Outcome
    reasons: tuple[str, ...] = ()
    requests_needed: int = 0
    more_may_help: bool = False
    """Whether a longer run of the same traffic could have met what this one failed."""
    at_any_pace: bool = False
    """Whether it stands however late the RPCs were sent."""
