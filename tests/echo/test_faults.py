"""Delays and failures as written."""

from __future__ import annotations

import contextlib
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from whichpod.echo.faults import LONGEST_S, Delay, Failure, parse_delay
from whichpod.model.errors import UsageError


@pytest.mark.parametrize(
    ("text", "delay"),
    [
        ("0s", Delay()),
        ("10ms", Delay("fixed", 0.01)),
        ("fixed:2s", Delay("fixed", 2)),
        ("uniform:5ms..20ms", Delay("uniform", 0.005, 0.02)),
        ("normal:20ms,5ms", Delay("normal", 0.02, 0.005)),
        ("exponential:10ms", Delay("exponential", 0.01)),
        ("lognormal:10ms,0.5", Delay("lognormal", 0.01, 0.5)),
    ],
)
def test_delays_read(text: str, delay: Delay) -> None:
    found = parse_delay(text)
    assert found.shape == delay.shape
    assert (found.a, found.b) == pytest.approx((delay.a, delay.b))


@pytest.mark.parametrize(
    "text",
    ["", "fast", "uniform:20ms..5ms", "uniform:5ms", "normal:20ms", "exponential:0s", "lognormal:10ms,x",
     "lognormal:0s,1", "lognormal:1s,99", "zipf:3", "2h", "uniform:1s..2h", "normal:1s,2h"],
)  # fmt: skip
def test_what_is_no_delay_is_refused(text: str) -> None:
    with pytest.raises(UsageError):
        parse_delay(text)


@given(st.text())
def test_any_text_is_a_delay_or_a_usage_error(text: str) -> None:
    with contextlib.suppress(UsageError):
        parse_delay(text)


MS = st.integers(0, 3_600_000)


@given(MS, MS)
def test_delays_are_read_as_written(a: int, b: int) -> None:
    low, high = sorted((a, b))
    for text, delay in (
        (f"{a}ms", Delay("fixed", a / 1000)),
        (f"uniform:{low}ms..{high}ms", Delay("uniform", low / 1000, high / 1000)),
        (f"normal:{a}ms,{b}ms", Delay("normal", a / 1000, b / 1000)),
        (f" exponential:{a + 1}us ", Delay("exponential", (a + 1) / 1e6)),
        (f"lognormal:{a + 1}us,{b % 11}", Delay("lognormal", (a + 1) / 1e6, b % 11)),
    ):
        found = parse_delay(text)
        assert found.shape == delay.shape
        assert (found.a, found.b) == pytest.approx((delay.a, delay.b))


@given(
    st.sampled_from(["fixed", "uniform", "normal", "exponential", "lognormal", ""]),
    st.text("0123456789.,:msuh-+ex "),
)
def test_what_is_nearly_a_delay_is_one_or_a_usage_error(shape: str, rest: str) -> None:
    with contextlib.suppress(UsageError):
        delay = parse_delay(f"{shape}:{rest}" if shape else rest)
        assert 0 <= delay.sample(random.Random(1)) <= LONGEST_S


@given(
    st.builds(Delay, st.sampled_from(["uniform", "normal", "exponential", "lognormal"]), st.floats(0.001, 10),
              st.floats(0, 10)),
    st.integers(),
)  # fmt: skip
def test_samples_are_bounded_and_repeat_with_the_seed(delay: Delay, seed: int) -> None:
    a, b = (delay.sample(random.Random(seed)) for _ in range(2))
    assert a == b
    assert 0 <= a <= LONGEST_S


def test_the_means_are_those_asked_for() -> None:
    dice = random.Random(3)
    for delay, mean in (
        (Delay("uniform", 1, 3), 2),
        (Delay("normal", 5, 0.1), 5),
        (Delay("exponential", 2), 2),
    ):
        assert sum(delay.sample(dice) for _ in range(4000)) / 4000 == pytest.approx(mean, rel=0.1)


@pytest.mark.parametrize(
    "failure",
    [Failure(-0.1), Failure(1.1), Failure(0.5, "NOPE"), Failure(0.5, "OK"), Failure(1, "ABORTED", "x")],
)
def test_failures_that_make_no_sense(failure: Failure) -> None:
    with pytest.raises(UsageError):
        failure.check()
