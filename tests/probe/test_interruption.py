"""Probes that are cut short: what there is is reported, and nothing stays behind."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from tests.servers import echo
from whichpod.echo.faults import Delay
from whichpod.echo.server import EchoServer
from whichpod.model.plan import Plan, Stream
from whichpod.model.target import Target
from whichpod.probe.calls import Calls
from whichpod.probe.recorder import Recorder
from whichpod.probe.run import Progress, probe


@pytest.fixture(autouse=True)
def no_thread_is_left() -> Iterator[None]:
    yield
    assert not [t.name for t in threading.enumerate() if t.name.startswith("probe")]


@pytest.fixture
def stop_after_three(monkeypatch: pytest.MonkeyPatch) -> threading.Event:
    """Is set once three RPCs are on their way."""
    stop, sent, real = threading.Event(), itertools.count(1), Recorder.started

    def started(self: Recorder, lateness_ns: int = 0) -> bool:
        on_its_way = real(self, lateness_ns)
        if next(sent) == 3:
            stop.set()
        return on_its_way

    monkeypatch.setattr(Recorder, "started", started)
    return stop


def at(server: EchoServer) -> Target:
    return Target(f"127.0.0.1:{server.port}")


def test_stopping_reports_what_there_is() -> None:
    stop = threading.Event()
    seen: list[Progress] = []

    def progress(now: Progress) -> None:
        seen.append(now)
        if now.done > 10:
            stop.set()

    with echo() as server:
        report = probe(at(server), Plan(requests=None, duration_s=60), progress=progress, stop=stop)
    assert report.end_reason == "interrupted"
    assert report.tally.done > 10
    assert report.tally.balanced_books
    assert all(a.done <= b.done for a, b in itertools.pairwise(seen))


def test_what_hangs_is_in_flight_when_it_is_stopped(stop_after_three: threading.Event) -> None:
    with echo(delay=Delay("fixed", 60)) as server:
        report = probe(at(server), Plan(requests=3, connections=3, deadline_s=60), stop=stop_after_three)
    assert (report.tally.done, report.tally.in_flight, report.tally.failed) == (0, 3, 0)
    assert report.tally.balanced_books
    assert report.end_reason == "interrupted"


def test_ctrl_c_reports_what_there_is(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(now: Progress) -> None:
        if now.done > 5:
            raise KeyboardInterrupt

    with echo() as server:
        report = probe(at(server), Plan(requests=None, duration_s=60), progress=interrupt)
    assert report.end_reason == "interrupted"
    assert report.tally.done > 5


HELD = {"requests": 3, "connections": 3, "deadline_s": 60}


@pytest.mark.parametrize(
    "plan",
    [
        Plan(**HELD, new_connection_per_request=True),  # type: ignore[arg-type]
        Plan(**HELD, rate=100.0),  # type: ignore[arg-type]
        Plan(**HELD, stream=Stream.BIDI, messages=3),  # type: ignore[arg-type]
    ],
)
def test_whatever_hangs_is_cancelled(plan: Plan, stop_after_three: threading.Event) -> None:
    with echo(delay=Delay("fixed", 60)) as server:
        report = probe(at(server), plan, stop=stop_after_three)
    assert (report.tally.scheduled, report.tally.in_flight) == (3, 3)
    assert report.end_reason == "interrupted"


@pytest.mark.parametrize("once", [True, False])
def test_a_warm_up_that_hangs_is_cancelled(once: bool) -> None:
    stop = threading.Event()
    with echo(delay=Delay("fixed", 60)) as server:
        threading.Timer(0.3, stop.set).start()
        plan = Plan(warmup=2, deadline_s=60, new_connection_per_request=once)
        report = probe(at(server), plan, stop=stop)
    assert (report.tally.scheduled, report.tally.warmup) == (0, 0)
    assert report.end_reason == "interrupted"


def test_a_fault_of_ours_in_a_worker_is_raised_to_the_caller(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: Any) -> Any:
        raise ZeroDivisionError

    monkeypatch.setattr(Calls, "_answer", broken)
    with echo() as server:
        for plan in (Plan(connections=3), Plan(rate=1000.0), Plan(warmup=1)):
            with pytest.raises(ZeroDivisionError):
                probe(at(server), plan)
