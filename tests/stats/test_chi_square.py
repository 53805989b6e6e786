from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from whichpod.stats import chi_square


@given(st.floats(0, 3000), st.integers(1, 1000))
def test_agrees_with_scipy(x: float, dof: int) -> None:
    assert chi_square.cdf(x, dof) == pytest.approx(stats.chi2.cdf(x, dof), rel=1e-8, abs=1e-290)
    assert chi_square.sf(x, dof) == pytest.approx(stats.chi2.sf(x, dof), rel=1e-8, abs=1e-290)


@given(st.floats(0.001, 0.999), st.integers(1, 500))
def test_quantile_inverts(p: float, dof: int) -> None:
    assert chi_square.quantile(p, dof) == pytest.approx(stats.chi2.ppf(p, dof), rel=1e-6)


@given(st.lists(st.integers(0, 500), min_size=2, max_size=20).filter(any))
def test_pearson_is_scipys(counts: list[int]) -> None:
    assert chi_square.pearson(counts) == pytest.approx(stats.chisquare(counts).statistic, abs=1e-9)


@given(st.lists(st.tuples(st.integers(0, 500), st.floats(0.1, 10)), min_size=2, max_size=20))
def test_pearson_of_weights_is_scipys(pairs: list[tuple[int, float]]) -> None:
    counts, weights = [c for c, _ in pairs], [w for _, w in pairs]
    total, whole = sum(counts), sum(weights)
    if not total:
        return
    expected = stats.chisquare(counts, [total * w / whole for w in weights], sum_check=False)
    assert chi_square.pearson(counts, weights) == pytest.approx(expected.statistic, rel=1e-9, abs=1e-9)


def test_what_has_no_freedom_can_not_deviate() -> None:
    assert chi_square.sf(0.0, 0) == chi_square.cdf(0.0, 0) == 1.0
    assert chi_square.pearson([0, 0]) == 0.0


def test_a_count_without_weight_is_infinitely_far() -> None:
    assert chi_square.pearson([1, 9], [0, 1]) == math.inf
    assert chi_square.pearson([0, 9], [0, 1]) == 0.0


@pytest.mark.parametrize("weights", [[1, -1], [0, 0], [1.0]])
def test_refuses_bad_weights(weights: list[float]) -> None:
    with pytest.raises(ValueError, match="weight"):
        chi_square.pearson([3, 4], weights)
