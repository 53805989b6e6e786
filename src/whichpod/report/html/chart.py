"""Who had the load when, and how long it took, as SVG: shares stacked, failures on top, latency below."""

from __future__ import annotations

import math
from collections.abc import Iterable
from html import escape

from whichpod.model.dynamic import Cell
from whichpod.model.timeline import UNKNOWN
from whichpod.model.units import format_ns
from whichpod.report.series import Series, series, shares

WIDTH, LEFT, RIGHT = 640, 44, 8
SHARE_TOP, SHARE_HIGH = 18, 150
LATENCY_TOP, LATENCY_HIGH = 192, 56
HEIGHT = LATENCY_TOP + LATENCY_HIGH + 6
COLUMNS = 48
_FAMILY = 8
"""Colours of a kind."""
_TICKS_S = (0.5, 1, 2, 5, 10, 20, 30, 60, 120, 300, 600)
_STEPS_DOWN = (0, 0.25, 0.5, 0.75, 1)


def colours(cell: Cell, pods: Iterable[str]) -> dict[str, str]:
    """A colour for each pod: cool ones for those that were there from the start, warm ones for those that
    came later, and for those of a second Deployment."""
    began = min((s.began_ns for s in cell.steps), default=math.inf)
    late = {e.what for e in cell.events if e.kind == "created" and e.at_ns >= began}
    first = cell.serving[0] if cell.serving else ""
    found, used = {}, {"c": 0, "w": 0}
    for pod in pods:
        if pod == UNKNOWN:
            found[pod] = "var(--untold)"
            continue
        other = bool(first) and pod.rpartition("-")[0] != first
        kind = "w" if pod in late or other else "c"
        found[pod] = f"var(--{kind}{used[kind] % _FAMILY})"
        used[kind] += 1
    return found


def chart(cell: Cell) -> str:
    """The drawing with its legend; empty where nothing was measured."""
    found = series(cell, COLUMNS)
    if found is None:
        return ""
    by = colours(cell, found.pods)
    parts = [
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(_described(cell, found))}">',
        *_share_grid(),
        *_stack(found, by),
        *_latency(found),
        *_times(found),
        *_marks(cell, found),
        "</svg>",
    ]
    return "".join(parts) + _legend(found, by)


def _described(cell: Cell, found: Series) -> str:
    return (
        f"Share of the RPCs per pod over {found.seconds:.0f} s, and their latency, of {cell.name}: "
        f"{sum(found.totals)} RPCs, {sum(found.failed)} failed."
    )


def _x(found: Series, column: float) -> float:
    return round(LEFT + (WIDTH - LEFT - RIGHT) * column / max(1, len(found.totals)), 1)


def _share_grid() -> Iterable[str]:
    for part in _STEPS_DOWN:
        y = SHARE_TOP + SHARE_HIGH * (1 - part)
        yield f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:g}" y2="{y:g}" stroke="var(--grid)"/>'
        if part in (0, 0.5, 1):
            yield f'<text x="{LEFT - 6}" y="{y + 3.5:g}" text-anchor="end">{part:.0%}</text>'


def _stack(found: Series, by: dict[str, str]) -> Iterable[str]:
    below = [0.0] * len(found.totals)
    total = sum(found.totals) or 1
    for label, counts in (*found.pods.items(), (None, found.failed)):
        if not any(counts):
            continue
        above = [b + s for b, s in zip(below, shares(counts, found.totals), strict=True)]
        fill = "var(--failed)" if label is None else by[label]
        name = "failed" if label is None else label or "unknown"
        tip = f"{name}: {sum(counts)} of {total} RPCs ({sum(counts) / total:.1%})"
        yield f'<path d="{_area(found, below, above)}" fill="{fill}"><title>{escape(tip)}</title></path>'
        below = above


def _area(found: Series, below: list[float], above: list[float]) -> str:
    """A path in steps along the tops, and back along the bottoms; only where there is something between."""
    found_parts, at, count = [], 0, len(above)
    while at < count:
        if above[at] - below[at] < 1e-9:
            at += 1
            continue
        end = at
        while end < count and above[end] - below[end] >= 1e-9:
            end += 1
        forth = [
            f"H{_x(found, i + 1):g}" if i > at and _y(above[i]) == _y(above[i - 1])
            else f"V{_y(above[i]):g}H{_x(found, i + 1):g}"
            for i in range(at, end)
        ]  # fmt: skip
        back = [f"V{_y(below[i]):g}H{_x(found, i):g}" for i in range(end - 1, at - 1, -1)]
        found_parts.append(f"M{_x(found, at):g} {_y(below[at]):g}{''.join(forth)}{''.join(back)}Z")
        at = end
    return "".join(found_parts)


