"""Waits until a run's pods are ready, and says why they don't come."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from whichpod.cluster.kubernetes.api import Api, Document
from whichpod.cluster.kubernetes.explained import error_of
from whichpod.cluster.kubernetes.kinds import DAEMON_SET, ENDPOINT_SLICE, EVENT, POD, WORKLOADS, Kind
from whichpod.cluster.kubernetes.names import INJECT, ROLE, selector
from whichpod.cluster.kubernetes.trouble import Trouble, is_ready, pod_trouble, workload_trouble
from whichpod.cluster.kubernetes.watch import watch
from whichpod.model.errors import ClusterError

LOOK_S = 2.0
"""How often workloads are asked why they make no pods: that isn't written on pods."""
_SERVICE = "kubernetes.io/service-name"
_PAUSE_S = 0.1


@dataclass(slots=True)
class Pods:
    """A run's pods, as a watch tells of them."""

    wanted: dict[str, int]
    """By workload: its replicas; of a DaemonSet, one until it is known how many nodes take it."""
    selectors: Mapping[str, Mapping[str, str]]
    """By workload: what its pods' labels include."""
    kinds: Mapping[str, Kind] = field(default_factory=dict)
    """By workload."""
    known: dict[str, Document] = field(default_factory=dict)

    def of(self, workload: str) -> list[Document]:
        """The workload's pods, sorted by name, without those on their way out."""
        wanted = self.selectors[workload].items()
        return [
            pod
            for _, pod in sorted(self.known.items())
            if wanted <= (pod["metadata"].get("labels") or {}).items()
            and not pod["metadata"].get("deletionTimestamp")
        ]

    @property
    def ready(self) -> int:
        """How many are ready."""
        return sum(is_ready(pod) for name in self.wanted for pod in self.of(name))

    @property
    def total(self) -> int:
        """How many there should be."""
        return sum(self.wanted.values())

    @property
    def complete(self) -> bool:
        """Whether every workload has its pods, and all of them are ready."""
        return all(sum(map(is_ready, self.of(name))) >= count for name, count in self.wanted.items())

    def trouble(self) -> Trouble | None:
        """The worst that holds up a pod: something final, else something that may pass."""
        found = [
            trouble
            for name in self.wanted
            for pod in self.of(name)
            if not is_ready(pod) and (trouble := pod_trouble(pod, meshed=_meshed(pod)))
        ]
        return min(found, key=lambda t: not t.final, default=None)


def wanted_pods(documents: Iterable[Mapping[str, Any]]) -> Pods:
    """What the workloads among the objects will have."""
    found = [d for d in documents if d["kind"] in WORKLOADS]
    return Pods(
        {d["metadata"]["name"]: int(d["spec"].get("replicas", 1)) for d in found},
        {d["metadata"]["name"]: _labels(d) for d in found},
        {d["metadata"]["name"]: WORKLOADS[d["kind"]] for d in found},
    )


def _labels(workload: Mapping[str, Any]) -> Mapping[str, str]:
    found: Mapping[str, str] = workload["metadata"].get("labels") or {}
    if workload["kind"] != POD.kind:
        found = workload["spec"]["selector"].get("matchLabels") or {}
    return found


