"""From the visits of all rows to their figures: medians, ranges, and what is more than direct. Pure."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

from whichpod.cluster.protocol import LoadRun
from whichpod.judge import judge
from whichpod.model.performance import Figure, Figures, LowRate, PerformanceRow, Saturated, Visit
from whichpod.model.usage import ProcessUsage, Role, Usage
from whichpod.scenarios.performance.rows import DIRECT

T = TypeVar("T")
ALL = "all"
"""The key of all roles' CPU time together."""
FULL = 0.9
"""Share of a core from which on a process counts as full, and of the machine likewise."""
MACHINE, NOTHING = "machine", "nothing"


def low_rate(run: LoadRun) -> LowRate:
    """What the low-rate phase came to."""
    tally = run.report.tally
    return LowRate(
        done=tally.done,
        failed=tally.failed,
        dropped=tally.dropped,
        p50_ns=tally.latency.percentile(50),
        p99_ns=tally.latency.percentile(99),
        late_sends=run.report.saturation.late_sends,
        cpu_us=cpu_us(run),
        elsewhere_cores=run.usage.elsewhere_cores,
    )


def saturated(run: LoadRun) -> Saturated:
    """What the saturation phase came to."""
    report, tally = run.report, run.report.tally
    verdict = judge(tally, report.target, report.plan, None)
    return Saturated(
        done=tally.done,
        failed=tally.failed,
        rps=report.rps,
        p50_ns=tally.latency.percentile(50),
        p99_ns=tally.latency.percentile(99),
        cpu_us=cpu_us(run),
        usage=run.usage,
        balance=verdict.balance,
        hit=verdict.spread.hit,
        known=verdict.spread.known,
        counts=verdict.counts,
        limit=limit(run.usage),
    )


def cpu_us(run: LoadRun) -> dict[str, float]:
    """CPU microseconds per RPC, by role and of all; empty where the cluster can't tell."""
    tally = run.report.tally
    measured = tally.done + tally.failed + tally.in_flight
    if not measured or not run.usage.processes:
        return {}
    # The client's account is of the measured phase, that of the others has the warm-up too.
    found = {
        role.value: run.usage.cpu_s(role) / (measured + (role is not Role.CLIENT) * tally.warmup) * 1e6
        for role in Role
    }
    return found | {ALL: sum(found.values())}


def limit(usage: Usage) -> str:
    """What was full: the roles that have a process which could not use more, the machine, or nothing ("").

    A process is full when one of its threads is; one of Python's (client and servers) when all of its threads
    together fill a core.
    """
    full = [role.value for role in Role if any(_full(p, usage) for p in usage.processes if p.role is role)]
    if usage.cpus and usage.busy_cores >= FULL * usage.cpus:
        full.append(MACHINE)
    return " and ".join(full)


def _full(process: ProcessUsage, usage: Usage) -> bool:
    python = process.role in (Role.CLIENT, Role.SERVER)
    return usage.cores(process.cpu_s if python else process.thread_s) >= FULL


def conclude(rows: Sequence[PerformanceRow]) -> None:
    """Fills in what each row's visits come to, in place."""
    direct = next((r for r in rows if r.name == DIRECT), None)
    base = {v.repetition: v for v in direct.visits if v.saturated} if direct else {}
    for row in rows:
        done = [v for v in row.visits if v.saturated]
        failed = [v for v in row.visits if v.error]
        if row.outcome == "skipped":
            continue
        row.outcome = "failed" if failed else "measured" if done else "not run"
        row.reason = failed[0].error if failed else ""
        if done:
            _fill(row, done, {} if row is direct else base)


def _fill(row: PerformanceRow, done: list[Visit], base: dict[int, Visit]) -> None:
    pairs = [(v, base[v.repetition]) for v in done if v.repetition in base]

    def held(take: Callable[[Visit, Visit], float | None]) -> Figure | None:
        return _maybe(take(v, b) for v, b in pairs)

    row.known = max(_high(v).known for v in done)
    row.balances = _frequent(_high(v).balance for v in done)
    row.limits = _frequent(_high(v).limit or NOTHING for v in done)
    row.figures = Figures(
        rps=figure(_high(v).rps for v in done),
        p50_ns=figure(_low(v).p50_ns for v in done),
        p99_ns=figure(_low(v).p99_ns for v in done),
        cpu_us=_by_role([_high(v).cpu_us for v in done]),
        low_cpu_us=_by_role([_low(v).cpu_us for v in done]),
        hit=figure(_high(v).hit for v in done),
        failed=sum(_low(v).failed + _low(v).dropped + _high(v).failed for v in done),
        added_p50_ns=held(lambda v, b: _low(v).p50_ns - _low(b).p50_ns),
        added_p99_ns=held(lambda v, b: _low(v).p99_ns - _low(b).p99_ns),
        rps_ratio=held(lambda v, b: _ratio(_high(v).rps, _high(b).rps)),
        cpu_ratio=held(lambda v, b: _ratio(_high(v).cpu_us.get(ALL), _high(b).cpu_us.get(ALL))),
        low_cpu_ratio=held(lambda v, b: _ratio(_low(v).cpu_us.get(ALL), _low(b).cpu_us.get(ALL))),
        cpus=_high(done[0]).usage.cpus,
        busy_cores=figure(_high(v).usage.busy_cores for v in done),
        elsewhere_cores=figure(_high(v).usage.elsewhere_cores for v in done),
    )


def _by_role(found: Sequence[dict[str, float]]) -> dict[str, Figure]:
    return {role: figure(f.get(role, 0.0) for f in found) for role in found[0]}


def figure(values: Iterable[float]) -> Figure:
    """Median and range of at least one value."""
    samples = tuple(float(v) for v in values)
    return Figure(statistics.median(samples), min(samples), max(samples), samples)


def _maybe(values: Iterable[float | None]) -> Figure | None:
    known = [v for v in values if v is not None]
    return figure(known) if known else None


def _ratio(value: float | None, base: float | None) -> float | None:
    return value / base if value is not None and base else None


def _low(visit: Visit) -> LowRate:
    assert visit.low is not None
    return visit.low


def _high(visit: Visit) -> Saturated:
    assert visit.saturated is not None
    return visit.saturated


def _frequent(values: Iterable[T]) -> tuple[T, ...]:
    return tuple(value for value, _ in Counter(values).most_common())
