"""All claims, in the order in which they are told."""

from __future__ import annotations

from fnmatch import fnmatchcase
from pathlib import Path

from whichpod.model.errors import UsageError
from whichpod.scenarios.claims.claim import Claim
from whichpod.scenarios.claims.connections import CONNECTIONS
from whichpod.scenarios.claims.istio import ISTIO
from whichpod.scenarios.claims.living import LIVING
from whichpod.scenarios.claims.paths import PATHS

TRIALS = Path(__file__).parent / "trials"
CLAIMS: tuple[Claim, ...] = (*PATHS, *ISTIO, *CONNECTIONS, *LIVING)


def selected(only: list[str]) -> list[Claim]:
    """Those that `only` names, by glob; all without. Raises UsageError for a pattern that means none."""
    names = [c.name for c in CLAIMS]
    for pattern in only:
        if not any(fnmatchcase(name, pattern) for name in names):
            raise UsageError(f"There is no claim {pattern!r}.", fix="See them all: whichpod claims --list")
    return [c for c in CLAIMS if not only or any(fnmatchcase(c.name, p) for p in only)]
