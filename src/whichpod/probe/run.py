"""A probe: RPCs on real grpcio channels, and the report of who answered."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime

from whichpod.model.plan import PEER, Plan
from whichpod.model.report import EndReason, Evidence, Report, Saturation
from whichpod.model.tally import Phase
from whichpod.model.target import Backend, Target
from whichpod.probe.address import parse_address
from whichpod.probe.channels import Channels
from whichpod.probe.environment import environment
from whichpod.probe.resolve import resolved_addresses

import grpc  # after channels, which sets grpc's verbosity  # isort: skip

from whichpod.probe.calls import Call, Calls
from whichpod.probe.limits import check_limits, no_threads
from whichpod.probe.methods import MethodCalls
from whichpod.probe.pace import closed_loop, open_loop
from whichpod.probe.peers import Peers
from whichpod.probe.recorder import Recorder
from whichpod.probe.service_config import policy_in_force
from whichpod.probe.sockets import SocketCensus

PROGRESS_S = 0.1
SAMPLE_S = 0.25
SETTLE_S = 1.0
"""How long connections may take to come up after the warm-up before the measuring begins all the same."""
END_S = 2.0
"""How long threads may take to end once their RPCs are cancelled."""
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
    last: str = ""
    """Who answered last."""
    counts: dict[str, int] = field(default_factory=dict)
    """RPCs done per backend label."""


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
    check_limits(plan)
    parse_address(target.address)
    return _Run(target, plan, progress, stop or threading.Event()).run()


@dataclass(frozen=True, slots=True)
class _Line:
    """A channel that is open, and what does the plan's RPC on it."""

    channel: grpc.Channel
    channel_id: int
    call: Call


