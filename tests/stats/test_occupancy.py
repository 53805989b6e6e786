from __future__ import annotations

import math
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from whichpod.stats import occupancy


def exact(hit: int, backends: int, choices: int) -> float:
    """By inclusion-exclusion in rationals."""
    silent = backends - hit
    return float(sum(
        Fraction((-1) ** (i - silent) * math.comb(i - 1, silent - 1) * math.comb(backends, i))
        * Fraction(backends - i, backends) ** choices
        for i in range(silent, backends + 1)
    ))  # fmt: skip


@given(st.integers(2, 30), st.integers(1, 120), st.data())
def test_small_ones_are_exact(backends: int, choices: int, data: st.DataObject) -> None:
    hit = data.draw(st.integers(1, backends - 1))
    assert occupancy.at_most(hit, backends, choices) == pytest.approx(
        exact(hit, backends, choices), rel=1e-9, abs=1e-15
    )


@pytest.mark.parametrize(("hit", "backends", "choices"), [(49, 50, 5000), (97, 100, 3000), (299, 300, 3000)])
def test_large_ones_are_exact_too(hit: int, backends: int, choices: int) -> None:
    assert occupancy.at_most(hit, backends, choices) == pytest.approx(
        exact(hit, backends, choices), rel=1e-6, abs=1e-9
    )


@pytest.mark.parametrize(("hit", "choices"), [(390, 600), (399, 600), (410, 600)])
def test_where_terms_cancel_it_is_close(hit: int, choices: int) -> None:
    assert occupancy.at_most(hit, 500, choices) == pytest.approx(exact(hit, 500, choices), abs=0.01)


def test_four_of_five_after_fifty_is_no_chance() -> None:
    assert occupancy.at_most(4, 5, 50) == pytest.approx(5 * 0.8**50, rel=1e-3)
    assert occupancy.at_most(1, 5, 50) == pytest.approx(5.0**-49)


def test_bounds() -> None:
    assert occupancy.at_most(5, 5, 3) == 1.0
    assert occupancy.at_most(3, 5, 3) == 1.0
    assert occupancy.at_most(0, 5, 3) == 0.0
    assert occupancy.at_most(999, 1000, 10**7) < 1e-9


@given(st.integers(1, 60), st.integers(1, 300))
def test_expected_is_the_mean_of_the_distribution(backends: int, choices: int) -> None:
    mean = sum(1 - occupancy.at_most(h, backends, choices) for h in range(backends))
    assert occupancy.expected(backends, choices) == pytest.approx(mean, rel=1e-6)


def test_expected_coverage_of_five_connections() -> None:
    assert occupancy.expected(5, 5) == pytest.approx(5 * (1 - 0.8**5))
    assert occupancy.expected(1, 3) == 1.0
    assert occupancy.expected(5, 0) == 0.0
