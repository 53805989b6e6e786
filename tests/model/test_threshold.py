"""Conditions of --fail-if: what is understood, what is refused, and in which words."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from whichpod.model.errors import UsageError
from whichpod.model.threshold import CLASSES, COMPARE, Operator, parse_threshold
from whichpod.model.verdict import Balance


@pytest.mark.parametrize(
    ("text", "metric", "bound", "unit"),
    [
        ("p99>50ms", "p99", 50e6, "ns"),
        ("p99.9 >= 1.5s", "p99.9", 1.5e9, "ns"),
        ("p99.99>300us", "p99.99", 300e3, "ns"),
        ("P50>1m30s", "p50", 90e9, "ns"),
        ("max>0.3ms", "max", 300e3, "ns"),
        (" mean > 20 ms ", "mean", 20e6, "ns"),
        ("errors>0.1%", "errors", 0.1, "percent"),
        ("errors>0", "errors", 0, "number"),
        ("dropped>=1 %", "dropped", 1, "percent"),
        ("rps<10000", "rps", 10_000, "number"),
        ("done!=500", "done", 500, "number"),
        ("cv>.5", "cv", 0.5, "number"),
        ("jain<0.9", "jain", 0.9, "number"),
        ("backends<5", "backends", 5, "number"),
        ("share.max>30%", "share.max", 30, "percent"),
        ("share.min<0.1", "share.min", 10, "percent"),
    ],
)
def test_what_is_understood(text: str, metric: str, bound: float, unit: str) -> None:
    found = parse_threshold(text)
    assert (found.metric, found.bound, found.unit) == (metric, bound, unit)
    assert str(found) == text
    assert not found.per_backend
    assert not found.service


def test_prefixes_say_whose_and_from_when() -> None:
    found = parse_threshold("backend.service.p90>2s")
    assert (found.metric, found.per_backend, found.service) == ("p90", True, True)
    assert found.percentile == 90
    assert parse_threshold("backend.errors>1%").per_backend
    assert parse_threshold("service.max>1s").service


@pytest.mark.parametrize("balance", CLASSES)
def test_the_spread_is_a_class(balance: Balance) -> None:
    assert parse_threshold(f"spread!={balance}").balance is balance
    assert parse_threshold(f"spread == {balance}").unit == "class"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "is no condition"),
        ("p99", "is no condition"),
        ("p99=50ms", "is no condition"),
        ("p99>", "is no condition"),
        (">50ms", "is no condition"),
        ("p99>>50ms", "is not a duration"),
        ("p99>50", "has no unit"),
        ("p99>fast", "is not a duration"),
        ("p99>-5ms", "is not a duration"),
        ("p0>5ms", "no percentile 0"),
        ("p101>5ms", "no percentile 101"),
        ("p99.>5ms", "no metric 'p99.'"),
        ("latency>5ms", "no metric 'latency'"),
        ("eror>5", "Did you mean errors?"),
        ("service.errors>5", "no metric 'service.errors'"),
        ("backend.dropped>5", "of the whole run"),
        ("backend.spread==even", "of the whole run"),
        ("errors>many", "is no number"),
        ("errors>120%", "at most 100%"),
        ("share.max>30", "at most 100%"),
        ("rps<90%", "no percentage"),
        ("cv>nan", "is no number"),
        ("spread>even", "takes == or !="),
        ("spread!=evn", "one of even, random, partial, skewed, none, single"),
        ("spread==inconclusive", "one of even"),
    ],
)
def test_what_is_not_understood_is_named_with_what_is(text: str, said: str) -> None:
    with pytest.raises(UsageError) as refused:
        parse_threshold(text)
    assert said in str(refused.value)
    assert len(str(refused.value).splitlines()) == 2


@given(st.text(alphabet="abckpdnrsxw.0123456789<>=!% µu", max_size=20) | st.text())
def test_any_text_is_a_condition_or_a_usage_error(text: str) -> None:
    with contextlib.suppress(UsageError):
        parse_threshold(text)


@given(
    st.integers(1, 10**6).map(lambda n: n / 10**4),
    st.sampled_from(list(COMPARE)),
    st.integers(0, 10**9),
    st.sampled_from(["ns", "us", "ms", "s"]),
    st.booleans(),
    st.booleans(),
)
def test_any_percentile_and_time_is_read_exactly(
    percent: float, sign: Operator, amount: int, unit: str, each: bool, service: bool
) -> None:
    if percent > 100:
        return
    text = f"{'backend.' * each}{'service.' * service}p{percent:.4f}{sign}{amount}{unit}"
    found = parse_threshold(text)
    assert found.percentile == pytest.approx(percent)
    assert found.bound == amount * {"ns": 1, "us": 1e3, "ms": 1e6, "s": 1e9}[unit]
    assert (found.operator, found.per_backend, found.service) == (sign, each, service)
    assert found.holds(found.bound) == (sign in (">=", "<=", "=="))
