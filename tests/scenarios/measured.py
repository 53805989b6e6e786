"""Load runs, visits and tables with figures put in by hand."""

from __future__ import annotations

from collections.abc import Sequence

from whichpod.cluster.protocol import LoadRun
from whichpod.model.performance import LowRate, PerformanceRow, Saturated, Visit
from whichpod.model.plan import Plan
from whichpod.model.report import Report, Saturation
from whichpod.model.tally import Observation, Tally
from whichpod.model.target import Backend, Target
from whichpod.model.usage import ProcessUsage, Role, Usage
from whichpod.model.verdict import Balance


def usage(*processes: ProcessUsage, wall_s: float = 2.0, cpus: int = 2, elsewhere: float = 0.0) -> Usage:
    return Usage(wall_s, processes, elsewhere, cpus)


def process(role: Role, cpu_s: float, thread_s: float | None = None) -> ProcessUsage:
    return ProcessUsage(f"a {role.value}", role, cpu_s, cpu_s if thread_s is None else thread_s)


def run(counts: Sequence[int], used: Usage, *, failed: int = 0, warmup: int = 0) -> LoadRun:
    """A run of a second in which each pod answered so many RPCs, each in 2 ms."""
    tally = Tally(warmup=warmup)
    for pod, count in enumerate(counts):
        backend = Backend(f"id-{pod}", pod=f"echo-{pod}")
        for _ in range(count):
            tally.started()
            tally.add(Observation(0, 0, 0, 2_000_000, 0, "", backend, "OK"), 0)
    for _ in range(failed):
        tally.started()
        tally.add(Observation(0, 0, 0, 1, 0, "", None, "UNAVAILABLE"), 0)
    known = tuple(f"echo-{pod}" for pod in range(len(counts)))
    target = Target("127.0.0.1:1", known=known, known_by="lab")
    load = Saturation(late_sends=3)
    return LoadRun(
        Report(target, Plan(requests=None, duration_s=1), tally, saturation=load, duration_s=1.0), used
    )


def visit(
    repetition: int, *, rps: float = 1000, p50: int = 1_000_000, p99: int = 3_000_000, cpu: float = 10,
    proxy: float = 0, stand_in: float = 0, hit: int = 5, failed: int = 0, limit: str = "machine",
    elsewhere: float = 0, balance: Balance = Balance.EVEN,
) -> Visit:  # fmt: skip
    """A visit in which client and servers used `cpu` microseconds per RPC each."""
    cpu_us = {"client": cpu, "proxy": proxy, "server": cpu, "stand-in": stand_in}
    cpu_us["all"] = sum(cpu_us.values())
    return Visit(
        repetition,
        4.0,
        LowRate(500, 0, 0, p50, p99, 0, {k: 10 * us for k, us in cpu_us.items()}, elsewhere),
        Saturated(
            1000,
            failed,
            rps,
            p50,
            p99,
            cpu_us,
            usage(elsewhere=elsewhere),
            balance,
            hit,
            5,
            {"echo-0": 1},
            limit,
        ),
    )


def failure(repetition: int, why: str = "The lab broke.") -> Visit:
    return Visit(repetition, 1.0, error=why)


def row(name: str, *visits: Visit, guide: str = "") -> PerformanceRow:
    return PerformanceRow(name, f"The row {name}", "A note.", guide, visits=list(visits))
