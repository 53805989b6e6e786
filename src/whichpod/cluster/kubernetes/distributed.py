"""The load engine in many pods at once: they start together, and what they counted becomes one report."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from whichpod.cluster.kubernetes.api import Api
from whichpod.cluster.kubernetes.clients import Clients, Outcome
from whichpod.cluster.kubernetes.cluster import KubernetesCluster
from whichpod.cluster.kubernetes.errand import Mesh, home_of, meshed
from whichpod.cluster.kubernetes.jobs import GRACE_S, client_job
from whichpod.cluster.kubernetes.lab import PROGRESS_S, longest_s
from whichpod.cluster.kubernetes.names import INJECT
from whichpod.cluster.kubernetes.service import FoundService
from whichpod.cluster.kubernetes.task import Task
from whichpod.load.call import Call
from whichpod.load.progress import LoadProgress
from whichpod.load.saturation import saturation_of
from whichpod.model.codec import from_json
from whichpod.model.errors import ClusterError, UsageError
from whichpod.model.plan import Arrivals, Plan
from whichpod.model.report import EndReason, Evidence, Report, WorkerLoad
from whichpod.model.tally import Tally
from whichpod.model.target import Target

GATE = 15999
"""Where workers wait to be told to begin: none of Istio's own (istio.io, Ports used by Istio)."""
MOST_WORKERS = 500
LEAD_S = 1.0
"""Workers begin so long after the first was told, at least; telling one takes some hundredths of a second."""
TELL_S = 0.1
"""What telling one may take; the lead grows with the number of workers."""
AT_ONCE = 16


@dataclass(slots=True)
class Load:
    """What a distributed run is made of."""

    service: FoundService
    target: Target
    plan: Plan
    """Of all workers together: requests and rate are divided among them, connections are each one's own."""
    call: Call | None
    workers: int
    mesh: Mesh = "auto"
    ready_timeout_s: float = 180.0

    def check(self) -> None:
        """Raises UsageError for what can't be divided or run."""
        self.plan.check()
        if not 1 <= self.workers <= MOST_WORKERS:
            raise UsageError(
                f"--workers {self.workers} makes no sense.", fix=f"It takes 1 to {MOST_WORKERS}."
            )
        if self.plan.requests is not None and self.plan.requests < self.workers:
            raise UsageError(
                f"{self.plan.requests} requests can't be divided among {self.workers} workers.",
                fix="Give more --requests, or fewer --workers.",
            )
        if self.target.tls and (self.target.tls.ca_file or self.target.tls.cert_file):
            raise UsageError(
                "The workers have none of this machine's files, so no certificates of your own.",
                fix="Use --tls with roots that the image trusts, or a mesh.",
            )


async def bench(
    cluster: KubernetesCluster,
    load: Load,
    *,
    says: Callable[[str], None],
    progress: Callable[[LoadProgress], None] | None = None,
) -> Report:
    """Runs the load and returns one report, with a line of saturation for each worker.

    A worker that is lost (evicted, out of memory, its node gone) is reported with its cause and leaves the
    others going; what it had counted is missing. Cancelled, the workers end and report what they have.
    Raises UsageError and ClusterError as the parts do, TargetError where no worker could do one RPC.
    """
    load.check()
    inside = meshed(cluster, load.mesh)
    facts, settings = cluster.facts, cluster.settings
    service = load.service
    known = load.target.known or service.known(by_peer=bool(load.plan.method) and not load.plan.identify)
    address = service.address()
    aim = replace(
        load.target,
        address=address,
        # The engine dials what the name stands for, and the name is what proxies route by.
        authority=load.target.authority or address.rpartition("/")[2],
        known=known,
        known_by=load.target.known_by or "endpoints",
    )
    longest = longest_s(load.plan)
    waiting = load.ready_timeout_s
    task = Task(
        "bench", aim, load.plan, load.call, longest + waiting, PROGRESS_S, gate=GATE, workers=load.workers
    )
    async with home_of(cluster, sidecar=inside, says=says) as home:
        job = client_job(
            settings.run,
            "bench",
            home.name,
            settings.image,
            meshed=inside,
            native_sidecars=facts.native_sidecars,
            revision=facts.revision,
            parallelism=load.workers,
            indexed=True,
            per_index=facts.per_index,
            deadline_s=longest + 2 * waiting + GRACE_S,
            pull_policy=settings.pull_policy,
            gate=GATE,
            env=task.env(),
        )
        if not facts.istio:
            del job["spec"]["template"]["metadata"]["labels"][INJECT]
        told = _Progress(progress)
        clients = Clients(
            cluster.api,
            job,
            meshed=inside,
            ready_timeout_s=load.ready_timeout_s,
            says=says,
            progress=told.heard if progress else None,
        )
        outcomes = await clients.run(at_gate=_opener(cluster.api, home.name, load, says))
    report = merged(aim, load.plan, outcomes, load.workers)
    report.environment |= cluster.environment() | {
        "client": f"{load.workers} pods of a Job" + (" in the mesh" if inside else ""),
        "service": f"{service.name}.{service.namespace}:{service.port}",
    }
    return report