class _Run:
    def __init__(
        self, target: Target, plan: Plan, progress: Callable[[Progress], None] | None, stop: threading.Event
    ) -> None:
        self._target = target
        self._plan = plan
        self._progress = progress
        self._stop = stop
        self._giving_up = threading.Event()
        self._calls = MethodCalls(target, plan) if plan.method else Calls(plan)
        self._channels = Channels(target, plan)
        self._recorder = Recorder(
            target.address,
            tls=target.tls is not None,
            method=plan.method,
            timeline_s=plan.timeline_s,
            may_fail=plan.may_fail,
        )
        self._sockets = SocketCensus(target.address)
        self._peers = Peers(self._sockets)
        self._lines: list[_Line] = []
        self._open: set[grpc.Channel] = set()
        self._threads: list[threading.Thread] = []
        self._broken: BaseException | None = None

    def run(self) -> Report:
        started_at = datetime.now(UTC).isoformat(timespec="seconds")
        resolved = resolved_addresses(self._target.address)
        cpu_from: float | None = None
        try:
            self._watch([self._thread(self._prepare)])
            if self._stop.is_set():
                # Set before anything began, or in the moment that nobody looked.
                self._giving_up.set()
            if not self._giving_up.is_set():
                self._recorder.begin()
                cpu_from = time.process_time()
                self._measure()
        except KeyboardInterrupt:
            self._stop.set()
        finally:
            cpu_s = 0.0 if cpu_from is None else time.process_time() - cpu_from
            self._end()
        if self._broken:
            raise self._broken
        reason: EndReason = "completed"
        if self._stop.is_set():
            reason = "interrupted"
        elif self._recorder.tally.done == 0 and not self._plan.may_fail:
            error = self._recorder.target_error
            if error:
                raise error
            reason = "target failed"
        return self._report(started_at, resolved, reason, cpu_s)

    def _prepare(self) -> None:
        if isinstance(self._calls, MethodCalls):
            # On a channel of its own, which is not among those that are counted.
            channel = self._channels.make()
            self._open.add(channel)
            self._calls.learn(channel)
            channel.close()
        if not self._plan.new_connection_per_request:
            self._lines = [self._line() for _ in range(self._plan.channels)]
        for sequence in range(self._plan.warmup):
            if self._giving_up.is_set() or self._recorder.hopeless.is_set():
                return
            self._send(sequence, sequence % self._plan.channels, 0, warm=True)
        if self._plan.warmup:
            self._settle()

    def _settle(self) -> None:
        # round_robin rebuilds its picker while connections come up, which costs the first RPCs their turn.
        end, calm_since = time.monotonic() + SETTLE_S, 0.0
        while (now := time.monotonic()) < end and not self._giving_up.is_set():
            if not self._sockets.settled():
                calm_since = 0.0
            elif not calm_since:
                calm_since = now
            elif now - calm_since > 0.05:
                return
            self._giving_up.wait(0.01)

    def _measure(self) -> None:
        plan, recorder = self._plan, self._recorder
        if plan.open_loop:
            work = open_loop(plan, recorder.began_ns, self._giving_up, self._try_to_send, recorder.dropped)
        else:
            until = recorder.began_ns + round(plan.duration_s * 1e9) if plan.duration_s is not None else None
            work = closed_loop(plan, until, self._giving_up.is_set, self._send)
        self._watch([self._thread(one) for one in work], told=True)

    def _thread(self, work: Callable[[], None]) -> threading.Thread:
        thread = threading.Thread(target=self._guarded, args=(work,), name="probe", daemon=True)
        try:
            thread.start()
        except RuntimeError as error:
            raise no_threads(error) or error from None
        self._threads.append(thread)
        return thread

    def _guarded(self, work: Callable[[], None]) -> None:
        """What goes wrong in a thread is raised in the caller's."""
        try:
            work()
        except BaseException as error:
            # What fails once we have closed the channels fails for that reason.
            if not self._recorder.closed:
                self._broken = self._broken or no_threads(error) or error
            self._giving_up.set()

    def _try_to_send(self, sequence: int, channel: int, due_ns: int) -> None:
        self._guarded(lambda: self._send(sequence, channel, due_ns))

    def _watch(self, threads: list[threading.Thread], *, told: bool = False) -> None:
        """Samples and tells until the threads end; cuts them short where nothing is to be gained."""
        sample_at = tell_at = 0.0
        for thread in threads:
            while thread.is_alive():
                thread.join(PROGRESS_S / 4)
                now = time.monotonic()
                if told and now >= tell_at:
                    self._tell()
                    tell_at = now + PROGRESS_S
                if now >= sample_at:
                    self._sockets.sample()
                    # A sample of many connections takes long; it may take a tenth of the time at most.
                    sample_at = time.monotonic() + max(SAMPLE_S, 10 * (time.monotonic() - now))
                if self._stop.is_set() or self._recorder.hopeless.is_set() or self._broken:
                    self._giving_up.set()
                    _join(threads, GRACE_S)
                    return
        if told:
            self._tell()

    def _line(self) -> _Line:
        channel, channel_id = self._sockets.adopt(self._channels.make)
        self._open.add(channel)
        if self._recorder.closed:
            channel.close()
        return _Line(channel, channel_id, self._calls.on(channel))

    def _retire(self, line: _Line) -> None:
        self._sockets.sample()
        line.channel.close()
        self._sockets.disown(line.channel_id)
        self._peers.forget(line.channel_id)
        self._open.discard(line.channel)

    def _send(self, sequence: int, channel: int, due_ns: int, *, warm: bool = False) -> None:
        """Does one RPC and records its end."""
        recorder = self._recorder
        phase: Phase = "warmup" if warm else "measure"
        once = self._line() if self._plan.new_connection_per_request else None
        line = once or self._lines[channel]
        sent = time.monotonic_ns()
        due = due_ns or sent
        try:
            if not warm and not recorder.started(sent - due):
                return
            answer = line.call()
        except grpc.RpcError as error:
            ended = time.monotonic_ns()
            blamed = self._by_peer(line) or self._calls.blamed(error)
            recorder.failed(sequence, due, sent, ended, channel, error, blamed, phase)
        else:
            ended = time.monotonic_ns()
            backend = self._by_peer(line) or answer.backend
            recorder.done(sequence, due, sent, ended, channel, answer, backend, phase)
        finally:
            if once:
                self._retire(once)

    def _by_peer(self, line: _Line) -> Backend | None:
        return self._peers.told(line.channel_id) if self._plan.identify == PEER else None

    def _tell(self) -> None:
        if self._progress:
            done, failed = self._recorder.counts()
            elapsed = (time.monotonic_ns() - self._recorder.began_ns) / 1e9
            counts = self._recorder.counts_by_label()
            total = self._plan.requests
            self._progress(Progress(done, failed, total, elapsed, self._recorder.last, counts))

    def _end(self) -> None:
        """Closes everything, which cancels what is in flight, and leaves no thread behind."""
        self._giving_up.set()
        self._recorder.close()
        if self._lines:
            self._sockets.sample()
        for channel in tuple(self._open):
            channel.close()
        _join(self._threads, END_S)

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
            timeline=recorder.timeline,
        )


def _join(threads: list[threading.Thread], seconds: float) -> None:
    end = time.monotonic() + seconds
    for thread in threads:
        thread.join(max(0.0, end - time.monotonic()))
