"""Workers that come to harm, and schedules that come out even."""

from __future__ import annotations

import math
import sys

import pytest

from tests.load.runs import run
from tests.servers import echo
from whichpod.load import crew
from whichpod.model.errors import TargetError

BROKEN = "import whichpod.load.worker as w; w.Engine.{} = lambda *_: 1 / 0; w.main()"


@pytest.mark.parametrize("method", ["prepare", "begin", "count"])
def test_a_bug_in_a_worker_is_called_so(monkeypatch: pytest.MonkeyPatch, method: str) -> None:
    monkeypatch.setattr(crew, "WORKER", [sys.executable, "-c", BROKEN.format(method)])
    with echo() as server, pytest.raises(crew.WorkerError, match="ZeroDivisionError") as caught:
        run(server.port, requests=10)
    assert "Traceback" in caught.value.__notes__[0]


def test_workers_that_end_without_a_word(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(crew, "WORKER", [sys.executable, "-c", "import os; os.kill(os.getpid(), 9)"])
    with pytest.raises(TargetError, match="signal 9"):
        run(1, requests=10)


@pytest.mark.parametrize("rate", [600, 700, 999, 1_500])
def test_a_rate_and_a_time_make_a_number(rate: int) -> None:
    with echo() as server:
        assert run(server.port, rate=rate, duration_s=0.2).tally.scheduled == math.ceil(rate / 5)
