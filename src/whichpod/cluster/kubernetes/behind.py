"""Which pods take a Service's traffic, as that changes: by a watch of its EndpointSlices."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from whichpod.cluster.kubernetes.api import Api, Document
from whichpod.cluster.kubernetes.kinds import ENDPOINT_SLICE
from whichpod.cluster.kubernetes.service import SERVICE_NAME, Endpoint, endpoints
from whichpod.cluster.kubernetes.watch import watch
from whichpod.model.errors import ClusterError

GAP_S = 1.0
"""Absences that mean nothing: an endpoint may be in no slice for a moment while it moves to another."""


class Behind:
    """A Service's endpoints. Made by `following`."""

    def __init__(self, slices: list[Document]) -> None:
        self._slices = {str(s["metadata"]["name"]): s for s in slices}
        self._absent: dict[str, float] = {}
        self._left: set[str] = set()
        self._ready: dict[str, Endpoint] = {}
        self.others = 0
        """Ready endpoints that are no pods."""
        self.error: ClusterError | None = None
        """Why nothing more is heard."""
        self._take()

    @classmethod
    @asynccontextmanager
    async def following(cls, api: Api, service: str, namespace: str) -> AsyncIterator[Behind]:
        """Follows the slices while it is entered. Raises what `Api` raises where they can't be listed."""
        labels = f"{SERVICE_NAME}={service}"
        found = cls(await api.objects(ENDPOINT_SLICE, namespace, labels=labels))

        async def follow() -> None:
            try:
                async for change in watch(api, ENDPOINT_SLICE, namespace, labels=labels):
                    name = str(change.document["metadata"]["name"])
                    if change.type == "DELETED":
                        found._slices.pop(name, None)
                    else:
                        found._slices[name] = change.document
                    found._take()
            except ClusterError as e:
                found.error = e

        task = asyncio.create_task(follow())
        try:
            yield found
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    @property
    def ready(self) -> dict[str, Endpoint]:
        """The pods that take traffic now, by name."""
        return dict(self._ready)

    def stayed(self, pod: str) -> bool:
        """Whether a pod that was ready once has been ready ever since."""
        absent = self._absent.get(pod)
        return pod not in self._left and (absent is None or time.monotonic() - absent <= GAP_S)

    def _take(self) -> None:
        now = time.monotonic()
        found = [e for e in endpoints(self._slices.values()) if e.ready]
        self.others = sum(not e.pod for e in found)
        ready = {e.pod: e for e in found if e.pod}
        for name in self._ready:
            if name not in ready:
                self._absent[name] = now
        for name in ready:
            if now - self._absent.pop(name, now) > GAP_S:
                self._left.add(name)
        self._ready = ready
