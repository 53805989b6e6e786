"""What the cells of the performance table say, for every format."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from whichpod.model.performance import Figure, Figures, Performance, PerformanceRow
from whichpod.model.usage import Role
from whichpod.report.bench_rows import many

_UNITS = (("s", 1e9), ("ms", 1e6), ("µs", 1e3))
NOT_AT_HAND = "not at hand"
STAND_IN_MARK = "*"
STAND_IN_NOTE = "* The stand-in for kube-proxy's NAT, which is none of a cluster's proxies."


@dataclass(frozen=True, slots=True)
class Cell:
    """A figure in words."""

    median: str
    range: str = ""
    """Lowest and highest repetition; empty where there is one repetition or none."""


def headers(table: Performance) -> tuple[str, ...]:
    """The columns' titles. The first is the row's name."""
    rate = f"{table.settings.rate:g}/s"
    return (
        "configuration", "max RPC/s", "vs direct", f"p50 at {rate}", f"p99 at {rate}", "client µs",
        "proxies µs", "servers µs", "CPU vs direct", f"CPU at {rate}", "servers hit", "limit", "guide",
    )  # fmt: skip


def cells(row: PerformanceRow) -> list[Cell]:
    """What stands under `headers` in a row, the name left out."""
    guide = Cell(row.guide or NOT_AT_HAND)
    f = row.figures
    if f is None:
        return [Cell(row.outcome), *[Cell("")] * 10, guide]
    bound = "≥ " if any(Role.CLIENT in limit for limit in row.limits) else ""
    return [
        _cell(f.rps, _rps, bound),
        _cell(f.rps_ratio, lambda v: f"{v:.0%}"),
        _time(f.p50_ns, f.added_p50_ns),
        _time(f.p99_ns, f.added_p99_ns),
        _cell(f.cpu_us.get(Role.CLIENT), _three),
        _proxies(f),
        _cell(f.cpu_us.get(Role.SERVER), _three),
        _cell(f.cpu_ratio, _times),
        _cell(f.low_cpu_ratio, _times),
        Cell(f"{f.hit.median:g} of {row.known}", ", ".join(row.balances)),
        Cell(", or ".join(row.limits), f"{f.busy_cores.median:.1f} of {f.cpus} cores" if f.cpus else ""),
        guide,
    ]


def notes(table: Performance) -> list[str]:
    """How to read the columns, and what to know of this run: a sentence or two each."""
    s = table.settings
    found = [
        f"Medians of {s.repetitions} interleaved repetitions, the range below."
        if s.repetitions > 1
        else "One repetition.",
        f"{s.pods} pods ({s.engine} servers), {s.connections} connections in every row, {s.streams} RPCs in "
        f"flight on each at saturation, {s.payload_size} bytes of payload, {s.duration_s:g} s per phase.",
        "p50 and p99 count from the scheduled time (open loop); in direct they are as they are, elsewhere "
        "what came on top of direct's. µs are of CPU per RPC at saturation; CPU vs direct is of all "
        f"processes together, at saturation and at {s.rate:g}/s.",
        "limit: whose process was full (90 % of a core) at saturation; machine: all cores were; nothing: the "
        "time went into waiting for one another. ≥: the client was a limit, so more may come through.",
    ]
    if any(r.figures and _stand_in(r.figures) for r in table.rows):
        found.append(STAND_IN_NOTE)
    return [*found, *table.caveats]


def missing(row: PerformanceRow) -> str:
    """In a word or two why a row has no figures, or not all of them; empty where it has them."""
    if row.outcome in ("skipped", "failed"):
        return f"{row.outcome}: {row.reason}"
    return "not run" if row.outcome == "not run" else ""


def summary(table: Performance) -> str:
    """One line: how many rows came to what, and how long it took."""
    counts = table.outcomes()
    parts = [f"{n} {outcome}" for outcome, n in counts.items() if n or outcome == "measured"]
    ended = " (interrupted)" if table.end_reason == "interrupted" else ""
    return f"{many(len(table.rows), 'configuration')} in {table.duration_s:.0f} s{ended}: {', '.join(parts)}."


def _cell(figure: Figure | None, word: Callable[[float], str], before: str = "", after: str = "") -> Cell:
    if figure is None:
        return Cell("")
    reach = f"{word(figure.low)}…{word(figure.high)}" if len(figure.samples) > 1 else ""
    return Cell(f"{before}{word(figure.median)}{after}", reach)


def _time(absolute: Figure, added: Figure | None) -> Cell:
    """A time, or what was added to one; the range in the median's unit, which stands there once."""
    shown = absolute if added is None else added
    sign = "" if added is None else "+"
    most = max(abs(shown.low), abs(shown.high))
    unit, size = next(((u, n) for u, n in _UNITS if most >= n), _UNITS[-1])
    cell = _cell(shown, lambda ns: _three(ns / size, sign))
    return Cell(f"{cell.median} {unit}", cell.range)


def _three(value: float, sign: str = "") -> str:
    """Three digits or so."""
    digits = 0 if abs(value) >= 100 else 1 if abs(value) >= 10 else 2
    return f"{value:{sign}.{digits}f}"


def _times(value: float) -> str:
    return f"{_three(value)}×"


def _rps(value: float) -> str:
    return (
        f"{value:,.0f}"
        if value < 10_000
        else f"{value / 1000:.1f}k"
        if value < 100_000
        else f"{value / 1000:.0f}k"
    )


def _proxies(figures: Figures) -> Cell:
    if _stand_in(figures):
        return _cell(figures.cpu_us.get(Role.STAND_IN), _three, after=STAND_IN_MARK)
    found = figures.cpu_us.get(Role.PROXY)
    return _cell(found, _three) if found and found.high else Cell("none" if found else "")


def _stand_in(figures: Figures) -> bool:
    found = figures.cpu_us.get(Role.STAND_IN)
    return found is not None and found.high > 0
