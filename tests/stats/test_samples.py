from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from whichpod.stats import occupancy, samples
from whichpod.stats.evenness import tails


@given(st.integers(2, 60), st.sampled_from([0.9, 0.95, 0.99, 0.999]))
def test_settling_leaves_no_silent_backend_to_chance(backends: int, confidence: float) -> None:
    n = samples.to_settle(backends, confidence)
    assert n >= 5 * backends
    assert occupancy.at_most(backends - 1, backends, n) < 1 - confidence


def test_five_backends_need_28() -> None:
    assert samples.to_settle(5, 0.99) == 28
    assert samples.to_settle(1, 0.99) == 0


@pytest.mark.parametrize("backends", [2, 3, 4, 5, 12])
def test_even_can_be_told_from_then_on_and_not_before(backends: int) -> None:
    n = samples.to_tell_even(backends)
    assert tails([n // backends] * backends).even < 0.05
    assert n == backends or tails([n // backends - 1] * backends).even >= 0.05


def test_known_sizes_for_even() -> None:
    assert [samples.to_tell_even(k) for k in (1, 2, 3, 4, 5)] == [0, 256, 18, 8, 5]


@pytest.mark.parametrize("off", [[1, -1, 0], [2, -1, -1], [3, -2, -1]])
def test_bounded_differences_become_even(off: list[int]) -> None:
    n = samples.to_tell_even_within(3, sum(x * x for x in off))
    each = -(-n // 3)
    assert tails([2 * each + x for x in off]).even < 0.05
    assert samples.to_tell_even_within(1, 4.0) == 0


def test_weights_need_five_for_the_smallest() -> None:
    assert samples.for_weights([90, 10, 0]) == 50
    assert samples.for_weights([99, 1]) == 500