async def await_ready(
    api: Api, pods: Pods, *, run: str, namespace: str, within_s: float, says: Callable[[str], None]
) -> None:
    """Until all pods are ready.

    Raises ClusterError with the reason: at once for what doesn't pass by itself (an image that can't be
    pulled, a quota, an admission policy, a sidecar that was not injected), else when the time is over.
    """
    if not pods.total:
        return
    await _count(api, pods, namespace, within_s)
    passing: list[Trouble] = []
    tasks = {
        asyncio.create_task(_follow(api, pods, run, namespace, says)),
        asyncio.create_task(_look(api, pods, namespace, passing)),
    }
    try:
        done, _ = await asyncio.wait(tasks, timeout=within_s, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
        if done:
            return
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    trouble = pods.trouble() or next(iter(passing), None)
    if trouble:
        raise await error_of(api, trouble, namespace)
    raise ClusterError(
        f"{pods.total - pods.ready} of {pods.total} pods were not ready within {within_s:g} s.",
        fix=f"See what they wait for: kubectl get pods -n {namespace}; or give a longer --ready-timeout.",
    )


async def await_endpoints(
    api: Api, service: str, namespace: str, addresses: Iterable[str], *, within_s: float
) -> None:
    """Until the Service's EndpointSlices have all of these addresses as ready: only then do DNS, kube-proxy
    and control planes know of them. Raises ClusterError where they don't come."""
    wanted, deadline = set(addresses), time.monotonic() + within_s
    while True:
        slices = await api.objects(ENDPOINT_SLICE, namespace, labels=f"{_SERVICE}={service}")
        missing = wanted - set(ready_addresses(slices))
        if not missing:
            return
        if time.monotonic() > deadline:
            raise ClusterError(
                f"The Service {service} has no endpoint for {len(missing)} of its {len(wanted)} pods.",
                fix="Do its selector and ports fit the pods? "
                f"kubectl get endpointslices -n {namespace} -l {_SERVICE}={service}",
            )
        await asyncio.sleep(_PAUSE_S)


def ready_addresses(slices: Iterable[Mapping[str, Any]]) -> list[str]:
    """The addresses in EndpointSlices that take traffic (a missing condition means ready: kubernetes.io,
    EndpointSlices)."""
    return [
        str(address)
        for piece in slices
        for endpoint in piece.get("endpoints") or ()
        if (endpoint.get("conditions") or {}).get("ready") is not False
        for address in endpoint.get("addresses") or ()
    ]


async def _count(api: Api, pods: Pods, namespace: str, within_s: float) -> None:
    """How many pods DaemonSets will have, which their controller says once it has seen them."""
    deadline = time.monotonic() + within_s
    for name in (name for name, kind in pods.kinds.items() if kind is DAEMON_SET):
        while True:
            found = await api.get(DAEMON_SET, name, namespace) or {}
            status = found.get("status") or {}
            if int(status.get("observedGeneration") or 0) >= int(found["metadata"].get("generation") or 1):
                pods.wanted[name] = int(status.get("desiredNumberScheduled") or 0)
                break
            if time.monotonic() > deadline:
                raise ClusterError(f"The DaemonSet {name} was not looked at within {within_s:g} s.")
            await asyncio.sleep(_PAUSE_S)


async def _follow(api: Api, pods: Pods, run: str, namespace: str, says: Callable[[str], None]) -> None:
    # Clients are no servers: they carry a role.
    async for change in watch(api, POD, namespace, labels=f"{selector(run)},!{ROLE}"):
        name = change.document["metadata"]["name"]
        if change.type == "DELETED":
            pods.known.pop(name, None)
        else:
            pods.known[name] = change.document
        says(f"{pods.ready} of {pods.total} pods ready")
        if pods.complete:
            return
        if (trouble := pods.trouble()) and trouble.final:
            raise await error_of(api, trouble, namespace)


async def _look(api: Api, pods: Pods, namespace: str, passing: list[Trouble]) -> None:
    while True:
        await asyncio.sleep(LOOK_S)
        events = await api.objects(EVENT, namespace)
        for name in pods.wanted:
            if len(pods.of(name)) >= pods.wanted[name]:
                continue
            workload = await api.get(pods.kinds[name], name, namespace)
            trouble = workload_trouble(workload, events) if workload else None
            if trouble and trouble.final:
                raise await error_of(api, trouble, namespace)
            if trouble:
                passing[:] = [trouble]


def _meshed(pod: Mapping[str, Any]) -> bool:
    return (pod["metadata"].get("labels") or {}).get(INJECT) == "true"
