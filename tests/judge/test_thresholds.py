"""Conditions held against runs: what holds, what doesn't, and what the run can't tell."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from tests.judge.made import backend, pods, report, tally_of
from whichpod.judge import judged
from whichpod.judge.thresholds import check_thresholds
from whichpod.model.plan import Plan
from whichpod.model.report import Report, Saturation, ThresholdResult
from whichpod.model.tally import Tally
from whichpod.model.target import Target
from whichpod.model.threshold import parse_threshold

MS = 1_000_000


def run(tally: Tally | None = None, target: Target | None = None, **changes: Any) -> Report:
    """100 RPCs in 2 s on four pods: three answer in 1 ms, echo-3 in 40 ms; one of echo-1's failed."""
    counts = tally or tally_of([[25, 24, 25, 25]], failed={1: 1}, took_ns={3: 40 * MS})
    made = dataclasses.replace(report(counts, target or pods(4)), duration_s=2.0, tool="bench", **changes)
    return judged(made, None)


def held(made: Report, text: str) -> ThresholdResult:
    (found,) = check_thresholds(made, [parse_threshold(text)])
    assert found.text == text
    return found


@pytest.mark.parametrize(
    ("text", "failed", "measured"),
    [
        ("p50>2ms", False, "1 ms"),
        ("p99>39ms", True, "40 ms"),
        ("max>40ms", False, "40 ms"),
        ("max>=40ms", True, "40 ms"),
        ("mean<20ms", True, "10.8 ms"),
        ("service.p99>39ms", True, "40 ms"),
        ("backend.p50>2ms", True, "echo-3: 40 ms"),
        ("backend.p50<2ms", True, "echo-0: 1 ms"),
        ("backend.service.max>50ms", False, "echo-3: 40 ms"),
        ("errors>0", True, "1 of 100 (1 %)"),
        ("errors>1%", False, "1 of 100 (1 %)"),
        ("errors>=1%", True, "1 of 100 (1 %)"),
        ("backend.errors>3.9%", True, "echo-1: 1 of 25 (4 %)"),
        ("backend.errors>1", False, "echo-1: 1 of 25 (4 %)"),
        ("backend.errors==1", True, "echo-1: 1 of 25 (4 %)"),
        ("backend.errors==2", False, "echo-0: 0 of 25 (0 %)"),
        ("dropped>0", False, "0 of 100 (0 %)"),
        ("rps<50", True, "49.5 per second"),
        ("backend.rps<12", False, "echo-1: 12 per second"),
        ("done<99", False, "99 RPCs"),
        ("backend.done<25", True, "echo-1: 24 RPCs"),
        ("backends<4", False, "4 answered"),
        ("cv>0", False, "0"),
        ("jain<1", False, "1"),
        ("share.max>25%", False, "25 % (echo-3)"),
        ("share.min<0.3", True, "25 % (echo-0)"),
        ("spread!=even", False, "even"),
        ("spread==even", True, "even"),
        ("spread!=random", True, "even"),
    ],
)
def test_what_holds(text: str, failed: bool, measured: str) -> None:
    found = held(run(), text)
    assert (found.failed, found.measured, found.reason) == (failed, measured, "")


def test_a_server_that_should_have_answered_and_did_not_counts() -> None:
    made = run(tally_of([[25, 25, 25, 0]]))
    assert held(made, "backend.done<1") == ThresholdResult("backend.done<1", "echo-3: nothing", True)
    assert held(made, "backend.rps<1").failed
    assert held(made, "share.min<1%").measured == "0 % (echo-3)"
    assert held(made, "backend.p99>1s").failed is False


def test_a_pod_that_was_restarted_is_one_backend() -> None:
    again = {3: backend(0, id="echo-0-18")}
    made = run(tally_of([[25, 25, 25, 25]], backends=again, took_ns={3: 40 * MS}), pods(3))
    assert held(made, "backend.done>49").measured == "echo-0: 50 RPCs"
    assert held(made, "backend.p90>39ms").measured == "echo-0: 40 ms"
    assert made.tally.backends["echo-0-17"].done == 25


@pytest.mark.parametrize(
    ("text", "failed"),
    [
        # A faster client measures latencies that are shorter, and rates that are higher.
        ("p99>1ms", None),
        ("p99>1s", False),
        ("p99<1s", True),
        ("p99<1ms", None),
        ("p99!=1ms", None),
        ("backend.p99>1ms", None),
        ("rps<1000", None),
        ("rps<10", False),
        ("rps>10", True),
        ("rps>1000", None),
        ("done<1000", None),
        ("dropped>0", False),
        ("errors>0", True),
        ("spread!=even", False),
        ("backends<4", False),
    ],
)
def test_a_client_that_was_the_limit_tells_only_what_a_faster_one_would(
    text: str, failed: bool | None
) -> None:
    plan = Plan(requests=None, duration_s=2.0, rate=50.0)
    found = held(run(saturation=Saturation(saturated=True), plan=plan), text)
    assert found.failed is failed
    assert bool(found.reason) == (failed is None)
    assert found.measured


def test_a_number_of_requests_is_no_rate() -> None:
    assert held(run(saturation=Saturation(saturated=True)), "done<100").failed is True


@pytest.mark.parametrize(
    ("text", "failed"),
    [
        ("p99>1ms", None), ("backend.p99>1ms", None), ("errors>1%", None), ("dropped>1%", None),
        ("spread!=even", None), ("cv>1", None), ("share.max>50%", None),
        ("errors>0", False), ("rps<1", True), ("done<1", True), ("dropped>0", False),
    ],
)  # fmt: skip
def test_where_nothing_happened(text: str, failed: bool | None) -> None:
    found = held(run(Tally(), Target("echo:1")), text)
    assert found.failed is failed
    assert bool(found.reason) == (failed is None)


def test_where_all_failed_the_part_of_errors_is_known() -> None:
    made = run(tally_of([[0]], failed={None: 10}))
    assert held(made, "errors>50%").failed is True
    assert held(made, "p99>1s").reason == "No RPC was answered."


def test_answers_that_name_nobody_tell_no_spread() -> None:
    made = run(tally_of([[50]], backends={0: None}), Target("echo:1"))
    for text in ("cv>1", "share.max>50%", "backends<2", "spread!=even", "backend.p99>1s", "backend.errors>0"):
        found = held(made, text)
        assert found.failed is None
        assert "50 of 50 answers don't tell" in found.reason
    assert held(made, "p99>1s").failed is False


@pytest.mark.parametrize(
    ("counts", "target", "text", "failed", "said"),
    [
        ([50], Target("echo:1"), "spread!=even", None, "--backends N"),
        ([50], pods(1), "spread!=even", None, "nothing to spread"),
        ([50], pods(1), "spread!=single", False, ""),
        ([50, 0, 0], pods(3), "spread!=none", False, ""),
        ([50, 0, 0], pods(3), "spread==none", True, ""),
        ([50, 0, 0], pods(3), "spread!=even", True, ""),
        ([2, 1, 1], pods(3), "spread!=even", None, "can't tell"),
    ],
)
def test_classes(counts: list[int], target: Target, text: str, failed: bool | None, said: str) -> None:
    found = held(run(tally_of([counts]), target), text)
    assert found.failed is failed
    assert said in found.reason