def merged(target: Target, plan: Plan, outcomes: Sequence[Outcome], workers: int) -> Report:
    """One report of what the workers reported. Raises the first one's error where none did.

    Connections and channels keep apart: those of two workers may have the same numbers.
    """
    reports = [(o, o.report) for o in outcomes if o.report]
    if not reports:
        if not outcomes:
            raise asyncio.CancelledError  # told to end before anything began
        error = next(o.error for o in outcomes if o.error)
        raise error
    tally = Tally()
    loads: list[WorkerLoad] = []
    for outcome, report in reports:
        tally.merge(_numbered(report.tally, outcome.index))
        loads += report.saturation.workers
    for outcome in outcomes:
        if outcome.error:
            loads.append(WorkerLoad(lost=True, cause=f"{outcome.pod}: {_brief(outcome.error.message)}"))
    for number in range(len(outcomes), workers):
        loads.append(WorkerLoad(lost=True, cause=f"worker {number + 1} never ran"))
    errors = [r.evidence.first_error for _, r in reports if r.evidence.first_error]
    ends = {report.end_reason for _, report in reports}
    reason: EndReason = "completed"
    if "interrupted" in ends:
        reason = "interrupted"
    elif ends == {"target failed"}:
        reason = "target failed"
    return Report(
        target,
        plan,
        tally,
        evidence=Evidence(
            resolved=tuple(dict.fromkeys(a for _, r in reports for a in r.evidence.resolved)),
            connections_open=sum(r.evidence.connections_open for _, r in reports),
            connections_opened=sum(r.evidence.connections_opened for _, r in reports),
            remote_peers=tuple(dict.fromkeys(a for _, r in reports for a in r.evidence.remote_peers)),
            policy=next((r.evidence.policy for _, r in reports if r.evidence.policy), ""),
            first_error=errors[0] if errors else "",
        ),
        saturation=saturation_of(plan, tally, loads),
        environment=_environment([r.environment for _, r in reports]),
        started_at=min(r.started_at for _, r in reports),
        duration_s=max(r.duration_s for _, r in reports),
        end_reason=reason,
        tool="bench",
    )


def _numbered(tally: Tally, worker: int) -> Tally:
    """The tally with the numbers of its channels and connections made the worker's own."""
    found = replace(tally)
    found.channels = {worker * 1_000_000 + c: counts for c, counts in tally.channels.items()}
    found.connections = {f"{worker}/{c}": counts for c, counts in tally.connections.items()}
    return found


def _environment(all_of_them: Sequence[Mapping[str, str]]) -> dict[str, str]:
    """What the workers agree on; where they stood, all of it."""
    found = dict(all_of_them[0])
    nodes = sorted({e["client node"] for e in all_of_them if e.get("client node")})
    found.pop("client pod", None)
    if nodes:
        found["client node"] = ", ".join(nodes)
    return found


def _brief(message: str) -> str:
    return message.partition(" was lost: ")[2].rstrip(".") or message.rstrip(".")


def _opener(
    api: Api, namespace: str, load: Load, says: Callable[[str], None]
) -> Callable[[list[str]], Awaitable[None]]:
    async def open_gates(pods: list[str]) -> None:
        """All begin at one moment, or those with a constant rate one after another within a beat of it."""
        says(f"starting {len(pods)} workers together")
        lead = LEAD_S + TELL_S * len(pods) / AT_ONCE
        begin = time.monotonic() + lead
        beat = 0.0
        if load.plan.rate and load.plan.arrivals is Arrivals.CONSTANT:
            beat = 1.0 / load.plan.rate
        room = asyncio.Semaphore(AT_ONCE)
        failed: list[ClusterError] = []

        async def tell(number: int, pod: str) -> None:
            async with room:
                left = max(0.0, begin + number * beat - time.monotonic())
                try:
                    await api.proxy_get(pod, namespace, GATE, f"/go/{left:.4f}")
                except ClusterError as e:
                    failed.append(e)

        await asyncio.gather(*(tell(number, pod) for number, pod in enumerate(sorted(pods))))
        if len(failed) == len(pods):
            raise failed[0]
        says("sending")

    return open_gates


@dataclass(slots=True)
class _Progress:
    """All workers' progress as one."""

    tell: Callable[[LoadProgress], None] | None
    _last: dict[int, LoadProgress] = field(default_factory=dict)

    def heard(self, worker: int, said: dict[str, Any]) -> None:
        try:
            self._last[worker] = from_json(LoadProgress, said)
        except ValueError:
            return  # an image of another version may say it differently
        known = self._last.values()
        counts: dict[str, int] = {}
        for one in known:
            for label, count in one.counts.items():
                counts[label] = counts.get(label, 0) + count
        if self.tell:
            totals = [p.total for p in known]
            self.tell(
                LoadProgress(
                    max(p.elapsed_s for p in known),
                    sum(p.done for p in known),
                    sum(p.failed for p in known),
                    sum(p.rps for p in known),
                    None if None in totals else sum(t for t in totals if t),
                    counts,
                )
            )
