"""HDR percentile logs: they read back, and say what the histogram says."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from whichpod.model.histogram import HIGHEST_NS, Histogram
from whichpod.report.hgrm import hgrm

Line = tuple[float, float, int]


def parsed(text: str) -> tuple[list[Line], dict[str, float]]:
    """As HdrHistogram's tools read it: four columns, the last one missing at 100 %, and a footer."""
    head, blank, *rest = text.splitlines()
    assert head.split() == ["Value", "Percentile", "TotalCount", "1/(1-Percentile)"]
    assert not blank
    lines, footer = [], {}
    for line in rest:
        if line.startswith("#["):
            footer.update({k.strip(): float(v) for k, v in re.findall(r"([A-Z][\w ]*?) *= +([\d.]+)", line)})
            continue
        value, percentile, count, *inverse = line.split()
        assert len(inverse) == (float(percentile) < 1)
        if inverse:
            assert float(inverse[0]) == pytest.approx(1 / (1 - float(percentile)), rel=1e-2)
        lines.append((float(value), float(percentile), int(count)))
    return lines, footer


values = st.lists(st.integers(0, HIGHEST_NS) | st.integers(0, 5_000), min_size=1, max_size=300)


@given(values)
def test_each_line_says_what_the_histogram_says(found: list[int]) -> None:
    histogram = Histogram(found)
    lines, footer = parsed(hgrm(histogram))
    for value, percentile, count in lines:
        value_ns = round(value * 1e6)
        assert value_ns == histogram.percentile(100 * percentile)
        assert count >= percentile * len(found) - 1e-6
        assert count >= sum(1 for one in found if one <= value_ns)
    assert lines[-1][1:] == (1.0, len(found))
    assert [line[1] for line in lines] == sorted({line[1] for line in lines})
    assert footer["Total count"] == len(found)
    assert footer["Max"] == pytest.approx(histogram.maximum / 1e6, abs=1e-3)
    assert footer["Mean"] == pytest.approx(histogram.mean / 1e6, abs=1e-3)


def test_points_get_denser_towards_the_end_as_HdrHistogram_has_them() -> None:  # noqa: N802
    lines, footer = parsed(hgrm(Histogram(range(1, 2_000))))
    percentiles = [percentile for _, percentile, _ in lines]
    assert percentiles[:12] == pytest.approx([0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.775])
    assert footer["SubBuckets"] == 2048
    assert footer["StdDeviation"] == pytest.approx(577e-6, abs=1e-3)


def test_a_billion_values_take_a_few_dozen_lines() -> None:
    histogram = Histogram()
    for i in range(1, 1_000):
        histogram.record(i * 1_000_000, 1_000_000)
    lines, _ = parsed(hgrm(histogram))
    assert len(lines) < 150
    assert lines[-1] == (999.0, 1.0, 999_000_000)


def test_of_nothing_there_is_a_head_and_a_footer() -> None:
    assert parsed(hgrm(Histogram())) == (
        [],
        {"Mean": 0, "StdDeviation": 0, "Max": 0, "Total count": 0, "Buckets": 32, "SubBuckets": 2048},
    )
