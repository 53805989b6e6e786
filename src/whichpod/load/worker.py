"""A worker process: runs a job's engine, told and telling by lines on its pipes."""

from __future__ import annotations

import gc
import json
import os
import signal
import sys
import traceback
from typing import Any

from whichpod.load.counts import load_of, tally_of
from whichpod.load.engine import MS, NEVER, Engine
from whichpod.load.job import Job, Ready, Result
from whichpod.load.tls import client_tls
from whichpod.model.codec import to_json
from whichpod.model.errors import ExitCode, WhichpodError
from whichpod.model.metadata import wire_metadata
from whichpod.reactor.loop import READ
from whichpod.wire.status import encode_binary

PROGRESS_NS = 200 * MS
SNAPSHOTS = 5
"""A tally goes along with every fifth progress line, so that what a killed worker did isn't lost."""
MOST_IN_SNAPSHOT = 64
GRACE_NS = 500 * MS
"""How long RPCs in flight may go on when the run is interrupted."""


class Worker:
    """One job. `rest`: what was said after it already."""

    def __init__(self, job: Job, rest: bytes = b"") -> None:
        tls = None
        if job.tls is not None:
            tls = client_tls(job.tls, job.authority.rpartition(":")[0].strip("[]") or job.authority)
        self._engine = Engine(
            job.plan,
            job.call,
            job.share,
            authority=job.authority,
            tls=tls,
            metadata=tuple(
                (key.encode(), encode_binary(value) if isinstance(value, bytes) else value.encode())
                for key, value in wire_metadata(job.plan.metadata)
            ),
        )
        self._rest = rest
        self._told = 0

    def run(self) -> None:
        """Until the run is over or whoever started it is gone."""
        engine = self._engine
        engine.on_prepared = self._prepared
        engine.on_over = self._over
        engine.loop.watch(0, READ, self._hear)
        engine.prepare()
        self._heed(b"")
        # Nothing that the engine makes is cyclic, and a collection would show as latency.
        gc.collect()
        gc.freeze()
        gc.disable()
        engine.loop.run()

    def _prepared(self) -> None:
        self._say("ready", Ready(sum(line.ready for line in self._engine.lines), self._errors()))

    def _errors(self) -> dict[str, str]:
        return {line.label: line.error for line in self._engine.lines if line.error and not line.ready}

    def _hear(self, _events: int) -> None:
        data = os.read(0, 65_536)
        if not data:
            # Nobody is there to report to.
            os._exit(0)
        self._heed(data)

    def _heed(self, data: bytes) -> None:
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            said = json.loads(line)
            if "go" in said:
                self._engine.begin(said["go"])
                self._engine.loop.after(PROGRESS_NS, self._tell)
            elif "stop" in said:
                self._engine.interrupt(GRACE_NS)

    def _tell(self) -> None:
        engine = self._engine
        if engine.over:
            return
        engine.loop.after(PROGRESS_NS, self._tell)
        if engine.began == NEVER:
            return
        self._told += 1
        counts: dict[str, int] = {}
        done = 0
        for line in engine.lines:
            for cell in line.cells.values():
                done += cell.done
                if cell.backend is not None:
                    counts[cell.backend.label] = counts.get(cell.backend.label, 0) + cell.done
        said: dict[str, Any] = {"done": done, "failed": engine.failures, "counts": counts}
        if self._told % SNAPSHOTS == 0 and len(counts) <= MOST_IN_SNAPSHOT:
            said["so_far"] = to_json(self._result())
        self._say("progress", said)

    def _result(self) -> Result:
        engine = self._engine
        began = 0 if engine.began == NEVER else engine.began
        return Result(
            tally_of(engine),
            load_of(engine),
            began,
            max(began, engine.ended),
            sum(line.opened for line in engine.lines),
            engine.first_error,
            self._errors(),
            engine.interrupted,
            engine.lost,
        )

    def _over(self) -> None:
        self._say("result", self._result())
        self._engine.loop.stop()

    def _say(self, what: str, value: object) -> None:
        # A blocking write: whoever started the worker reads all the time.
        sys.stdout.write(json.dumps({what: to_json(value)}, separators=(",", ":")) + "\n")
        sys.stdout.flush()


def main() -> None:
    """Reads the job from the first line, runs it."""
    # Ctrl-C reaches the whole process group, and so does the SIGTERM of `timeout` or a service manager;
    # whoever started the worker says when it stops.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT, signal.SIGTERM})
    said = b""
    while b"\n" not in said:
        piece = os.read(0, 65_536)
        if not piece:
            return
        said += piece
    line, _, rest = said.partition(b"\n")
    try:
        Worker(Job.of_json(json.loads(line)), rest).run()
    except WhichpodError as error:
        print(json.dumps({"error": {"message": error.message, "fix": error.fix}}), flush=True)
    except Exception as error:
        cause = f"{type(error).__name__}: {error}"
        print(json.dumps({"bug": {"cause": cause, "traceback": traceback.format_exc()}}), flush=True)
        sys.exit(ExitCode.BUG)


if __name__ == "__main__":
    main()
