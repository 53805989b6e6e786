"""Plans that are too much for one process."""

from __future__ import annotations

import resource
import threading
from collections.abc import Iterator

import pytest

from tests.servers import echo
from whichpod.model.errors import UsageError
from whichpod.model.plan import Plan
from whichpod.model.target import Target
from whichpod.probe.limits import check_limits
from whichpod.probe.run import probe


@pytest.fixture
def few_files() -> Iterator[int]:
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    few = 200
    resource.setrlimit(resource.RLIMIT_NOFILE, (few, before[1]))
    yield few
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


def test_too_many_rpcs_in_flight() -> None:
    with pytest.raises(UsageError, match="20000 RPCs in flight"):
        check_limits(Plan(requests=10**6, connections=20, concurrency=1000))
    check_limits(Plan(requests=50, connections=20, concurrency=1000))
    check_limits(Plan(requests=10**6, rate=10.0, connections=20, concurrency=1000))
    with pytest.raises(UsageError, match="more than a probe can send"):
        check_limits(Plan(rate=1e12))


def test_too_many_connections(few_files: int) -> None:
    with pytest.raises(UsageError, match=f"(?s)300 connections.*{few_files} files.*ulimit -n 364"):
        probe(Target("127.0.0.1:1"), Plan(requests=300, connections=300))
    with pytest.raises(UsageError, match="300 connections"):
        check_limits(Plan(requests=300, concurrency=300, new_connection_per_request=True))
    check_limits(Plan(requests=300, concurrency=300))


@pytest.mark.parametrize("plan", [Plan(concurrency=20), Plan(rate=1000.0)])
def test_a_machine_without_threads(plan: Plan, monkeypatch: pytest.MonkeyPatch) -> None:
    real = threading.Thread.start

    def start(thread: threading.Thread) -> None:
        # The probe's first threads start, and the system has no more of them.
        if thread.name.startswith("probe") and sum(t.name.startswith("probe") for t in threading.enumerate()):
            raise RuntimeError("can't start new thread")
        real(thread)

    monkeypatch.setattr(threading.Thread, "start", start)
    with echo() as server, pytest.raises(UsageError, match="no threads for so many"):
        probe(Target(f"127.0.0.1:{server.port}"), plan)
