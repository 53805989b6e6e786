"""Reports of load runs to render, built by hand."""

from __future__ import annotations

from typing import Any

from whichpod.judge import judged
from whichpod.model.expectation import parse_expectation
from whichpod.model.plan import Plan
from whichpod.model.report import Evidence, Report, Saturation, ThresholdResult, WorkerLoad
from whichpod.model.tally import BackendTally, Tally
from whichpod.model.target import Backend, Target

US = 1_000


def load(
    servers: int = 3, each: int = 1000, *, rate: float | None = None, prefix: str = "echo-", **changes: Any
) -> Report:
    """A judged run on so many servers; the last one is slower and fails ten of its RPCs."""
    tally = Tally(warmup=50, dropped=7)
    for i in range(servers):
        backend = Backend(f"{prefix}{i}-17", pod=f"{prefix}{i}", ip=f"10.0.{i // 250}.{i % 250}")
        last = i == servers - 1
        entry = BackendTally(backend, done=each - 10 * last, failed=10 * last, last_ns=10**9)
        for k in range(50):
            took = (200 + k) * US * (10 if last else 1)
            entry.latency.record(took + 500 * US, entry.done // 50)
            entry.service.record(took, entry.done // 50)
        entry.done = entry.latency.count
        tally.backends[backend.id] = entry
        tally.done += entry.done
        tally.failed += entry.failed
        tally.channels[i] = {backend.id: entry.done}
        tally.latency.merge(entry.latency)
        tally.service.merge(entry.service)
    tally.statuses = {"OK": tally.done, "UNAVAILABLE": tally.failed}
    tally.scheduled = tally.done + tally.failed + tally.dropped
    plan = Plan(requests=None, duration_s=2.0, rate=rate, connections=1, concurrency=20, workers=2)
    made = Report(
        Target("dns:///echo:50051"),
        plan,
        tally,
        evidence=Evidence(
            resolved=tuple(f"10.0.{i // 250}.{i % 250}:50051" for i in range(servers)),
            connections_open=servers, connections_opened=servers, policy="round_robin",
            first_error="UNAVAILABLE: no room",
        ),
        saturation=Saturation(
            1.9, 0.95, 12, True, ("Worker 2 used 95% of a core, so it may have been the limit.",),
            (WorkerLoad(1500, 0.5, 0.25, 40 * US, 900 * US, 2),
             WorkerLoad(1500, 1.9, 0.95, 80 * US, 2_000 * US, 10)),
        ),
        environment={"whichpod": "0.1.0", "python": "3.11"},
        duration_s=2.0,
        tool="bench",
    )  # fmt: skip
    for name, value in changes.items():
        setattr(made, name, value)
    judged(made, parse_expectation("random"))
    made.thresholds = (
        ThresholdResult("p99>1ms", "2.9 ms", True),
        ThresholdResult("errors>50%", "10 of 3000 (0.333 %)", False),
        ThresholdResult("rps<9000", "1495 per second", None, "The client itself was the limit."),
    )
    return made
