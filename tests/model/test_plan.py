"""Plans, expectations and units: what is refused, and in which words."""

from __future__ import annotations

import contextlib
import dataclasses
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from whichpod.model.errors import UsageError
from whichpod.model.expectation import Expect, parse_expectation
from whichpod.model.plan import Plan
from whichpod.model.units import format_ns, parse_duration


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"requests": 0}, "--requests 0"),
        ({"requests": -5}, "--requests -5"),
        ({"requests": None, "duration_s": 0.0}, "--duration 0"),
        ({"requests": None}, "either a number of requests or a duration"),
        ({"duration_s": 3.0}, "either a number of requests or a duration"),
        ({"rate": 0.0}, "--rate 0"),
        ({"rate": float("nan")}, "--rate nan"),
        ({"rate": float("inf")}, "--rate inf"),
        ({"requests": None, "duration_s": float("inf")}, "--duration inf"),
        ({"payload_size": 1 << 31}, "--payload-size 2147483648 is more"),
        ({"clients": 0}, "--clients 0"),
        ({"connections": -1}, "--connections -1"),
        ({"concurrency": 0}, "--concurrency 0"),
        ({"deadline_s": 0.0}, "--deadline 0"),
        ({"payload_size": -1}, "--payload-size -1"),
        ({"warmup": -1}, "--warmup -1"),
        ({"policy": "round_robin", "service_config": "{}"}, "exclude each other"),
        ({"service_config": "{nope"}, "not JSON"),
        ({"service_config": "[1]"}, "not a JSON object"),
    ],
)
def test_a_plan_that_makes_no_sense_is_refused(changes: dict[str, Any], named: str) -> None:
    with pytest.raises(UsageError, match=named):
        dataclasses.replace(Plan(), **changes).check()


def test_a_sensible_plan_passes() -> None:
    Plan().check()
    Plan(requests=None, duration_s=1.0, rate=5.0).check()


@pytest.mark.parametrize(
    "text", ["none", "single", "partial", "random", "even", "exact", "at-least=3", "pinned", "pinned=5",
             "weights=a:90,b:10", "refused"],
)  # fmt: skip
def test_expectations_read_and_print_the_same(text: str) -> None:
    assert str(parse_expectation(text)) == text


def test_weights_may_name_addresses() -> None:
    found = parse_expectation("weights=127.0.0.1:50051:2,b:1")
    assert found.kind is Expect.WEIGHTS
    assert found.weights == (("127.0.0.1:50051", 2.0), ("b", 1.0))


@pytest.mark.parametrize(
    "text", ["", "evn", "even=3", "at-least", "at-least=0", "at-least=x", "pinned=-1", "weights=",
             "weights=a", "weights=a:-1", "weights=a:x", "weights=a:0", "weights=a:1,a:2", "weights=a:inf"],
)  # fmt: skip
def test_bad_expectations_are_refused_with_a_way_out(text: str) -> None:
    with pytest.raises(UsageError) as refused:
        parse_expectation(text)
    assert refused.value.fix


@pytest.mark.parametrize(
    ("text", "seconds"), [("10s", 10), ("500ms", 0.5), ("1m30s", 90), ("2", 2), (".5", 0.5), ("1h", 3600)]
)
def test_durations(text: str, seconds: float) -> None:
    assert parse_duration(text) == pytest.approx(seconds)


@pytest.mark.parametrize("text", ["", " ", "ten", "5x", "-1s", "1s2", "1 s", "s"])
def test_bad_durations(text: str) -> None:
    with pytest.raises(UsageError, match="is not a duration"):
        parse_duration(text)


@given(st.text())
def test_any_text_is_a_duration_or_a_usage_error(text: str) -> None:
    with contextlib.suppress(UsageError):
        assert parse_duration(text) >= 0


@pytest.mark.parametrize(
    ("ns", "text"), [(0, "0 ns"), (999, "999 ns"), (1_500, "1.5 µs"), (123_456_789, "123 ms"), (2e9, "2 s")]
)
def test_latencies_for_people(ns: float, text: str) -> None:
    assert format_ns(ns) == text
