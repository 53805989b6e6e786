"""The worker processes of a run."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import selectors
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any, Self

from whichpod.load.engine import MS
from whichpod.load.job import Job, Ready, Result
from whichpod.load.progress import LoadProgress
from whichpod.model.codec import from_json
from whichpod.model.errors import TargetError, UsageError
from whichpod.model.report import WorkerLoad

WORKER = [sys.executable, "-m", "whichpod.load.worker"]
START_NS = 20 * MS
"""From `go` to the beginning, so that all workers have heard it."""
CHECK_S = 0.05
PREPARE_S = 20.0
END_S = 3.0
"""How long workers may take to say what they have once they are told to stop."""
LAST_S = 1.0
"""From the end of a worker's output to its own."""


class WorkerError(Exception):
    """A worker process ended with an exception; its traceback is a note."""


class _Member:
    """One worker process."""

    def __init__(self, job: Job) -> None:
        # Ctrl-C reaches the whole process group, and a worker that still starts would say so in a traceback;
        # SIGTERM may, and would end it.
        before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})
        try:
            self.process = subprocess.Popen(WORKER, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.out = self.process.stdout.fileno()
        self.ready: Ready | None = None
        self.result: Result | None = None
        self.so_far: Result | None = None
        self.error: UsageError | None = None
        self.bug: WorkerError | None = None
        self.gone = False
        self.done = self.failed = 0
        self.counts: dict[str, int] = {}
        self._rest = b""
        self.say(job.to_json())

    def say(self, what: dict[str, Any]) -> None:
        stdin = self.process.stdin
        assert stdin is not None
        with contextlib.suppress(OSError, ValueError):
            stdin.write(json.dumps(what).encode() + b"\n")
            stdin.flush()

    def hear(self) -> None:
        data = os.read(self.out, 1 << 20)
        if not data:
            self.gone = True
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            said = json.loads(line)
            if "ready" in said:
                self.ready = from_json(Ready, said["ready"])
            elif "progress" in said:
                heard = said["progress"]
                self.done, self.failed, self.counts = heard["done"], heard["failed"], heard["counts"]
                if "so_far" in heard:
                    self.so_far = from_json(Result, heard["so_far"])
            elif "result" in said:
                self.result = from_json(Result, said["result"])
            elif "error" in said:
                self.error = UsageError(said["error"]["message"], fix=said["error"]["fix"])
            elif "bug" in said:
                self.bug = WorkerError(said["bug"]["cause"])
                self.bug.add_note(said["bug"]["traceback"])

    @property
    def cause(self) -> str:
        """What it died of."""
        if self.bug:
            return f"a bug in whichpod: {self.bug}"
        try:
            code = self.process.wait(LAST_S)
        except subprocess.TimeoutExpired:
            return "it says nothing more"
        return f"signal {-code}" if code < 0 else f"exit code {code}"


class Crew:
    """All workers of a run. Entered, they are started; left, they are gone."""

    def __init__(
        self,
        jobs: Sequence[Job],
        progress: Callable[[LoadProgress], None] | None,
        stop: threading.Event,
        gate: Callable[[], None] | None = None,
    ) -> None:
        self._jobs = jobs
        self._plan = jobs[0].plan
        self._progress = progress
        self._stop = stop
        self._gate = gate
        self._members: list[_Member] = []
        self._selector = selectors.DefaultSelector()
        self.interrupted = False
        self.open = 0
        """Connections that were up when it began."""
        self._measured_ns = 0
        self._window: list[tuple[float, int]] = []

    def __enter__(self) -> Self:
        for job in self._jobs:
            member = _Member(job)
            self._members.append(member)
            self._selector.register(member.out, selectors.EVENT_READ, member)
        return self

    def __exit__(self, *_: object) -> None:
        self._selector.close()
        for member in self._members:
            if member.process.poll() is None and not member.gone:
                member.process.kill()
            for pipe in (member.process.stdin, member.process.stdout):
                assert pipe is not None
                with contextlib.suppress(OSError):
                    pipe.close()
            member.process.wait()

    @property
    def results(self) -> list[Result]:
        """What the workers counted; of one that died, what it said last."""
        found = (member.result or member.so_far for member in self._members)
        return [result for result in found if result is not None]

    @property
    def loads(self) -> list[WorkerLoad]:
        """How busy each was."""
        return [self._load(member) for member in self._members]

    def _load(self, member: _Member) -> WorkerLoad:
        last = member.result or member.so_far
        load = last.load if last else WorkerLoad()
        return load if member.result else dataclasses.replace(load, lost=True, cause=member.cause)

    def run(self) -> None:
        """Until every worker is through, or it is stopped. Raises TargetError where none of the connections
        came up, or every worker died."""
        if not self._until(lambda member: member.ready is not None, time.monotonic() + PREPARE_S):
            return
        self._check_ready()
        if self._gate:
            self._gate()
            if self._stop.is_set():
                self.interrupt()
                return
        begin = time.monotonic_ns() + START_NS
        self._measured_ns = begin + round(self._plan.warmup_s * 1e9)
        for member in self._members:
            member.say({"go": begin})
        self._until(lambda member: member.result is not None, None)
        if not self.results:
            raise self._all_died()

    def interrupt(self) -> None:
        """Has the workers report what they have."""
        self.interrupted = True
        for member in self._members:
            member.say({"stop": True})
        end = time.monotonic() + END_S
        while time.monotonic() < end and any(m.result is None and not m.gone for m in self._members):
            self._turn()

    def _check_ready(self) -> None:
        from whichpod.load.run import unreachable

        for member in self._members:
            if member.error:
                raise member.error
        if not any(member.ready for member in self._members):
            raise self._all_died()
        self.open = sum(member.ready.open for member in self._members if member.ready)
        errors = {a: e for m in self._members if m.ready for a, e in (m.ready.errors or {}).items()}
        # Without errors those that were up are being replaced, as where they may not get old.
        if not self.open and errors:
            raise unreachable(self._jobs[0].authority, errors)

    def _all_died(self) -> Exception:
        for member in self._members:
            if member.bug:
                return member.bug
        return TargetError(
            f"The worker processes died ({self._members[0].cause}).",
            fix="Signal 9 often means that the machine ran out of memory.",
        )

    def _until(self, there: Callable[[_Member], bool], end: float | None) -> bool:
        """Waits for all members that live; False where it was stopped before."""
        while any(not there(m) and not m.gone and not m.error for m in self._members):
            if self._stop.is_set():
                self.interrupt()
                return False
            if end is not None and time.monotonic() > end:
                break
            self._turn()
        return True

    def _turn(self) -> None:
        heard = self._selector.select(CHECK_S)
        for key, _ in heard:
            key.data.hear()
            if key.data.gone:
                self._selector.unregister(key.fd)
        if heard and self._progress and self._measured_ns:
            self._tell(self._progress)

    def _tell(self, progress: Callable[[LoadProgress], None]) -> None:
        now = time.monotonic_ns()
        done = sum(member.done for member in self._members)
        self._window.append((now / 1e9, done))
        while len(self._window) > 2 and self._window[0][0] < now / 1e9 - 1.0:
            self._window.pop(0)
        (since, before), (at, _) = self._window[0], self._window[-1]
        counts: dict[str, int] = {}
        for member in self._members:
            for label, n in member.counts.items():
                counts[label] = counts.get(label, 0) + n
        progress(
            LoadProgress(
                (now - self._measured_ns) / 1e9,
                done,
                sum(member.failed for member in self._members),
                (done - before) / (at - since) if at > since else 0.0,
                self._plan.requests,
                counts,
            )
        )
