"""The load engine in many pods at once: they start together, and what they counted becomes one report."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

from whichpod.cluster.kubernetes.api import Api
from whichpod.cluster.kubernetes.clients import Clients, Outcome
from whichpod.cluster.kubernetes.cluster import KubernetesCluster
from whichpod.cluster.kubernetes.errand import Mesh, home_of, meshed
from whichpod.cluster.kubernetes.gate import LONGEST_S
from whichpod.cluster.kubernetes.heard import told
from whichpod.cluster.kubernetes.jobs import GRACE_S, client_job
from whichpod.cluster.kubernetes.kinds import POD
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
"""Workers begin so long after the first was told, at least; with many, or a slow API server, it is more."""
AT_ONCE = 16
"""Workers that are told at a time."""
_PAUSE_S = 0.1

T = TypeVar("T")


@dataclass(slots=True)
class Load:
    """What a distributed run is made of."""

    service: FoundService | None
    """None: the target's own address is loaded."""
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
    aim = _aim(load, service) if service else load.target
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
        heard = Heard(progress)
        clients = Clients(
            cluster.api,
            job,
            meshed=inside,
            ready_timeout_s=load.ready_timeout_s,
            says=says,
            progress=heard.heard,
        )
        outcomes = await clients.run(at_gate=_opener(cluster.api, home.name, load, says))
    report = merged(aim, load.plan, outcomes, load.workers, heard.ended)
    report.environment |= cluster.environment() | {
        "client": f"{load.workers} pods of a Job" + (" in the mesh" if inside else ""),
    }
    if service:
        report.environment["service"] = f"{service.name}.{service.namespace}:{service.port}"
    return report


def _aim(load: Load, service: FoundService) -> Target:
    target, plan, address = load.target, load.plan, service.address()
    return replace(
        target,
        address=address,
        # The engine dials what the name stands for, and the name is what proxies route by.
        authority=target.authority or address.rpartition("/")[2],
        known=target.known or service.known(by_peer=bool(plan.method) and not plan.identify),
        known_by=target.known_by or "endpoints",
    )


def merged(
    target: Target,
    plan: Plan,
    outcomes: Sequence[Outcome],
    workers: int,
    heard: Mapping[int, int] | None = None,
) -> Report:
    """One report of what the workers reported; `heard` is how many RPCs each last said to have ended.
    Raises the first one's error where none reported.

    Connections and channels keep apart: those of two workers may have the same numbers.
    """
    reports = [(o, o.report) for o in outcomes if o.report]
    if not reports:
        if not outcomes:
            raise asyncio.CancelledError  # told to end before anything began
        raise told(next(o.error for o in outcomes if o.error), (o.said for o in outcomes))
    tally = Tally()
    loads: list[WorkerLoad] = []
    by_index = {outcome.index: outcome for outcome in outcomes}
    for index in range(workers):
        outcome = by_index.get(index)
        if outcome and outcome.report:
            tally.merge(_numbered(outcome.report.tally, index))
            loads += outcome.report.saturation.workers or (WorkerLoad(),)
        else:
            loads.append(_lost(outcome, (heard or {}).get(index, 0)))
    errors = [r.evidence.first_error for _, r in reports if r.evidence.first_error]
    ends = {report.end_reason for _, report in reports}
    reason: EndReason = "completed"
    if "interrupted" in ends:
        reason = "interrupted"
    elif ends == {"target failed"}:
        reason = "target failed"
    return Report(
        target,
        replace(plan, workers=workers),
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


def _lost(outcome: Outcome | None, ended: int) -> WorkerLoad:
    cause = "its pod never ran"
    if outcome and outcome.error:
        cause = f"{outcome.pod}: {_brief(outcome.error.message)}"
    if ended:
        cause += f"; {ended:,} RPCs that it had done aren't counted"
    return WorkerLoad(rpcs=ended, lost=True, cause=cause)


def _brief(message: str) -> str:
    return message.partition(" was lost: ")[2].rstrip(".") or message.rstrip(".")


def _opener(
    api: Api, namespace: str, load: Load, says: Callable[[str], None]
) -> Callable[[list[str]], Awaitable[None]]:
    room = asyncio.Semaphore(AT_ONCE)

    async def reached(pod: str) -> float | None:
        """How long the way to a worker takes, in s; None for one that is lost meanwhile."""
        async with room:
            began = time.monotonic()
            try:
                await api.proxy_get(pod, namespace, GATE, "/ready")
            except ClusterError:
                if await _alive(api, pod, namespace):
                    raise
                return None
            return time.monotonic() - began

    async def tell(pod: str, begin: float) -> None:
        """Tells a worker how long it has to wait; each time that this is tried, with what is left of it."""
        patience_s = api.connection.patience_s
        async with room:
            while True:
                left = max(0.0, begin - time.monotonic())
                try:
                    await api.proxy_get(pod, namespace, GATE, f"/go/{left:.4f}", patience_s=0.0)
                except ClusterError:
                    if not await _alive(api, pod, namespace):
                        return
                    if time.monotonic() > begin + patience_s:
                        raise
                    await asyncio.sleep(_PAUSE_S)
                else:
                    return

    async def open_gates(pods: list[str]) -> None:
        """All begin at one moment, or those with a constant rate one after another within a beat of it."""
        says(f"starting {len(pods)} workers together")
        # Nothing has begun yet, so a worker that can't be told, ends the run without harm.
        ways = await _all([reached(pod) for pod in pods])
        there = sorted(pod for pod, way in zip(pods, ways, strict=True) if way is not None)
        slowest = max((way for way in ways if way is not None), default=0.0)
        lead = LEAD_S + 2 * slowest * math.ceil(len(pods) / AT_ONCE)
        begin = time.monotonic() + min(lead, LONGEST_S / 2)
        beat = 0.0
        if load.plan.rate and load.plan.arrivals is Arrivals.CONSTANT:
            beat = 1.0 / load.plan.rate
        await _all([tell(pod, begin + number * beat) for number, pod in enumerate(there)])
        says("sending")

    return open_gates


async def _alive(api: Api, pod: str, namespace: str) -> bool:
    """Whether a pod is still to be reckoned with."""
    found = await api.get(POD, pod, namespace)
    phase = ((found or {}).get("status") or {}).get("phase")
    return found is not None and phase not in ("Failed", "Succeeded")


async def _all(work: Sequence[Coroutine[Any, Any, T]]) -> list[T]:
    """Does all of it; the first error ends the rest."""
    tasks = [asyncio.create_task(one) for one in work]
    try:
        return list(await asyncio.gather(*tasks))
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


@dataclass(slots=True)
class Heard:
    """All workers' progress as one."""

    tell: Callable[[LoadProgress], None] | None
    _last: dict[int, LoadProgress] = field(default_factory=dict)

    @property
    def ended(self) -> dict[int, int]:
        """RPCs done and failed, by worker, as last heard."""
        return {worker: said.done + said.failed for worker, said in self._last.items()}

    def heard(self, worker: int, said: dict[str, Any]) -> None:
        """Takes in what a worker says."""
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
