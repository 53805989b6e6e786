"""Causes in the servers themselves."""

from __future__ import annotations

import statistics

from whichpod.judge.causes.scene import Scene
from whichpod.judge.words import failures
from whichpod.model.tally import BackendTally
from whichpod.model.units import format_ns
from whichpod.model.verdict import Balance, Diagnosis

_SLOWER = 2.0
"""Ratio of median latencies from which on a server is called slow."""
_STARVED = 0.7
"""Part of its even share below which a slow server is called spared."""


def slow_backend(scene: Scene) -> Diagnosis | None:
    """A balancer that counts RPCs in flight gives a slow server less; so does a closed loop per server."""
    if scene.balance not in (Balance.SKEWED, Balance.PARTIAL):
        return None
    timed = [b for b in scene.tally.backends.values() if b.service.count]
    if len(timed) < 2:
        return None
    slowest = max(timed, key=lambda b: b.service.percentile(50))
    rest = [b.service.percentile(50) for b in timed if b is not slowest]
    usual = statistics.median(rest)
    own, due = slowest.service.percentile(50), scene.verdict.spread.mean
    if own < _SLOWER * usual or slowest.done > _STARVED * due:
        return None
    ratio = f", {own / usual:.3g} times as long" if usual else ""
    return Diagnosis(
        f"{slowest.backend.label} is slow, and gets less because of it.",
        (
            f"median latency {format_ns(own)}, of the others {format_ns(usual)}{ratio}",
            f"{slowest.done} RPCs, and an even share is {due:.4g}",
        ),
        "Find out why that server is slow. The balancer does what it should: with LEAST_REQUEST a slow "
        "server is "
        "spared, so don't expect even counts.",
        "slow-backend",
    )


def failing_backend(scene: Scene) -> Diagnosis | None:
    """Most failures come from one server."""
    failing = [b for b in scene.tally.backends.values() if b.failed]
    if not failing:
        return None
    worst = max(failing, key=lambda b: b.failed)
    attributed = sum(b.failed for b in failing)
    if worst.failed * 2 <= scene.tally.failed or (len(failing) > 1 and worst.failed < 0.8 * attributed):
        return None
    return Diagnosis(
        f"{worst.backend.label} fails RPCs.",
        (f"{_ratio(worst)} there; {failures(scene.tally)} in all", *_first_error(scene)),
        "Look at that server's log. Outlier detection ejects such a server, and a retry policy hides the "
        "failures.",
        "failing-backend",
    )


def failed_rpcs(scene: Scene) -> Diagnosis | None:
    """RPCs failed, and not at one server."""
    if not scene.tally.failed:
        return None
    silent = [label for label, n in scene.verdict.counts.items() if not n]
    evidence = [failures(scene.tally), *_first_error(scene)]
    if silent and scene.tally.done:
        evidence.append("servers with nothing: " + ", ".join(silent[:5]) + (", …" if len(silent) > 5 else ""))
    return Diagnosis(
        "RPCs failed without a server that accounts for most of them.",
        tuple(evidence),
        "Check that all servers are ready and reachable (UNAVAILABLE), and that the deadline is long enough "
        "(DEADLINE_EXCEEDED).",
        "failed-rpcs",
    )


def uneven_weights(scene: Scene) -> Diagnosis | None:
    """All servers answer every channel, none is slow, and shares differ: the balancer prefers some."""
    if scene.balance is not Balance.SKEWED or scene.pinned:
        return None
    spread, counts = scene.verdict.spread, scene.verdict.counts
    label = max(counts, key=lambda x: (abs(counts[x] - spread.mean), x))
    return Diagnosis(
        "The balancer gives the servers unequal shares.",
        (
            f"{label} got {counts[label]} of {spread.total}, and an even share is {spread.mean:.4g}",
            "the servers' latencies don't explain it",
        ),
        "Look for weights (VirtualService, endpoints, locality), a consistent hash, or servers that "
        "joined or left "
        "during the run. If the weights are meant, expect them: --expect weights=NAME:W,…",
        "uneven-weights",
    )


def _ratio(entry: BackendTally) -> str:
    return f"{entry.failed} of {entry.done + entry.failed} RPCs failed"


def _first_error(scene: Scene) -> tuple[str, ...]:
    return (f"first error: {scene.evidence.first_error}",) if scene.evidence.first_error else ()
