"""Percentile distributions as HdrHistogram writes them, for its plotter and other tools.

The format is that of `outputPercentileDistribution` (http://hdrhistogram.org): lines of value, percentile,
total count and 1/(1-percentile), at points that get denser towards 100 %, then a footer.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

from whichpod.model.histogram import HIGHEST_NS, Histogram

TICKS = 5
"""Points for each halving of the distance to 100 %, HdrHistogram's own default."""
_MS = 1e6
_SUB_BUCKETS = 2048
_BUCKETS = HIGHEST_NS.bit_length() - _SUB_BUCKETS.bit_length() + 2


def hgrm(histogram: Histogram) -> str:
    """The text of a .hgrm file, values in milliseconds."""
    lines = [f"{'Value':>12} {'Percentile':>14} {'TotalCount':>10} {'1/(1-Percentile)':>14}", ""]
    for value_ns, percentile, count in points(histogram):
        line = f"{value_ns / _MS:12.6f} {percentile:14.12f} {count:10d}"
        lines.append(f"{line} {1 / (1 - percentile):14.2f}" if percentile < 1 else line)
    lines += [
        f"#[Mean    = {histogram.mean / _MS:12.3f}, StdDeviation   = {_deviation(histogram) / _MS:12.3f}]",
        f"#[Max     = {histogram.maximum / _MS:12.3f}, Total count    = {histogram.count:12d}]",
        f"#[Buckets = {_BUCKETS:12d}, SubBuckets     = {_SUB_BUCKETS:12d}]",
    ]
    return "\n".join(lines) + "\n"


def points(histogram: Histogram) -> Iterator[tuple[int, float, int]]:
    """(value in ns, percentile from 0 to 1, how many values don't exceed it), the last one at 1."""
    level = 0.0
    seen = 0
    for top, count in histogram.buckets():
        seen += count
        value = min(top, histogram.maximum)
        reached = 100.0 * seen / histogram.count
        while level < 100.0 and reached >= level and seen < histogram.count:
            yield value, level / 100, seen
            level = _next(level)
        if seen == histogram.count:
            # The last bucket holds every level that is left; one line more and the one at 100 % say as much.
            if level < 100.0:
                yield value, level / 100, seen
            yield value, 1.0, seen


def _next(level: float) -> float:
    """The next percentage to tell (HdrHistogram's PercentileIterator)."""
    halvings = int(math.log2(100.0 / (100.0 - level))) + 1
    return level + 100.0 / (TICKS << halvings)


def _deviation(histogram: Histogram) -> float:
    """The standard deviation in ns, each bucket's values taken at its middle."""
    if not histogram.count:
        return 0.0
    mean = histogram.mean
    squares = sum(n * (_middle(top) - mean) ** 2 for top, n in histogram.buckets())
    return math.sqrt(squares / histogram.count)


def _middle(top: int) -> float:
    width = 1 << max(0, top.bit_length() - _SUB_BUCKETS.bit_length() + 1)
    return top - (width - 1) / 2
