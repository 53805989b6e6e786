"""A probe: RPCs on real grpcio channels, and the report of who answered."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from whichpod.model.plan import Plan
from whichpod.model.report import EndReason, Evidence, Report, Saturation
from whichpod.model.target import Target
from whichpod.probe.address import parse_address
from whichpod.probe.channels import Channels, policy_in_force
from whichpod.probe.environment import environment
from whichpod.probe.resolve import resolved_addresses

import grpc  # after channels, which sets grpc's verbosity  # isort: skip

from whichpod.probe.calls import Call, Calls
from whichpod.probe.methods import MethodCalls
from whichpod.probe.pace import closed_loop, open_loop
from whichpod.probe.recorder import Recorder
from whichpod.probe.sockets import SocketCensus

PROGRESS_S = 0.1
SAMPLE_S = 0.25
SETTLE_S = 1.0
"""How long connections may take to come up after the warm-up before the measuring begins all the same."""
GRACE_S = 0.5
"""How long RPCs in flight may go on when the run is interrupted."""
SATURATED = 0.8
"""CPU per wall time of this process from which on it may be the limit."""

FEW_LATE = 5
"""Late sends that mean nothing, however few RPCs there were."""


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a probe is."""

    done: int
    failed: int
    total: int | None
    """RPCs planned; None where the duration is."""
    elapsed_s: float


def probe(
    target: Target,
    plan: Plan,
    *,
    progress: Callable[[Progress], None] | None = None,
    stop: threading.Event | None = None,
) -> Report:
    """Runs the plan and returns what was measured, not judged.

    Set `stop`, or raise KeyboardInterrupt in the calling thread, and the report of what there is comes with
    the end reason "interrupted"; RPCs that don't end within half a second count as in flight.

    Raises UsageError, before anything is sent, for a target, plan, TLS file or service config that makes no
    sense; TargetError where no RPC could be done for a reason that concerns the whole target (its name does
    not resolve, nothing listens, it isn't gRPC, it has no echo service, nothing comes back in time).
    """
    plan.check()
    parse_address(target.address)
    return _Run(target, plan, progress, stop or threading.Event()).run()


