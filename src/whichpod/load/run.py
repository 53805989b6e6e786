"""A load run: workers are started, begin together, and their counts are merged into one report."""

from __future__ import annotations

import resource
import threading
from collections.abc import Callable, Sequence
from datetime import UTC, datetime

from whichpod.load.address import parse
from whichpod.load.call import Call, echo_call
from whichpod.load.crew import Crew
from whichpod.load.engine import Share
from whichpod.load.environment import environment
from whichpod.load.job import Job
from whichpod.load.progress import LoadProgress
from whichpod.load.saturation import saturation_of
from whichpod.model.errors import TargetError, UsageError
from whichpod.model.metadata import wire_metadata
from whichpod.model.pem import read_client
from whichpod.model.plan import Plan
from whichpod.model.report import EndReason, Evidence, Report
from whichpod.model.tally import Tally
from whichpod.model.target import Target
from whichpod.model.text import printable

MOST_STREAMS = 100_000
SPARE_FILES = 64
MOST_WORKERS = 256
MOST_RATE = 1_000_000.0
"""RPCs per second of one worker: far more than it can send, and what it can keep account of."""


def bench(
    target: Target,
    plan: Plan,
    call: Call | None = None,
    *,
    addresses: Sequence[str],
    progress: Callable[[LoadProgress], None] | None = None,
    stop: threading.Event | None = None,
    gate: Callable[[], None] | None = None,
) -> Report:
    """Loads `addresses` (IP:port, [v6]:port or unix:/path, each a server or a balancer) by the plan and
    returns what was measured, not judged. RPCs go round robin over the addresses, `plan.connections` to each
    with `plan.concurrency` streams. Without a call it is the echo service's, with `plan.payload_size` bytes.

    Set `stop`, or raise KeyboardInterrupt in the calling thread, and the report of what there is comes with
    the end reason "interrupted". `gate` is called once all connections are up, and the run begins when it
    returns: so that runs in several places begin together.

    Raises UsageError, before anything starts, for a plan, address, TLS file or metadata that makes no sense;
    TargetError where no connection comes up, or no RPC could be done for want of one.
    """
    jobs = jobs_of(target, plan, call or echo_call(bytes(plan.payload_size)), addresses)
    started_at = datetime.now(UTC).isoformat(timespec="seconds")
    with Crew(jobs, progress, stop or threading.Event(), gate) as crew:
        try:
            crew.run()
        except KeyboardInterrupt:
            crew.interrupt()
    return _report(target, plan, addresses, crew, started_at)


def jobs_of(target: Target, plan: Plan, call: Call, addresses: Sequence[str]) -> list[Job]:
    """Each worker's part. Raises UsageError for what can't be run."""
    check(plan, addresses)
    wire_metadata(plan.metadata)
    if target.tls is not None:
        read_client(target.tls)
    lines = list(enumerate(list(addresses) * plan.connections))
    return [
        Job(
            plan,
            call,
            # Seeds differ, or all workers would send at the same times.
            Share(tuple(lines[i :: plan.workers]), len(lines), plan.seed + i if plan.seed else 0),
            target.authority or authority_of(target.address, addresses[0]),
            target.tls,
        )
        for i in range(plan.workers)
    ]


def check(plan: Plan, addresses: Sequence[str]) -> None:
    """Raises UsageError where the plan can't be run against these addresses."""
    plan.check()
    if not addresses:
        raise UsageError("There is no address to load.", fix="Give one like 10.0.0.1:50051.")
    for address in addresses:
        parse(address)
    lines = len(addresses) * plan.connections
    if plan.workers > MOST_WORKERS:
        raise UsageError(f"--workers {plan.workers} are too many.", fix=f"It takes {MOST_WORKERS} at most.")
    if plan.workers > lines:
        raise UsageError(
            f"--workers {plan.workers} share {lines} connections, so some had none.",
            fix=f"Give more --connections, or --workers {lines}.",
        )
    if plan.rate is not None and plan.rate > MOST_RATE * plan.workers:
        raise UsageError(
            f"--rate {plan.rate:g} is more than {plan.workers} worker{'s' * (plan.workers > 1)} can keep.",
            fix=f"It takes {MOST_RATE:.0f} for each at most, which is more than one can send.",
        )
    if plan.concurrency > MOST_STREAMS:
        raise UsageError(
            f"--streams {plan.concurrency} are too many.", fix=f"It takes {MOST_STREAMS} at most."
        )
    allowed, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = -(-lines // plan.workers) + SPARE_FILES
    if most != resource.RLIM_INFINITY and needed > most:
        raise UsageError(
            f"{lines} connections are more than this process may open ({most} files).",
            fix="Raise the limit with ulimit -n, or use more --workers.",
        )
    if allowed != resource.RLIM_INFINITY and needed > allowed:
        # The soft limit is ours to raise; workers inherit it.
        resource.setrlimit(resource.RLIMIT_NOFILE, (needed, most))


def authority_of(target: str, address: str) -> str:
    """The :authority of a target without one of its own (gRPC Name Resolution)."""
    if target.startswith("unix"):
        return "localhost"
    if target.startswith(("ipv4:", "ipv6:")):
        return address
    return target.rpartition("/")[2] if "://" in target else target.removeprefix("dns:")


def _report(target: Target, plan: Plan, addresses: Sequence[str], crew: Crew, started_at: str) -> Report:
    results = crew.results
    tally = Tally()
    for result in results:
        tally.merge(result.tally)
    began = min((r.began_ns for r in results if r.began_ns), default=0)
    ended = max((r.ended_ns for r in results), default=0)
    duration_s = max(1e-9, (ended - began) / 1e9) if began else 1e-9
    first_error = next((r.first_error for r in results if r.first_error), "")
    down = {address: why for r in results for address, why in (r.errors or {}).items()}
    reason: EndReason = "completed"
    if crew.interrupted:
        reason = "interrupted"
    elif not tally.done or all(result.lost for result in results):
        if not tally.done and down:
            raise unreachable(target.address, down)
        reason = "target failed"
    return Report(
        target,
        plan,
        tally,
        evidence=Evidence(
            resolved=tuple(addresses),
            connections_open=crew.open,
            connections_opened=sum(result.opened for result in results),
            remote_peers=tuple(addresses),
            policy="round_robin" if len(set(addresses)) > 1 else "",
            first_error=printable(first_error or next((f"{a}: {why}" for a, why in down.items()), "")),
        ),
        saturation=saturation_of(plan, tally, crew.loads),
        environment=environment(),
        started_at=started_at,
        duration_s=duration_s,
        end_reason=reason,
        tool="bench",
    )


def unreachable(target: str, errors: dict[str, str]) -> TargetError:
    """None of the addresses could be used."""
    address, why = next(iter(errors.items()))
    where = target if target == address else f"{target} ({address})"
    if "refused" in why:
        return TargetError(
            f"Nothing listens at {where}: {why}.", fix="Is the server up, and is that its port?"
        )
    if "TLS" in why and ("wrong version" in why or "record layer" in why or "not TLS" in why):
        return TargetError(
            f"{where} does not speak TLS: {why.removeprefix('TLS: ')}.",
            fix="If it listens in plain text, leave --tls out.",
        )
    if "TLS" in why:
        return TargetError(
            f"{where} can't be reached over TLS: {why}.", fix="Check --ca, --cert and --server-name."
        )
    if "HTTP/1" in why or "SETTINGS" in why or "reset by peer" in why:
        return TargetError(f"{where} does not speak gRPC: {why}.", fix="Is it a gRPC port, without TLS?")
    return TargetError(f"{where} can't be reached: {why}.", fix="Is the server up, and is that its port?")
