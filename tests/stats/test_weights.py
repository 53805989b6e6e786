from __future__ import annotations

import random

import pytest
from scipy import stats

from whichpod.stats.weights import against


def test_a_fit_is_pearsons_test() -> None:
    fit = against([455, 45], [90, 10])
    assert fit.p == pytest.approx(stats.chisquare([455, 45], [450, 50]).pvalue)
    assert fit.max_deviation == pytest.approx(0.1)
    assert fit.least_expected == 50


def test_a_swap_does_not_fit() -> None:
    assert against([50, 450], [90, 10]).p < 1e-100


def test_small_shares_are_judged_exactly() -> None:
    assert against([29, 1], [90, 10]).p > 0.1
    assert against([0, 30], [90, 10]).p == pytest.approx(4 * 0.1**30, rel=1e-6)


def test_no_weight_allows_nothing() -> None:
    fit = against([40, 1], [1, 0])
    assert (fit.p, fit.misplaced) == (0.0, 1)
    assert against([40, 0], [1, 0]).p == 1.0


def test_nothing_fits_anything() -> None:
    assert against([0, 0], [1, 2]).p == 1.0


def test_small_samples_are_seldom_rejected_wrongly() -> None:
    shuffler = random.Random(8)
    wrong = 0
    for _ in range(500):
        drawn = shuffler.choices("abc", [90, 8, 2], k=40)
        wrong += against([drawn.count(x) for x in "abc"], [90, 8, 2]).p < 0.05
    assert wrong <= 35


def test_refuses_weights_of_another_length() -> None:
    with pytest.raises(ValueError):
        against([1, 2, 3], [1, 2])
