"""A Service's own traffic: who is behind it, and what their counters say, without a single RPC of ours."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime

from whichpod.cluster.kubernetes.api import Api, Document
from whichpod.cluster.kubernetes.behind import Behind
from whichpod.cluster.kubernetes.kinds import POD, SERVICE
from whichpod.cluster.kubernetes.scrape import AT_ONCE, Metrics, Scrape, read_all, scrape_of
from whichpod.cluster.kubernetes.service import Endpoint, FoundService
from whichpod.cluster.kubernetes.traffic import PodId, Source, Traffic, telling
from whichpod.model.errors import ClusterError
from whichpod.model.plan import Plan
from whichpod.model.report import Report
from whichpod.model.tally import Tally
from whichpod.model.target import Target

_NO_SIDECAR = "it has no sidecar, and the other pods' RPCs are counted by theirs"
_LATE = "it could not be read at the beginning"


@dataclass(slots=True)
class Round:
    """What one look at all pods brought. `observed.conclude` judges it."""

    number: int
    """From 1, which the others are held against."""
    report: Report
    """Its tally is of all pods."""
    source: Source | None
    unread: dict[str, str] = field(default_factory=dict)
    """Pods that take traffic and can't be compared for want of counters, and why."""
    passing: dict[str, int] = field(default_factory=dict)
    """Pods that took traffic only for a part of the time, and their RPCs."""
    compared: Tally = field(default_factory=Tally)
    """Of the pods that were ready, and read, from the first round to this one."""
    members: tuple[str, ...] = ()
    """Those pods."""
    spec: Document = field(default_factory=dict)
    """The Service's."""
    others: int = 0
    """Endpoints that are no pods."""
    plaintext: int = 0
    """RPCs from outside the mesh, where sidecars count."""
    other_services: tuple[str, ...] = ()
    """What the sidecars counted RPCs for instead."""
    lost: ClusterError | None = None
    """Why the watch ended before its time."""


