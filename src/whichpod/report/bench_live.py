"""How a load run goes on: its rate and its spread, in as many lines as a terminal has."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping

from rich.text import Text

from whichpod.load.progress import LoadProgress
from whichpod.model.plan import Plan
from whichpod.report.bench_rows import natural, rate

BAR = 24
MOST_ROWS = 12
_LABEL = 32


def live_view(now: LoadProgress, plan: Plan, *, height: int, mark: str) -> Text:
    """The lines to show now; at most `height`, and fewer than MOST_ROWS servers are shown one by one."""
    if now.elapsed_s < 0:
        return Text(f"warming up, {-now.elapsed_s:.1f} s to go")
    if plan.duration_s is not None:
        part, goal = now.elapsed_s / plan.duration_s, f"{now.elapsed_s:.1f} of {plan.duration_s:g} s"
    else:
        ended = now.done + now.failed
        part, goal = ended / (now.total or 1), f"{ended:,} of {now.total or 0:,} RPCs"
    full = round(BAR * min(1.0, part))
    failed = (f"{now.failed:,} failed", "red" if now.failed else "")
    text = Text.assemble(
        (mark * full, "green"), ("-" * (BAR - full), "dim"),
        f" {goal}  {rate(now.rps)} rps  {now.done:,} done  ", failed,
    )  # fmt: skip
    if now.counts:
        text.append("\n")
        text.append_text(_spread(now.counts, min(MOST_ROWS, height - 2), mark))
    return text


def _spread(counts: Mapping[str, int], rows: int, mark: str) -> Text:
    values = list(counts.values())
    if len(values) > rows:
        mean = statistics.fmean(values)
        cv = math.sqrt(statistics.fmean((n - mean) ** 2 for n in values)) / mean if mean else 0.0
        return Text(
            f"{len(values):,} servers: {min(values):,} to {max(values):,} RPCs, "
            f"coefficient of variation {cv:.3g}"
        )
    whole, most = sum(values) or 1, max(values) or 1
    labels = sorted(counts, key=natural)
    width = min(max(map(len, labels)), _LABEL)
    text = Text()
    for label in labels:
        count = counts[label]
        text.append(f"{label[:width]:<{width}} ")
        text.append(f"{mark * round(BAR * count / most):<{BAR}}", "cyan")
        text.append(f" {count / whole:6.1%} {count:>12,}\n")
    text.right_crop(1)
    return text
