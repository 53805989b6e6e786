"""A Service's own traffic: who is behind it, and what their counters say, without a single RPC of ours."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

from whichpod.cluster.kubernetes.api import Api, Document
from whichpod.cluster.kubernetes.errors import ApiError, ForbiddenError
from whichpod.cluster.kubernetes.kinds import ENDPOINT_SLICE, POD
from whichpod.cluster.kubernetes.service import SERVICE_NAME, Endpoint, FoundService, endpoints
from whichpod.cluster.kubernetes.traffic import PodId, Source, Traffic
from whichpod.cluster.kubernetes.trouble import has_sidecar
from whichpod.cluster.kubernetes.watch import watch
from whichpod.model.errors import ClusterError
from whichpod.model.plan import Plan
from whichpod.model.report import Report
from whichpod.model.target import Target

AT_ONCE = 16
"""Pods that are read at a time, each through the API server."""
SIDECAR = 15020, "/stats/prometheus"
"""Where Istio's agent gives the sidecar's counters and the application's (istio.io, Prometheus)."""
PORT, PATH = "prometheus.io/port", "prometheus.io/path"
"""Annotations of pods by which scrapers know where their metrics are."""
_NAMES = ("metrics", "http-metrics", "prometheus", "monitoring", "http-prom")
"""Of container ports that give metrics, by custom."""
_PATIENCE_S = 2.0


@dataclass(frozen=True, slots=True)
class Metrics:
    """Where a pod's metrics are, as the user says it; a port of 0: wherever the pod says."""

    port: int = 0
    path: str = "/metrics"


@dataclass(slots=True)
class Round:
    """What one look at all pods brought."""

    number: int
    report: Report
    source: Source | None
    unread: dict[str, str] = field(default_factory=dict)
    """Pods that could not be read, with why."""


class Observer:
    """Looks at a Service's pods again and again."""

    def __init__(self, api: Api, service: FoundService, metrics: Metrics) -> None:
        self._api = api
        self._service = service
        self._metrics = metrics
        self._traffic = Traffic(service.name)
        self._slices: dict[str, Document] = {}
        self._rounds = 0
        self._began = 0.0
        self._ever: set[str] = set()
        self._known = asyncio.Event()
        self._following: asyncio.Task[None] | None = None

    @classmethod
    @asynccontextmanager
    async def of(cls, api: Api, service: FoundService, metrics: Metrics) -> AsyncIterator[Observer]:
        """Follows the Service's endpoints while it is entered."""
        this = cls(api, service, metrics)
        this._following = asyncio.create_task(this._follow())
        try:
            yield this
        finally:
            this._following.cancel()
            await asyncio.gather(this._following, return_exceptions=True)

    async def look(self) -> Round:
        """Reads every ready pod's counters; what a pod gains counts from the first round that had it.

        Raises ForbiddenError where pods can't be read at all, ClusterError where the endpoints can't be
        followed, or no pod has counters of RPCs.
        """
        await self._endpoints_known()
        found = [e for e in endpoints(self._slices.values()) if e.ready and e.pod]
        pods = {d["metadata"]["name"]: d for d in await self._api.objects(POD, self._service.namespace)}
        now = time.time_ns()
        self._began = self._began or now / 1e9
        texts, unread = await self._texts(found, pods)
        for endpoint in found:
            if endpoint.pod in texts:
                self._ever.add(endpoint.pod)
                self._observe(endpoint, pods[endpoint.pod], texts[endpoint.pod], now, unread)
        self._rounds += 1
        if self._traffic.source is None and len(unread) == len(found):
            first = next(iter(unread.items()), ("", "there is none"))
            raise ClusterError(
                f"No pod of {self._service.name} could be read. {first[0]}: {first[1]}",
                fix="Say where their metrics are: --metrics-port, --metrics-path.",
            )
        return Round(self._rounds, self._report(found, now), self._traffic.source, unread)

    async def _follow(self) -> None:
        labels = f"{SERVICE_NAME}={self._service.name}"
        async for change in watch(self._api, ENDPOINT_SLICE, self._service.namespace, labels=labels):
            name = change.document["metadata"]["name"]
            if change.type == "DELETED":
                self._slices.pop(name, None)
            else:
                self._slices[name] = change.document
            self._known.set()

    async def _endpoints_known(self) -> None:
        assert self._following is not None
        waiting = asyncio.create_task(self._known.wait())
        await asyncio.wait({waiting, self._following}, return_when=asyncio.FIRST_COMPLETED)
        waiting.cancel()
        if self._following.done():
            self._following.result()

    async def _texts(
        self, found: list[Endpoint], pods: Mapping[str, Document]
    ) -> tuple[dict[str, str], dict[str, str]]:
        room = asyncio.Semaphore(AT_ONCE)
        texts: dict[str, str] = {}
        unread: dict[str, str] = {}

        async def one(endpoint: Endpoint) -> None:
            pod = pods.get(endpoint.pod)
            if pod is None:
                unread[endpoint.pod] = "it is gone"
                return
            where = place(pod, self._metrics)
            if where is None:
                unread[endpoint.pod] = "it does not say where its metrics are"
                return
            async with room:
                try:
                    body = await self._api.proxy_get(
                        endpoint.pod, self._service.namespace, *where, patience_s=_PATIENCE_S
                    )
                except ForbiddenError:
                    raise
                except ApiError as e:
                    unread[endpoint.pod] = f"port {where[0]}: {e.message}"
                    return
            texts[endpoint.pod] = body.decode(errors="replace")

        await asyncio.gather(*map(one, found))
        return texts, dict(sorted(unread.items()))

    def _observe(
        self, endpoint: Endpoint, pod: Document, text: str, now: int, unread: dict[str, str]
    ) -> None:
        metadata = pod["metadata"]
        identity = PodId(
            str(metadata.get("uid") or endpoint.pod),
            endpoint.pod,
            endpoint.ip,
            self._service.namespace,
            endpoint.node,
        )
        try:
            self._traffic.observe(identity, text, now)
        except ClusterError as e:
            unread[endpoint.pod] = e.message

    def _report(self, found: list[Endpoint], now: int) -> Report:
        service = self._service
        known = tuple(sorted({e.pod for e in found} | self._ever))
        return Report(
            Target(f"{service.name}.{service.namespace}:{service.port}", known=known, known_by="endpoints"),
            Plan(requests=None),
            self._traffic.tally,
            duration_s=now / 1e9 - self._began,
            tool="watch",
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
                if for_s and loop.time() - began >= for_s:
                    return last
                due = max(due + every_s, loop.time())
                if for_s:
                    due = min(due, began + for_s)
                await asyncio.sleep(due - loop.time())
    except asyncio.CancelledError:
        if last is None:
            raise
        if for_s:
            last.report.end_reason = "interrupted"
        return last


def place(pod: Mapping[str, Any], metrics: Metrics) -> tuple[int, str] | None:
    """Port and path of a pod's metrics: the user's word, the sidecar's, the pod's own; None for none."""
    if metrics.port:
        return metrics.port, metrics.path
    if has_sidecar(pod):
        return SIDECAR
    annotations = pod["metadata"].get("annotations") or {}
    with suppress(ValueError):
        if annotations.get(PORT):
            return int(annotations[PORT]), annotations.get(PATH) or metrics.path
    for container in (pod.get("spec") or {}).get("containers") or ():
        for port in container.get("ports") or ():
            if port.get("name") in _NAMES:
                return int(port["containerPort"]), metrics.path
    return None
