"""Takes in what workers observe, under one lock, and says when a target can't be used at all."""

from __future__ import annotations

import threading
import time

import grpc

from whichpod.model.errors import TargetError
from whichpod.model.tally import OK, Observation, Phase, Tally
from whichpod.model.target import Backend
from whichpod.model.timeline import Timeline
from whichpod.probe.calls import Answer
from whichpod.probe.failures import described, target_error

HOPELESS_AFTER = 3
"""RPCs that fail as those of an unusable target do, with none done, until the run is given up."""
LATE_NS = 10_000_000
MOST_PEERS = 100


class Recorder:
    """The tally of a run, and what else its RPCs tell."""

    def __init__(
        self, target: str, *, tls: bool, method: str = "", timeline_s: float = 0.0, may_fail: bool = False
    ) -> None:
        self._target = target
        self._method = method
        self._tls = tls
        self._lock = threading.Lock()
        self.tally = Tally()
        self.timeline = Timeline(round(timeline_s * 1e9)) if timeline_s else None
        self.last = ""
        """Who answered last."""
        self.began_ns = time.monotonic_ns()
        self.ended_ns = 0
        self.peers: dict[str, None] = {}
        self.first_error = ""
        self.late_sends = 0
        self.hopeless = threading.Event()
        """Set when the target can't be used."""
        self.target_error: TargetError | None = None
        """Why it can't, where all RPCs failed for such a reason."""
        self._alike = -1 if may_fail else 0
        self.closed = False
        """What ends from now on was cut off by us."""

    def begin(self) -> None:
        """The measured phase begins."""
        self.began_ns = time.monotonic_ns()

    def close(self) -> None:
        """What comes from now on was cut off by us: it stays in flight."""
        with self._lock:
            self.closed = True
            self.ended_ns = self.ended_ns or time.monotonic_ns()

    def started(self, lateness_ns: int = 0) -> bool:
        """An RPC of the measured phase is sent, this long after its time; False once the run is over."""
        with self._lock:
            if self.closed:
                return False
            self.tally.started()
            self.late_sends += lateness_ns > LATE_NS
            return True

    def dropped(self) -> None:
        """An RPC was due, but too many were in flight."""
        with self._lock:
            if not self.closed:
                self.tally.drop()
                if self.timeline:
                    self.timeline.drop(time.monotonic_ns())

    def done(
        self,
        sequence: int,
        scheduled_ns: int,
        sent_ns: int,
        done_ns: int,
        channel: int,
        answer: Answer,
        backend: Backend | None,
        phase: Phase,
    ) -> None:
        """An RPC was answered; `backend` is by whom, where that is told."""
        seen = Observation(
            sequence, scheduled_ns, sent_ns, done_ns, channel, answer.connection, backend, OK, phase,
            answer.messages,
        )  # fmt: skip
        with self._lock:
            if self.closed:
                return
            self._alike, self.target_error = -1, None
            self._add(seen)
            if backend:
                self.last = backend.label
            if answer.peer and len(self.peers) < MOST_PEERS:
                self.peers[answer.peer] = None

    def failed(
        self,
        sequence: int,
        scheduled_ns: int,
        sent_ns: int,
        done_ns: int,
        channel: int,
        error: grpc.RpcError,
        backend: Backend | None,
        phase: Phase,
    ) -> None:
        """An RPC failed; `backend` is who failed it, where that is told."""
        status = error.code().name
        seen = Observation(sequence, scheduled_ns, sent_ns, done_ns, channel, "", backend, status, phase)
        with self._lock:
            if self.closed:
                return
            self._add(seen)
            self.first_error = self.first_error or described(error)
            if self._alike < 0:
                return
            unusable = target_error(self._target, error, tls=self._tls, method=self._method)
            self.target_error = unusable and (self.target_error or unusable)
            self._alike = self._alike + 1 if unusable else -1
            if self._alike >= HOPELESS_AFTER:
                self.hopeless.set()

    def _add(self, seen: Observation) -> None:
        self.tally.add(seen, self.began_ns)
        if self.timeline:
            self.timeline.add(seen)

    def counts(self) -> tuple[int, int]:
        """RPCs done and failed so far."""
        with self._lock:
            return self.tally.done, self.tally.failed

    def counts_by_label(self) -> dict[str, int]:
        """RPCs done so far, by the name of who did them."""
        with self._lock:
            found: dict[str, int] = {}
            for entry in self.tally.backends.values():
                label = entry.backend.label
                found[label] = found.get(label, 0) + entry.done
            return found
