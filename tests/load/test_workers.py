"""Workers that come to harm, and schedules that come out even."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from subprocess import PIPE

import pytest

from tests.load.runs import run
from tests.servers import echo
from whichpod.load import crew
from whichpod.load.call import echo_call
from whichpod.load.engine import Share
from whichpod.load.job import Job
from whichpod.model.errors import TargetError
from whichpod.model.plan import Plan

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


def test_a_worker_that_is_stopped_in_the_same_breath_as_it_gets_its_job() -> None:
    with echo() as server:
        share = Share(((0, f"127.0.0.1:{server.port}"),), 1)
        plan = Plan(requests=None, duration_s=30)
        job = Job(plan, echo_call(b""), share, f"127.0.0.1:{server.port}")
        said = f"{json.dumps(job.to_json())}\n{json.dumps({'go': 0})}\n{json.dumps({'stop': True})}\n"
        # Its input stays open: at its end it would go without a word.
        with subprocess.Popen(crew.WORKER, stdin=PIPE, stdout=PIPE, text=True) as worker:
            assert worker.stdin is not None
            assert worker.stdout is not None
            worker.stdin.write(said)
            worker.stdin.flush()
            told = [json.loads(line) for line in worker.stdout]
    assert {kind for line in told for kind in line} <= {"ready", "progress", "result"}
    assert told[-1]["result"]["interrupted"] is True
