"""Reports and rows to render, built by hand."""

from __future__ import annotations

from whichpod.model.expectation import Expect, Expectation
from whichpod.model.plan import Plan
from whichpod.model.report import Evidence, Matrix, Report, Row
from whichpod.model.tally import Observation, Tally
from whichpod.model.target import Backend, Target
from whichpod.model.verdict import Balance, Diagnosis, Spread, Verdict

SPREAD = Spread(50, 5, 1, 10, 400, 20, 2, 0.2, 200, 4, 1e-42, 1.0, 4.0)
COUNTS = {"echo-0": 50, **{f"echo-{i}": 0 for i in range(1, 5)}}


def verdict(outcome: str = "passed") -> Verdict:
    return Verdict(
        Balance.NONE,
        "not balanced",
        "All 50 RPCs went to echo-0, one of 5 servers.",
        SPREAD,
        COUNTS,
        known_by="lab",
        expectation=Expectation(Expect.NONE),
        outcome=outcome,  # type: ignore[arg-type]
        reasons=("one reason",),
    )


def report() -> Report:
    tally = Tally()
    for i in range(50):
        tally.started()
        at = 1_000_000 * (i + 1)
        backend = Backend("echo-0-17", pod="echo-0", ip="127.1.0.1")
        tally.add(Observation(i, at, at, at + 250_000, 0, "c1", backend, "OK"), 0)
    tally.started()
    tally.add(Observation(50, 1, 1, 2, 0, "c1", None, "UNAVAILABLE"), 0)
    return Report(
        Target("echo:50051"),
        Plan(),
        tally,
        evidence=Evidence(connections_open=1, connections_opened=1, first_error="UNAVAILABLE: gone"),
        duration_s=0.5,
        verdict=verdict(),
        diagnosis=Diagnosis("The cause.", ("some evidence",), "The fix.", "l4-connection"),
    )


def matrix() -> Matrix:
    why = "It is so. And here is more."
    return Matrix(
        {"whichpod": "0", "cluster": "loopback"},
        [
            Row(
                "clusterip",
                "ClusterIP",
                "passed",
                why,
                "A claim.",
                None,
                "",
                5,
                1,
                COUNTS,
                verdict(),
                0.5,
                because="It is so.",
            ),
            Row("istio", "Side|cars", "failed", why, reason="bad \x00 <reason>", verdict=verdict("failed")),
            Row("edge-haproxy", "HAProxy", "skipped", why, reason="HAProxy was not found."),
            Row("headless", "Headless", "inconclusive", why, reason="Too few."),
        ],
        duration_s=2.0,
    )
