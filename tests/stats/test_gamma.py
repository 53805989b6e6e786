from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import special

from whichpod.stats import gamma

SHAPES = st.floats(0.5, 5000)
POINTS = st.floats(0, 10_000)


@given(SHAPES, POINTS)
def test_agrees_with_scipy(a: float, x: float) -> None:
    assert gamma.lower(a, x) == pytest.approx(special.gammainc(a, x), rel=1e-8, abs=1e-290)
    assert gamma.upper(a, x) == pytest.approx(special.gammaincc(a, x), rel=1e-8, abs=1e-290)


@given(SHAPES, POINTS)
def test_both_sides_make_one(a: float, x: float) -> None:
    assert gamma.lower(a, x) + gamma.upper(a, x) == pytest.approx(1.0, abs=1e-9)


@pytest.mark.parametrize(("a", "x"), [(0.5, 0.0), (3.0, 3.0), (500.0, 501.0), (1.0, 700.0), (2e5, 2.01e5)])
def test_edges(a: float, x: float) -> None:
    assert gamma.lower(a, x) == pytest.approx(special.gammainc(a, x), rel=1e-7)
    assert gamma.upper(a, x) == pytest.approx(special.gammaincc(a, x), rel=1e-7)


def test_infinity_is_beyond_everything() -> None:
    assert gamma.lower(2.0, float("inf")) == 1.0
    assert gamma.upper(2.0, float("inf")) == 0.0


@pytest.mark.parametrize(("a", "x"), [(0.0, 1.0), (-1.0, 1.0), (1.0, -0.1), (float("nan"), 1.0)])
def test_refuses_what_has_no_value(a: float, x: float) -> None:
    with pytest.raises(ValueError, match="incomplete gamma"):
        gamma.lower(a, x)
    with pytest.raises(ValueError, match="incomplete gamma"):
        gamma.upper(a, x)