def _y(part: float) -> float:
    return round(SHARE_TOP + SHARE_HIGH * (1 - min(part, 1.0)), 1)


def _latency(found: Series) -> Iterable[str]:
    known = [h for h in found.latency if h.count]
    if not known:
        return
    low = min(h.percentile(50) for h in known)
    high = max(h.maximum for h in known)
    first = math.floor(math.log10(max(low, 1)))
    last = max(first + 1, math.ceil(math.log10(max(high, 1))))

    def y(ns: float) -> float:
        part = (math.log10(max(ns, 1)) - first) / (last - first)
        return round(LATENCY_TOP + LATENCY_HIGH * (1 - min(max(part, 0.0), 1.0)), 1)

    every = max(1, (last - first) // 3)
    for power in range(first, last + 1, every):
        at = y(10.0**power)
        yield f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{at:g}" y2="{at:g}" stroke="var(--grid)"/>'
        yield f'<text x="{LEFT - 6}" y="{at + 3.5:g}" text-anchor="end">{format_ns(10.0**power)}</text>'
    for percent, colour, width in ((99, "var(--w0)", 1.3), (50, "var(--c0)", 1.6)):
        points, pen = [], "M"
        for i, h in enumerate(found.latency):
            if not h.count:
                pen = "M"
                continue
            points.append(f"{pen}{_x(found, i + 0.5):g} {y(h.percentile(percent)):g}")
            pen = "L"
        yield (
            f'<path d="{"".join(points)}" fill="none" stroke="{colour}" stroke-width="{width}" '
            f'stroke-linejoin="round" stroke-linecap="round"><title>p{percent}</title></path>'
        )


def _times(found: Series) -> Iterable[str]:
    every = next((t for t in _TICKS_S if found.seconds / t <= 10), _TICKS_S[-1])
    seconds = 0.0
    while seconds <= found.seconds + 1e-9:
        x = _x(found, seconds * 1e9 / found.column_ns)
        yield f'<text x="{x:g}" y="{SHARE_TOP + SHARE_HIGH + 13}" text-anchor="middle">{seconds:g}</text>'
        seconds += every


def _marks(cell: Cell, found: Series) -> Iterable[str]:
    end_at = -math.inf
    for number, step in enumerate(cell.steps, 1):
        x = _x(found, (step.began_ns - found.began_ns) / found.column_ns)
        until = min(_x(found, (step.ended_ns - found.began_ns) / found.column_ns), WIDTH - RIGHT)
        tip = f"<title>{escape(step.what)}</title>"
        if until - x > 2:
            yield (
                f'<rect x="{x:g}" y="{SHARE_TOP}" width="{until - x:.1f}" height="{SHARE_HIGH}" '
                f'fill="var(--ink)" opacity=".10">{tip}</rect>'
            )
        yield (
            f'<line x1="{x:g}" x2="{x:g}" y1="{SHARE_TOP - 4}" y2="{LATENCY_TOP + LATENCY_HIGH}" '
            'stroke="var(--ink)" stroke-width="1" stroke-dasharray="3 2" opacity=".75"/>'
        )
        badge = max(x, end_at + 17)
        end_at = badge
        yield (
            f'<circle cx="{badge:g}" cy="8" r="7.5" fill="var(--ink)">{tip}</circle>'
            f'<text x="{badge:g}" y="11.5" text-anchor="middle" style="fill:var(--card);font-weight:700">'
            f"{number}</text>"
        )


def _legend(found: Series, by: dict[str, str]) -> str:
    total = sum(found.totals) or 1
    items = [
        _item(by[label], f"{label or 'unknown'} {sum(counts) / total:.0%}")
        for label, counts in found.pods.items()
    ]
    if any(found.failed):
        items.append(_item("var(--failed)", f"failed {sum(found.failed)}"))
    items.append(_item("var(--c0)", "latency p50", line=True))
    items.append(_item("var(--w0)", "p99", line=True))
    return f'<div class="legend num">{"".join(items)}</div>'


def _item(colour: str, text: str, *, line: bool = False) -> str:
    flat = ";height:3px;vertical-align:3px" if line else ""
    return f'<span><span class="chip" style="background:{colour}{flat}"></span>{escape(text)}</span>'
