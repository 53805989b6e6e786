"""Tallies made from counts, through the same door as a real run's: Tally.add."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from whichpod.judge import judge
from whichpod.model.expectation import Expectation, parse_expectation
from whichpod.model.plan import Plan, Stream
from whichpod.model.report import Evidence, Report
from whichpod.model.tally import BackendTally, Observation, Tally
from whichpod.model.target import Backend, Target
from whichpod.model.verdict import Verdict

BIDI = Plan(requests=1, stream=Stream.BIDI, messages=50)


def backend(i: int, **changes: Any) -> Backend:
    made = Backend(f"echo-{i}-17", pod=f"echo-{i}", ip=f"10.0.0.{i}")
    return dataclasses.replace(made, **changes)


def pods(n: int) -> Target:
    return Target("echo:50051", known=tuple(f"echo-{i}" for i in range(n)), known_by="lab")


def tally_of(
    channels: Sequence[Sequence[int]],
    *,
    failed: Mapping[int | None, int] | None = None,
    status: str = "UNAVAILABLE",
    took_ns: Mapping[int, int] | None = None,
    backends: Mapping[int, Backend | None] | None = None,
    messages: int = 1,
) -> Tally:
    """RPCs one by one: per channel a count per backend; `failed` by backend, None: nobody is known."""
    tally, at = Tally(), 0

    def add(channel: int, who: Backend | None, status: str, took: int) -> None:
        nonlocal at
        at += 1_000
        tally.started()
        seen = Observation(at, at, at, at + took, channel, "", who, status, messages=messages)
        tally.add(seen, 0)

    for channel, counts in enumerate(channels):
        for i, count in enumerate(counts):
            who = (backends or {}).get(i, backend(i))
            for _ in range(count):
                add(channel, who, "OK", (took_ns or {}).get(i, 1_000_000))
    for key, count in (failed or {}).items():
        for _ in range(count):
            add(0, None if key is None else backend(key), status, 1_000_000)
    assert tally.balanced_books
    return tally


def large(counts: Sequence[int]) -> Tally:
    """A tally of counts too large to add one by one."""
    made = Tally(scheduled=sum(counts), done=sum(counts))
    for i, n in enumerate(counts):
        if n:
            made.backends[backend(i).id] = BackendTally(backend(i), done=n, messages=n)
    return made


def expected(text: str | None, **changes: Any) -> Expectation | None:
    return dataclasses.replace(parse_expectation(text), **changes) if text else None


def verdict(
    counts: Sequence[int],
    expect: str | None = None,
    *,
    target: Target | None = None,
    plan: Plan | None = None,
    **conditions: Any,
) -> Verdict:
    """One channel's counts, judged; all that are counted are known pods unless `target` says otherwise."""
    tally = tally_of([counts]) if sum(counts) < 5000 else large(counts)
    return judge(tally, target or pods(len(counts)), plan or Plan(), expected(expect), **conditions)


def report(tally: Tally, target: Target, plan: Plan | None = None, **evidence: Any) -> Report:
    return Report(target, plan or Plan(), tally, evidence=Evidence(**evidence))
