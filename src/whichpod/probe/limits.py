"""What a plan needs of this machine, checked before anything starts."""

from __future__ import annotations

import resource

from whichpod.model.errors import UsageError
from whichpod.model.plan import PEER, Plan

MOST_IN_FLIGHT = 10_000
"""RPCs in flight in closed loop: each has a thread."""
MOST_RATE = 100_000.0
"""RPCs per second of an open loop: far more than gRPC's channels send from Python, and what can be counted as
dropped in time."""
SPARE_FILES = 64
"""Open files of the process itself."""


def check_limits(plan: Plan) -> None:
    """Raises UsageError for more RPCs in flight, or connections, than one process can have, and for what
    can't be told of gRPC's own channels."""
    if plan.identify == PEER and (plan.open_loop or plan.concurrency > 1):
        raise UsageError(
            "--identify peer can't tell RPCs apart that share a connection.",
            fix="Leave --rate and --concurrency away; more --connections are fine.",
        )
    if plan.rate is not None and plan.rate > MOST_RATE:
        raise UsageError(
            f"--rate {plan.rate:g} is more than a probe can send.",
            fix=f"It takes {MOST_RATE:.0f} at most; for load there is whichpod bench.",
        )
    in_flight = plan.channels * plan.concurrency
    if plan.requests is not None:
        in_flight = min(in_flight, plan.requests)
    if in_flight > MOST_IN_FLIGHT and not plan.open_loop:
        raise UsageError(
            f"{in_flight} RPCs in flight are too many for one process.",
            fix=f"Lower --clients, --connections or --concurrency: {MOST_IN_FLIGHT} in all, at most.",
        )
    # With a connection for each RPC there are as many as there are RPCs in flight.
    connections = in_flight if plan.new_connection_per_request else plan.channels
    allowed, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if allowed != resource.RLIM_INFINITY and connections + SPARE_FILES > allowed:
        raise UsageError(
            f"{connections} connections are more than this process may open ({allowed} files).",
            fix=f"Raise the limit: ulimit -n {connections + SPARE_FILES}",
        )


def no_threads(error: BaseException) -> UsageError | None:
    """The error to show where the system gave no more threads (its limits are no constant)."""
    if isinstance(error, RuntimeError) and "start new thread" in str(error):
        return UsageError(
            "This machine has no threads for so many RPCs in flight.",
            fix="Lower --clients, --connections or --concurrency.",
        )
    return None
