"""Whether the client was the limit of a load run."""

from __future__ import annotations

from collections.abc import Sequence

from whichpod.model.plan import Plan
from whichpod.model.report import Saturation, WorkerLoad
from whichpod.model.tally import Tally

BUSY = 0.8
"""Share of a core from which on a process may be the limit."""
LAG_NS = 10_000_000
"""A loop that comes this late at p99 delays what it measures."""
FEW_LATE, LATE_SHARE = 5, 0.01
"""Late sends that mean nothing: so many, or this part of all."""


def saturation_of(plan: Plan, tally: Tally, loads: Sequence[WorkerLoad]) -> Saturation:
    """What the workers' own load says of the figures."""
    reasons = []
    for i, load in enumerate(loads):
        name = f"Worker {i + 1}" if len(loads) > 1 else "The client"
        if load.lost:
            cause = f" ({load.cause})" if load.cause else ""
            reasons.append(f"{name} died{cause}: what it did last is missing.")
        if load.cpu_share > BUSY:
            reasons.append(f"{name} used {load.cpu_share:.0%} of a core, so it may have been the limit.")
        if load.lag_p99_ns > LAG_NS:
            reasons.append(f"{name}'s loop was {load.lag_p99_ns / 1e6:.0f} ms late at p99.")
    late = sum(load.late_sends for load in loads)
    if plan.open_loop and late > max(FEW_LATE, LATE_SHARE * tally.scheduled):
        reasons.append(
            f"{late} of {tally.scheduled} RPCs were sent over 10 ms late, by the client's own fault."
        )
    return Saturation(
        cpu_s=sum(load.cpu_s for load in loads),
        cpu_share=max((load.cpu_share for load in loads), default=0.0),
        late_sends=late,
        saturated=bool(reasons),
        reasons=tuple(reasons),
        workers=tuple(loads),
    )
