from __future__ import annotations

import dataclasses
import math
import random
import statistics

import pytest
from hypothesis import given
from hypothesis import strategies as st

from whichpod.stats.spread import jain, spread

COUNTS = st.lists(st.integers(0, 10**7), min_size=1, max_size=40).filter(any)


@given(COUNTS)
def test_moments_are_those_of_the_counts(counts: list[int]) -> None:
    found = spread(counts)
    assert found.mean == pytest.approx(statistics.fmean(counts))
    assert found.variance == pytest.approx(statistics.pvariance(counts), rel=1e-9)
    assert found.stdev == pytest.approx(statistics.pstdev(counts), rel=1e-9)
    assert found.hit == sum(c > 0 for c in counts)
    assert found.dof == len(counts) - 1
    assert all(math.isfinite(x) for x in dataclasses.astuple(found))


@given(COUNTS, st.randoms(use_true_random=False))
def test_order_does_not_matter(counts: list[int], shuffler: random.Random) -> None:
    shuffled = counts[:]
    shuffler.shuffle(shuffled)
    assert spread(shuffled) == spread(counts)


@given(COUNTS, st.integers(2, 50))
def test_scaling_keeps_shares_and_grows_the_statistic(counts: list[int], factor: int) -> None:
    one, more = spread(counts), spread([c * factor for c in counts])
    for name in ("cv", "jain", "max_deviation"):
        assert getattr(more, name) == pytest.approx(getattr(one, name), abs=1e-9)
    assert more.chi_square == pytest.approx(one.chi_square * factor, rel=1e-6, abs=1e-6)


@given(COUNTS)
def test_jain_lies_between_one_part_and_one(counts: list[int]) -> None:
    assert 1 / len(counts) - 1e-12 <= jain(counts) <= 1 + 1e-12


def test_even_counts_have_no_variance_at_any_size() -> None:
    found = spread([10**15 + 1] * 7)
    assert (found.variance, found.cv, found.max_deviation, found.jain) == (0.0, 0.0, 0.0, 1.0)


def test_all_on_one() -> None:
    found = spread([50, 0, 0, 0, 0])
    assert (found.variance, found.stdev, found.cv, found.jain) == (400, 20, 2, 0.2)
    assert (found.chi_square, found.dof, found.max_deviation, found.hit) == (200, 4, 4, 1)


@pytest.mark.parametrize("counts", [[], [0, 0], [9]])
def test_without_anything_to_compare_all_is_neutral(counts: list[int]) -> None:
    found = spread(counts)
    assert (found.cv, found.jain, found.chi_square, found.p_skewed, found.p_even) == (0, 1, 0, 1, 1)
