"""The histogram against exact arithmetic."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from whichpod.model.histogram import HIGHEST_NS, Histogram, bucket_of, bucket_top

values = st.lists(st.integers(0, HIGHEST_NS), min_size=1, max_size=200)


@given(st.integers(0, HIGHEST_NS))
def test_a_bucket_is_within_a_thousandth(value: int) -> None:
    top = bucket_top(bucket_of(value))
    assert value <= top <= value * 1.001
    assert bucket_of(top) == bucket_of(value)
    assert bucket_of(top + 1) == bucket_of(value) + 1


@given(values, st.floats(0, 100))
def test_percentile_is_the_ranked_value(numbers: list[int], percent: float) -> None:
    rank = max(1, -int(-round(len(numbers) * percent / 100, 6) // 1))
    exact = sorted(numbers)[rank - 1]
    assert exact <= Histogram(numbers).percentile(percent) <= exact * 1.001


@given(values, values)
def test_merging_is_recording_both(a: list[int], b: list[int]) -> None:
    merged = Histogram(a)
    merged.merge(Histogram(b))
    assert merged == Histogram(a + b)
    assert Histogram.from_json(json.loads(json.dumps(merged.to_json()))) == merged


def test_a_thousand_values_have_exact_percentiles() -> None:
    seen = Histogram(range(1, 1001))
    assert [seen.percentile(p) for p in (0, 50, 99, 99.9, 100)] == [1, 500, 990, 999, 1000]
    assert (seen.mean, seen.minimum, seen.maximum) == (500.5, 1, 1000)


def test_empty_merge_keeps_the_extremes() -> None:
    seen = Histogram([5, 9])
    seen.merge(Histogram())
    assert (seen.minimum, seen.maximum) == (5, 9)
    assert Histogram().percentile(99) == 0


def test_a_clock_that_steps_back_counts_as_zero() -> None:
    assert Histogram([-5]).maximum == 0


@pytest.mark.parametrize(
    "broken",
    [
        None,
        {},
        {"buckets": {"1": 1}, "count": 2, "total": 1, "minimum": 1, "maximum": 1},
        {"buckets": {"x": 1}},
    ],
)
def test_broken_json_is_refused(broken: object) -> None:
    with pytest.raises(ValueError):
        Histogram.from_json(broken)
