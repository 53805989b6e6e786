"""Timelines: counted, merged, widened, and carried over a process border."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from whichpod.model import timeline as module
from whichpod.model.tally import Observation
from whichpod.model.target import Backend
from whichpod.model.timeline import MOST_INTERVALS, Timeline


def observation(at_ns: int, backend: str = "a", status: str = "OK", took_ns: int = 5) -> Observation:
    by = Backend(backend, pod=f"pod-{backend}") if backend else None
    return Observation(0, at_ns, at_ns, at_ns + took_ns, 0, "", by, status)


ends = st.lists(
    st.builds(
        observation,
        st.integers(1, 100_000),
        st.sampled_from(["", "a", "b"]),
        st.sampled_from(["OK", "UNAVAILABLE"]),
        st.integers(0, 10**6),
    ),
    max_size=60,
)


def drawn(seen: list[Observation], interval_ns: int = 100) -> Timeline:
    found = Timeline(interval_ns)
    for one in seen:
        found.add(one)
    return found


def totals(timeline: Timeline) -> tuple[int, int]:
    intervals = [i for line in timeline.lines.values() for i in line.intervals.values()]
    return sum(i.done for i in intervals), sum(i.failed for i in intervals)


@given(ends, ends)
def test_merging_is_counting_both(a: list[Observation], b: list[Observation]) -> None:
    merged = drawn(a)
    merged.merge(drawn(b))
    assert merged.by_label() == drawn(a + b).by_label()
    assert merged.interval_ns == drawn(a + b).interval_ns


@given(ends, ends)
def test_merging_leaves_the_other_one_alone(a: list[Observation], b: list[Observation]) -> None:
    wide, narrow = drawn(a, 400), drawn(b, 100)
    before = narrow.to_json()
    wide.merge(narrow)
    assert narrow.to_json() == before
    done = sum(o.status == "OK" for o in a + b)
    assert totals(wide) == (done, len(a + b) - done)


@given(ends)
def test_it_crosses_a_process_border(seen: list[Observation]) -> None:
    there = drawn(seen)
    there.drop(5_000)
    back = Timeline.from_json(json.loads(json.dumps(there.to_json())))
    assert back == there
    assert back.span == there.span


def test_an_rpc_counts_where_it_was_due_and_not_where_it_ended() -> None:
    found = drawn([observation(250, took_ns=10_000)])
    assert list(found.lines["a"].intervals) == [2]
    assert found.start_ns(2) == 200


def test_the_warm_up_counts_nowhere() -> None:
    found = Timeline(100)
    found.add(Observation(0, 1, 1, 2, 0, "", None, "OK", "warmup"))
    assert not found.span


def test_memory_is_fixed_whatever_the_run_lasts() -> None:
    found = Timeline(100)
    for n in range(5 * MOST_INTERVALS):
        found.add(observation(n * 100 + 1))
    assert len(found.span) <= MOST_INTERVALS
    assert found.interval_ns == 800
    assert totals(found) == (5 * MOST_INTERVALS, 0)
    assert found.lines["a"].first_ns == 1


def test_runs_far_apart_merge_in_fixed_memory_too() -> None:
    early, late = drawn([observation(1)]), drawn([observation(100 * MOST_INTERVALS * 5)])
    early.merge(late)
    assert len(early.span) <= MOST_INTERVALS
    assert totals(early) == (2, 0)


def test_a_pod_that_was_started_anew_has_one_row_and_two_lives() -> None:
    found = Timeline(100)
    for life in ("one", "two"):
        found.add(Observation(0, 10, 10, 20, 0, "", Backend(life, pod="echo-0"), "OK"))
    assert len(found.lines) == 2
    assert found.by_label()["echo-0"].intervals[0].done == 2


def test_intervals_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match="300 and 100"):
        Timeline(300).merge(Timeline(100))


@pytest.mark.parametrize(
    "data",
    [
        None,
        {"schema_version": 2},
        {"schema_version": 1},
        {"schema_version": 1, "interval_ns": 0, "lines": {}, "dropped": {}},
        {"schema_version": 1, "interval_ns": 10, "lines": {"a": {}}, "dropped": {}},
        {
            "schema_version": 1,
            "interval_ns": 10,
            "lines": {"a": {"backend": None, "first_ns": 0, "intervals": {"1": [2, 0, 5, 5, 5, {"5": 1}]}}},
            "dropped": {},
        },
    ],
)
def test_what_is_no_timeline_is_refused(data: object) -> None:
    with pytest.raises(ValueError, match="timeline"):
        Timeline.from_json(data)


def test_the_schema_version_is_told() -> None:
    assert Timeline(1).to_json()["schema_version"] == module.SCHEMA_VERSION
