"""Why RPCs are spread as they are, from the evidence in a report."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from whichpod.judge.causes import addresses, backends, connections, path
from whichpod.judge.causes.scene import Scene
from whichpod.model.report import Report
from whichpod.model.verdict import Balance, Diagnosis

Cause = Callable[[Scene], Diagnosis | None]

_FAILURES: tuple[Cause, ...] = (backends.failing_backend, backends.failed_rpcs)
_SPREAD: tuple[Cause, ...] = (
    path.stream_pinned,
    path.port_forward,
    addresses.unreachable_address,
    connections.churn,
    path.mesh_tcp,
    connections.shared_connection,
    addresses.one_address,
    addresses.pick_first,
    connections.l4_connection,
    connections.affinity,
    connections.connections_random,
    addresses.missing_addresses,
    backends.slow_backend,
    backends.uneven_weights,
)
"""The more specific first."""
_MANY_FAILED = 0.05
"""Part of the RPCs from which on failures are the first thing to look at."""


def diagnose(report: Report) -> Diagnosis | None:
    """The likeliest cause with its evidence and a fix; None where there is nothing to explain or to go by.

    `report.verdict` must be set, else None. What was to be refused needs no fix.
    """
    if report.verdict is None or report.verdict.headline == "refused":
        return None
    scene = Scene(report, report.verdict)
    tally = report.tally
    if tally.failed > _MANY_FAILED * (tally.done + tally.failed):
        return _first(_FAILURES, scene)
    return _first(_of_spread(scene), scene) or _first(_FAILURES, scene)


def _of_spread(scene: Scene) -> Sequence[Cause]:
    if scene.balance in (Balance.NONE, Balance.PARTIAL, Balance.SKEWED):
        return _SPREAD
    if scene.balance is Balance.SINGLE and scene.verdict.known_by is None:
        return (path.port_forward,)
    return ()


def _first(causes: Sequence[Cause], scene: Scene) -> Diagnosis | None:
    return next((found for cause in causes if (found := cause(scene))), None)