class _Run:
    def __init__(
        self, target: Target, plan: Plan, progress: Callable[[Progress], None] | None, stop: threading.Event
    ) -> None:
        self._target = target
        self._plan = plan
        self._progress = progress
        self._stop = stop
        self._calls = MethodCalls(target, plan) if plan.method else Calls(plan)
        self._channels = Channels(target, plan)
        self._recorder = Recorder(target.address, tls=target.tls is not None, method=plan.method)
        self._sockets = SocketCensus()
        self._open: list[grpc.Channel] = []
        self._made: list[Call] = []

    def run(self) -> Report:
        started_at = datetime.now(UTC).isoformat(timespec="seconds")
        resolved = resolved_addresses(self._target.address)
        if isinstance(self._calls, MethodCalls):
            # On a channel of its own, which is not among those that are counted.
            with self._channels.make() as channel:
                self._calls.learn(channel)
        if not self._plan.new_connection_per_request:
            self._open = [self._channels.make() for _ in range(self._plan.channels)]
            self._made = [self._calls.on(channel) for channel in self._open]
        reason: EndReason = "completed"
        cpu_s = 0.0
        try:
            self._warm_up()
            self._recorder.begin()
            cpu_s = time.process_time()
            self._measure()
        except KeyboardInterrupt:
            self._stop.set()
        finally:
            cpu_s = time.process_time() - cpu_s
            self._end()
        if self._stop.is_set():
            reason = "interrupted"
        elif self._recorder.tally.done == 0:
            error = self._recorder.target_error
            if error:
                raise error
            reason = "target failed"
        return self._report(started_at, resolved, reason, cpu_s)

    def _warm_up(self) -> None:
        for sequence in range(self._plan.warmup):
            if self._stop.is_set() or self._recorder.hopeless.is_set():
                return
            self._send(sequence, sequence % self._plan.channels, 0, warm=True)
        if self._plan.warmup:
            self._settle()

    def _settle(self) -> None:
        # round_robin rebuilds its picker while connections come up, which costs the first RPCs their turn.
        end, calm_since = time.monotonic() + SETTLE_S, 0.0
        while (now := time.monotonic()) < end and not self._stop.is_set():
            if not self._sockets.settled():
                calm_since = 0.0
            elif not calm_since:
                calm_since = now
            elif now - calm_since > 0.05:
                return
            self._stop.wait(0.01)

    def _measure(self) -> None:
        plan, recorder = self._plan, self._recorder
        giving_up = threading.Event()
        if plan.open_loop:
            threads = open_loop(plan, recorder.began_ns, giving_up, self._send, recorder.dropped)
        else:
            until = recorder.began_ns + round(plan.duration_s * 1e9) if plan.duration_s is not None else None
            threads = closed_loop(plan, until, giving_up.is_set, self._send)
        sample_at, pause = 0.0, SAMPLE_S
        try:
            for thread in threads:
                while thread.is_alive():
                    thread.join(PROGRESS_S / 4)
                    now = time.monotonic()
                    if now >= sample_at:
                        self._sockets.sample()
                        # A sample of many connections takes long; it may take a tenth of the time at most.
                        pause = max(SAMPLE_S, 10 * (time.monotonic() - now))
                        sample_at = time.monotonic() + pause
                        self._tell()
                    if self._stop.is_set() or recorder.hopeless.is_set():
                        giving_up.set()
                        self._wait_for(threads)
                        return
        except KeyboardInterrupt:
            self._stop.set()
            giving_up.set()
            self._wait_for(threads)

    @staticmethod
    def _wait_for(threads: list[threading.Thread]) -> None:
        end = time.monotonic() + GRACE_S
        for thread in threads:
            thread.join(max(0.0, end - time.monotonic()))

    def _send(self, sequence: int, channel: int, due_ns: int, *, warm: bool = False) -> None:
        """Does one RPC and records its end."""
        recorder = self._recorder
        own: grpc.Channel | None = None
        if self._plan.new_connection_per_request:
            own = self._channels.make()
            call = self._calls.on(own)
        else:
            call = self._made[channel]
        sent = time.monotonic_ns()
        due = due_ns or sent
        if not warm:
            recorder.started(sent - due)
        try:
            answer = call()
        except grpc.RpcError as error:
            blamed = self._calls.blamed(error)
            recorder.failed(sequence, due, sent, channel, error, blamed, "warmup" if warm else "measure")
        except ValueError:
            # grpcio says so of a channel that was closed under a call: the run was interrupted.
            if not self._stop.is_set():
                raise
        else:
            recorder.done(sequence, due, sent, channel, answer, "warmup" if warm else "measure")
        finally:
            if own is not None:
                self._sockets.sample()
                own.close()

    def _tell(self) -> None:
        if self._progress:
            done, failed = self._recorder.counts()
            elapsed = (time.monotonic_ns() - self._recorder.began_ns) / 1e9
            self._progress(Progress(done, failed, self._plan.requests, elapsed))

    def _end(self) -> None:
        self._recorder.close()
        if self._open:
            self._sockets.sample()
        for channel in self._open:
            channel.close()

    def _report(self, started_at: str, resolved: tuple[str, ...], reason: EndReason, cpu_s: float) -> Report:
        recorder = self._recorder
        duration_s = max(1e-9, (recorder.ended_ns - recorder.began_ns) / 1e9)
        share = cpu_s / duration_s
        # In closed loop a busy client only sends less; in open loop it sends late, which counts as latency.
        late = recorder.late_sends > max(FEW_LATE, 0.01 * recorder.tally.scheduled)
        saturated = self._plan.open_loop and (share > SATURATED or late)
        return Report(
            self._target,
            self._plan,
            recorder.tally,
            evidence=Evidence(
                resolved=resolved,
                connections_open=self._sockets.most_open,
                connections_opened=self._sockets.opened,
                remote_peers=tuple(self._sockets.peers),
                server_saw_peers=tuple(recorder.peers),
                policy=policy_in_force(self._target, self._plan),
                first_error=recorder.first_error,
            ),
            saturation=Saturation(cpu_s, share, recorder.late_sends, saturated),
            environment=environment(),
            started_at=started_at,
            duration_s=duration_s,
            end_reason=reason,
        )
