"""What a cluster's controllers do for workloads: so many pods of each, replaced as their kind has it.

Source: kubernetes.io, Deployments, StatefulSets, DaemonSet, Performing a Rolling Update.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import fields, is_dataclass, replace
from typing import Any

from whichpod.cluster.local.pods import Pod
from whichpod.cluster.local.workloads import Workloads, key, raise_first
from whichpod.manifest.bundle import Bundle
from whichpod.manifest.kinds import Deployment, Meta, Rollout, Where
from whichpod.model.errors import LabError, UsageError, WhichpodError


class Controllers:
    """Changes what runs until it is what the manifests ask for.

    Where a pod doesn't get ready, what is raised says why; the pods that were there before go on, as in a
    cluster.
    """

    def __init__(self, workloads: Workloads) -> None:
        self._pods = workloads

    async def apply(self, bundle: Bundle) -> None:
        """Other manifests: workloads that are new are started, those that have changed are replaced step by
        step, those that are gone end."""
        before = {key(d): d for d in self._pods.bundle.deployments}
        self._pods.hold(bundle)
        after = {key(d) for d in bundle.deployments}
        for gone in before.keys() - after:
            for pod in self._pods.of(before[gone]):
                self._pods.end(pod)
        results = await asyncio.gather(*map(self._applied, bundle.deployments), return_exceptions=True)
        raise_first(results)

    async def _applied(self, deployment: Deployment) -> None:
        wanted, old = template(deployment), []
        for pod in self._pods.of(deployment):
            if template(pod.deployment) == wanted and pod.deployment.kind == deployment.kind:
                pod.deployment = deployment
            else:
                old.append(pod)
        if old and deployment.kind != "ReplicaSet" and deployment.rollout.kind != "OnDelete":
            await self._replace(deployment, old)
        else:
            await self._count(deployment)

    async def scale(self, deployment: Deployment, replicas: int) -> None:
        """Another number of pods. Returns when all are ready and the superfluous ones have begun to end."""
        own = f"{deployment.meta.namespace}/{deployment.meta.name}"
        self._pods.hold(self._pods.bundle.scaled(own, replicas))
        await self._count(self._pods.bundle.deployment(own))

    async def restart(self, deployment: Deployment) -> None:
        """Replaces all pods of a workload, as `kubectl rollout restart` does. Raises UsageError for a kind
        that has no rollout."""
        if deployment.kind in ("ReplicaSet", "Pod"):
            raise UsageError(
                f"{deployment.meta.name} is a {deployment.kind}, which nothing rolls out.",
                fix=f"Delete its pods: whichpod lab delete {deployment.pod_name(0)}",
            )
        await self._replace(deployment, self._pods.of(deployment))

    async def delete(self, pod: Pod) -> None:
        """Ends a pod as `kubectl delete pod` does, and returns when another one in its place is ready."""
        deployment = self._pods.now(pod.deployment)
        gone = self._pods.end(pod)
        if deployment.kind == "Pod":
            return
        if _in_place(deployment):
            await asyncio.wait({gone})
        await self._count(deployment)

    # So many pods

    async def _count(self, deployment: Deployment) -> None:
        """As many pods as are asked for."""
        have, wanted = self._pods.of(deployment), deployment.replicas
        if deployment.kind == "StatefulSet":
            await self._ordered(deployment)
            return
        # Like the ReplicaSet controller: those that aren't ready go first, then the youngest.
        for pod in sorted(have, key=lambda p: (p.ready, -p.number))[: max(0, len(have) - wanted)]:
            self._pods.end(pod)
        new = self._made(deployment, wanted - len(have))
        await self._pods.bring_up(new)

    def _made(self, deployment: Deployment, count: int) -> list[Pod]:
        if _in_place(deployment):
            taken = {p.ordinal for p in self._pods.of(deployment)}
            free = [n for n in range(deployment.replicas) if n not in taken]
            return [self._pods.make(deployment, n) for n in free[: max(0, count)]]
        return [self._pods.make(deployment) for _ in range(count)]

    async def _ordered(self, deployment: Deployment) -> None:
        """A StatefulSet's pods: the last go first, the first come first, one after the other where asked."""
        have = sorted(self._pods.of(deployment), key=lambda p: p.ordinal)
        spare = [p for p in reversed(have) if p.ordinal >= deployment.replicas]
        if deployment.in_order:
            for pod in spare:
                await self._pods.ended([pod])
            for ordinal in sorted(set(range(deployment.replicas)) - {p.ordinal for p in have}):
                await self._pods.bring_up([self._pods.make(deployment, ordinal)])
            return
        for pod in spare:
            self._pods.end(pod)
        await self._pods.bring_up(self._made(deployment, deployment.replicas))

    # Other pods in their place

    async def _replace(self, deployment: Deployment, old: list[Pod]) -> None:
        if deployment.rollout.kind == "Recreate":
            await self._pods.ended(old)
            await self._count(deployment)
        elif _in_place(deployment):
            await self._in_place(deployment, old)
        else:
            await self._rolling(deployment, old)

    async def _in_place(self, deployment: Deployment, old: list[Pod]) -> None:
        """Each pod by one of the same ordinal, the last first, as many at a time as may be missing."""
        at_once = 1
        if deployment.kind == "DaemonSet":
            at_once = max(1, deployment.rollout.unavailable(deployment.replicas))
        rest = sorted(old, key=lambda p: -p.ordinal)
        while rest:
            now, rest = rest[:at_once], rest[at_once:]
            await self._pods.ended(now)
            kept = [p.ordinal for p in reversed(now) if p.ordinal < deployment.replicas]
            await self._available(deployment, [self._pods.make(deployment, n) for n in kept])
        await self._count(deployment)

    async def _rolling(self, deployment: Deployment, old: list[Pod]) -> None:
        """A few at a time: never more than maxSurge beyond, never more than maxUnavailable missing."""
        wanted, rollout = deployment.replicas, deployment.rollout
        surge, missing = rollout.surge(wanted), rollout.unavailable(wanted)
        new = [p for p in self._pods.of(deployment) if p not in old and p.ready]
        for pod in [p for p in self._pods.of(deployment) if not p.ready] + new[wanted:]:
            self._pods.end(pod)  # those serve nobody, or are too many
        coming: dict[asyncio.Task[None], Pod] = {}
        try:
            while True:
                old, new = _going_on(old), _going_on(new)
                available = sum(p.ready for p in (*old, *new) if p not in coming.values())
                spare = max(0, available - (wanted - missing))
                for pod in old[:spare]:
                    self._pods.end(pod)
                old = _going_on(old)
                for _ in range(min(wanted - len(new), wanted + surge - len(old) - len(new))):
                    new.append(pod := self._pods.make(deployment))
                    coming[asyncio.create_task(self._available(deployment, [pod]))] = pod
                if not coming and not old:
                    return
                for task in await self._next(deployment, coming):
                    del coming[task]
                    task.result()
        except WhichpodError as error:
            raise self._stuck(deployment, old, error) from None
        finally:
            for task in coming:
                task.cancel()
            await asyncio.gather(*coming, return_exceptions=True)

    async def _next(
        self, deployment: Deployment, coming: Iterable[asyncio.Task[None]]
    ) -> set[asyncio.Task[None]]:
        """Waits until one of those that come is there, or until another pod is ready or no longer is."""
        events = asyncio.create_task(self._pods.events.beyond(len(self._pods.events)))
        try:
            limit_s = self._pods.timeout_s + deployment.rollout.min_ready_s
            done, _ = await asyncio.wait(
                {*coming, events}, timeout=limit_s, return_when=asyncio.FIRST_COMPLETED
            )
            if not done:
                raise LabError(f"Too few of its pods have been ready for {limit_s:g} s.")
            return done - {events}
        finally:
            events.cancel()
            await asyncio.gather(events, return_exceptions=True)

    async def _available(self, deployment: Deployment, pods: list[Pod]) -> None:
        await self._pods.bring_up(pods)
        if deployment.rollout.min_ready_s and pods:
            await asyncio.sleep(deployment.rollout.min_ready_s)

    def _stuck(self, deployment: Deployment, old: Iterable[Pod], error: WhichpodError) -> LabError:
        going_on = sum(p.ready for p in old)
        name = f"{deployment.kind} {deployment.meta.name}"
        return LabError(
            f"The {name} can't be rolled out; {going_on} of its pods from before go on. {error.message}",
            fix=error.fix,
        )


def _going_on(pods: Iterable[Pod]) -> list[Pod]:
    return [p for p in pods if not p.ending]


def _in_place(deployment: Deployment) -> bool:
    """Whether a new pod takes the name and the place of the one that it stands for."""
    return deployment.kind in ("StatefulSet", "DaemonSet", "Pod")


def template(deployment: Deployment) -> object:
    """What may not change and leave its pods as they are. Where it is written plays no part."""
    own = Meta(deployment.meta.name, deployment.meta.namespace)
    return _bare(replace(deployment, meta=own, replicas=0, selector={}, rollout=Rollout(), in_order=False))


def _bare(value: Any) -> object:
    if isinstance(value, Where):
        return None
    if is_dataclass(value):
        return type(value), *(_bare(getattr(value, f.name)) for f in fields(value))
    if isinstance(value, Mapping):
        return {k: _bare(v) for k, v in value.items()}
    if isinstance(value, tuple):
        return tuple(map(_bare, value))
    return value
