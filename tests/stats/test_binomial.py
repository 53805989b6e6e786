from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from whichpod.stats import binomial


@given(st.integers(0, 5000), st.integers(0, 5000), st.floats(0.001, 0.999))
def test_agrees_with_scipy(hits: int, trials: int, chance: float) -> None:
    assert binomial.at_most(hits, trials, chance) == pytest.approx(
        stats.binom.cdf(hits, trials, chance), rel=1e-7, abs=1e-12
    )


def test_bounds() -> None:
    assert binomial.at_most(-1, 10, 0.3) == 0.0
    assert binomial.at_most(10, 10, 0.3) == 1.0
    assert binomial.two_sided(10, 10, 1.0) == 1.0
    assert binomial.two_sided(9, 10, 1.0) == 0.0


def test_two_sided_takes_the_nearer_tail_twice() -> None:
    assert binomial.two_sided(0, 20, 0.5) == pytest.approx(2 * 0.5**20)
    assert binomial.two_sided(20, 20, 0.5) == pytest.approx(2 * 0.5**20)
    assert binomial.two_sided(10, 20, 0.5) == 1.0