class Observer:
    """Looks at a Service's pods again and again."""

    def __init__(
        self, api: Api, service: FoundService, metrics: Metrics, behind: Behind, spec: Document
    ) -> None:
        self.behind = behind
        self._api = api
        self._service = service
        self._metrics = metrics
        self._spec = spec
        self._traffic = Traffic(service.name)
        self._rounds = 0
        self._began = 0.0
        self._started_at = ""
        self._pods: dict[str, Document] = {}
        self._old: set[str] = set()
        """Pods that were there at the first round, by uid."""
        self._first: dict[str, str] = {}
        """Pods that were read at the first round: uid by name."""
        self._at_first: set[str] = set()
        """Those that took traffic then."""
        self._ever: set[str] = set()

    @classmethod
    @asynccontextmanager
    async def of(cls, api: Api, service: FoundService, metrics: Metrics) -> AsyncIterator[Observer]:
        """Follows the Service's endpoints while it is entered."""
        found = await api.get(SERVICE, service.name, service.namespace)
        async with Behind.following(api, service.name, service.namespace) as behind:
            yield cls(api, service, metrics, behind, (found or {}).get("spec") or {})

    async def look(self) -> Round:
        """Reads every ready pod's counters. What a round reads counts as a whole, or not at all.

        Raises ForbiddenError where pods can't be read at all, ClusterError where the endpoints can't be
        followed, or at the first round no pod could be read.
        """
        if self.behind.error:
            raise self.behind.error
        began, now_ns = time.monotonic(), time.monotonic_ns()
        ready = self.behind.ready
        await self._learn(ready)
        scrapes: dict[str, Scrape] = {}
        unread: dict[str, str] = {}
        for name in ready:
            pod = self._pods.get(name)
            scrape = scrape_of(pod, self._metrics) if pod else None
            if scrape:
                scrapes[name] = scrape
            else:
                unread[name] = "it does not say where its metrics are" if pod else "it is gone"
        texts, failures = await read_all(self._api, self._service.namespace, scrapes)
        unread |= failures
        if not texts and not self._rounds:
            pod_name, why = next(iter(sorted(unread.items())), ("It", "there is none"))
            raise ClusterError(
                f"No pod of {self._service.name} could be read. {pod_name}: {why}",
                fix="Say where their metrics are: --metrics-port, --metrics-path.",
            )
        read = self._take(ready, scrapes, texts, unread, now_ns)
        if not self._rounds:
            self._began, self._first, self._at_first = began, read, set(ready)
            self._started_at = datetime.now(UTC).isoformat(timespec="seconds")
        self._ever |= read.keys()
        self._rounds += 1
        return self._round(ready, read, unread, began - self._began)

    def _take(
        self,
        ready: Mapping[str, Endpoint],
        scrapes: Mapping[str, Scrape],
        texts: Mapping[str, str],
        unread: dict[str, str],
        now_ns: int,
    ) -> dict[str, str]:
        """Counts what was read; the uids of the pods it is of, by name."""
        read: dict[str, str] = {}
        # The most telling counters decide which are read.
        for name, text in sorted(texts.items(), key=lambda item: telling(item[1])):
            if self._traffic.source is Source.SIDECAR and not scrapes[name].merged:
                unread[name] = _NO_SIDECAR
                continue
            pod, endpoint = self._pods[name], ready[name]
            uid = _uid(pod)
            identity = PodId(uid, name, endpoint.ip, self._service.namespace, endpoint.node)
            try:
                self._traffic.observe(identity, text, now_ns, new=uid not in self._old)
            except ClusterError as e:
                unread[name] = e.message
            else:
                read[name] = uid
        return read

    async def _learn(self, ready: Iterable[str]) -> None:
        """Looks at the pods that aren't known yet, or may be other ones under the same name."""
        names = [name for name in ready if name not in self._pods or not self.behind.stayed(name)]
        selector = self._spec.get("selector") or {}
        if names and selector and (len(names) > 1 or not self._rounds):
            labels = ",".join(f"{key}={value}" for key, value in selector.items())
            listed = await self._api.objects(POD, self._service.namespace, labels=labels)
            self._pods |= {str(pod["metadata"]["name"]): pod for pod in listed}
            names = [name for name in names if name not in {pod["metadata"]["name"] for pod in listed}]
        room = asyncio.Semaphore(AT_ONCE)

        async def one(name: str) -> None:
            async with room:
                pod = await self._api.get(POD, name, self._service.namespace)
            if pod:
                self._pods[name] = pod
            else:
                self._pods.pop(name, None)

        await asyncio.gather(*map(one, names))
        if not self._rounds:
            # With those that aren't ready yet: their counters are from before, all the same.
            self._old = {_uid(pod) for pod in self._pods.values()}

    def _round(
        self,
        ready: Mapping[str, Endpoint],
        read: Mapping[str, str],
        unread: Mapping[str, str],
        duration_s: float,
    ) -> Round:
        service, traffic = self._service, self._traffic
        steady = {name for name in self._at_first if self.behind.stayed(name)}
        members = {name: uid for name, uid in self._first.items() if name in steady and read.get(name) == uid}
        tally = traffic.tally
        counts = {label: entry.done + entry.failed for label, entry in tally.by_label().items()}
        passing = {name: counts.get(name, 0) for name in sorted(self._ever - steady)}
        missing = {
            name: unread.get(name, _LATE)
            for name in sorted(ready)
            if name not in members and name not in passing
        }
        return Round(
            self._rounds,
            Report(
                Target(
                    f"{service.name}.{service.namespace}:{service.port}",
                    known=tuple(sorted({*ready, *self._ever})),
                    known_by="endpoints",
                ),
                Plan(requests=None, duration_s=max(duration_s, 1e-9)),
                tally,
                started_at=self._started_at,
                duration_s=duration_s,
                tool="watch",
            ),
            traffic.source,
            missing,
            passing,
            traffic.tally_of(set(members.values())),
            tuple(sorted(members)),
            self._spec,
            self.behind.others,
            round(traffic.plaintext),
            tuple(sorted(traffic.other_services)),
        )


async def observe(
    api: Api,
    service: FoundService,
    metrics: Metrics,
    *,
    for_s: float,
    every_s: float,
    each: Callable[[Round], None] | None = None,
) -> Round:
    """Looks every `every_s` for `for_s` seconds (0: until cancelled) and returns the last round.

    Cancelled, it returns what there is; its end reason is "interrupted" unless it was to go on until then.
    So it does where the cluster is lost after the first round: see `Round.lost`. Before, it raises what
    `Observer.look` raises.
    """
    last: Round | None = None
    loop = asyncio.get_running_loop()
    try:
        async with Observer.of(api, service, metrics) as observer:
            began = loop.time()
            due = began
            while True:
                last = await observer.look()
                if each:
                    each(last)
                # What came is told by two rounds at least, however long the first one took.
                if for_s and last.number > 1 and loop.time() - began >= for_s:
                    return last
                # A round that took longer than it may is followed by the next at once.
                due = max(due + every_s, loop.time())
                if for_s:
                    due = min(due, began + for_s)
                await asyncio.sleep(max(0.0, due - loop.time()))
    except asyncio.CancelledError:
        if last is None:
            raise
        if for_s:
            last.report.end_reason = "interrupted"
        return last
    except ClusterError as e:
        if last is None:
            raise
        last.lost, last.report.end_reason = e, "target failed"
        return last


def _uid(pod: Document) -> str:
    return str(pod["metadata"].get("uid") or pod["metadata"]["name"])


__all__ = ["Metrics", "Observer", "Round", "observe"]
