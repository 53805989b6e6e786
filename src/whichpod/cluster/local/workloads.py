"""What a cluster's controllers do: so many pods of each Deployment, started, ended and replaced."""

from __future__ import annotations

import asyncio
import contextlib
import json
import math
import signal
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

from whichpod.cluster.local.fabric import Fabric
from whichpod.cluster.local.images import WHICHPOD, image_of
from whichpod.cluster.local.images.whichpod import FAULTS
from whichpod.cluster.local.kubelet import Kubelet
from whichpod.cluster.local.life import Life
from whichpod.cluster.local.pods import NODES, Pod
from whichpod.cluster.local.supervisor import Process
from whichpod.cluster.local.tasks import together
from whichpod.cluster.protocol import LabEvent
from whichpod.manifest.bundle import Bundle
from whichpod.manifest.kinds import Deployment
from whichpod.model.errors import LabError

PODS_AT_ONCE = 16
"""Pods that start at a time: more would only take turns on the cores."""
SURGE = UNAVAILABLE = 0.25
"""Of a rolling update: maxSurge, rounded up, and maxUnavailable, rounded down (Deployment's defaults)."""


class Workloads:
    """The pods of a lab. `changed` is called whenever another set of pods is ready.

    `live`: containers that end are started anew, readiness is probed for as long as a pod lives, and pods can
    be told to end. Otherwise a pod is started once, and one whose process ends is no longer ready.
    """

    def __init__(
        self,
        bundle: Bundle,
        fabric: Fabric,
        kubelet: Kubelet,
        *,
        live: bool,
        changed: Callable[[], None],
        settle: Callable[[], Awaitable[None]],
        say: Callable[[str], None],
    ) -> None:
        self.bundle = bundle
        self.pods: list[Pod] = []
        self.events: list[LabEvent] = []
        self._fabric = fabric
        self._kubelet = kubelet
        self._live = live
        self._changed = changed
        self._settle = settle
        self._say = say
        self._up = False
        self._lives: dict[Pod, Life] = {}
        self._jobs: set[asyncio.Task[None]] = set()
        self._numbers: dict[str, int] = {}
        self._next = 0

    def plan(self) -> None:
        """Makes the pods that the manifests ask for, none started. Raises LabError where there is no room."""
        for deployment in self.bundle.deployments:
            for _ in range(deployment.replicas):
                self._make(deployment)

    def find(self, name: str) -> Pod:
        """The pod of that name. Raises LabError."""
        for pod in self.pods:
            if pod.name == name:
                return pod
        names = ", ".join(p.name for p in self.pods)
        raise LabError(f"The lab has no pod {name!r}.", fix=f"It has {names or 'none'}.")

    def of(self, deployment: Deployment) -> list[Pod]:
        """The pods of a Deployment that aren't ending, oldest first."""
        meta = deployment.meta
        return [
            p
            for p in self.pods
            if not p.ending
            and (p.deployment.meta.namespace, p.deployment.meta.name) == (meta.namespace, meta.name)
        ]

    # Starting

    async def start(self) -> None:
        """Starts all pods that were planned, and waits until they are ready. Raises LabError for one that
        isn't."""
        await self._run_all([p for p in self.pods if p.echo])
        # Proxies look for the pods behind them once, when they start; those come first.
        rest = [p for p in self.pods if not p.echo]
        if rest:
            await self._settle()
            await self._run_all(rest)
        self._up = True

    async def _run_all(self, pods: list[Pod]) -> None:
        ready = 0

        async def one(pod: Pod) -> None:
            nonlocal ready
            await self._run(pod)
            ready += 1
            self._say(f"{ready} of {len(pods)} pods ready")

        await together([one(p) for p in pods], at_once=PODS_AT_ONCE)

    async def _run(self, pod: Pod) -> None:
        self._tell("created", pod)
        await self._kubelet.run(pod, self.bundle)
        for process in pod.processes.values():
            process.exited.add_done_callback(partial(self._ended, pod, process))
        self.ready(pod, True)
        if self._live:
            self._lives[pod] = Life(self, self._kubelet, pod)

    def _make(self, deployment: Deployment) -> Pod:
        meshed = self.bundle.injected(deployment)
        several = len({d.meta.name for d in self.bundle.deployments}) < len(self.bundle.deployments)
        prefix = f"{deployment.meta.namespace}-" if several else ""
        name = f"{prefix}{deployment.meta.name}"
        n = self._numbers[name] = self._numbers.get(name, -1) + 1
        place = self._fabric.place(self._next, meshed=meshed)
        pod = Pod(f"{name}-{n}", deployment, self._next, place, NODES[n % len(NODES)], meshed)
        self._next += 1
        self.pods.append(pod)
        return pod

    # What pods go through

    def ready(self, pod: Pod, is_ready: bool) -> None:
        """A pod is ready, or no longer is."""
        is_ready = is_ready and not pod.ending
        if pod.ready != is_ready:
            pod.ready = is_ready
            self._tell("ready" if is_ready else "unready", pod)
            self._changed()

    def restarted(self, pod: Pod, processes: Iterable[Process]) -> None:
        """Containers of a pod were started anew."""
        self._tell("restarted", pod)
        for process in processes:
            process.exited.add_done_callback(partial(self._ended, pod, process))

    def _ended(self, pod: Pod, process: Process, _: object) -> None:
        if process.exited.cancelled() or pod.ending:
            return
        if process in pod.processes.values():
            if self._up or self._live:
                self._tell("died", pod, process.how_it_ended())
                self.ready(pod, False)
            if life := self._lives.get(pod):
                life.died(process)

    def _tell(self, kind: str, pod: Pod, detail: str = "") -> None:
        self.events.append(LabEvent.now(kind, pod.name, detail))

    # What is done to them

    async def scale(self, deployment: Deployment, replicas: int) -> None:
        """Another number of pods. Returns when all are ready and the superfluous ones have begun to end."""
        self.bundle = self.bundle.scaled(f"{deployment.meta.namespace}/{deployment.meta.name}", replicas)
        deployment = self.bundle.deployment(f"{deployment.meta.namespace}/{deployment.meta.name}")
        have = self.of(deployment)
        # Like the ReplicaSet controller: those that aren't ready go first, then the youngest.
        spare = sorted(have, key=lambda p: (p.ready, -p.number))[: max(0, len(have) - replicas)]
        for pod in spare:
            self._end_soon(pod)
        new = [self._make(deployment) for _ in range(replicas - len(have))]
        self._changed()
        await self._run_all(new)

    async def restart(self, deployment: Deployment) -> None:
        """Replaces all pods of a Deployment, a few at a time, as a rolling update does."""
        old = self.of(deployment)
        wanted, made = len(old), 0
        surge, unavailable = max(1, math.ceil(wanted * SURGE)), math.floor(wanted * UNAVAILABLE)
        while old:
            spare = max(0, len(old) + made - (wanted - unavailable))
            for pod in old[:spare]:
                self._end_soon(pod)
            old = old[spare:]
            count = min(wanted - made, wanted + surge - len(old) - made)
            made += count
            await self._run_all([self._make(deployment) for _ in range(count)])

    async def delete(self, pod: Pod) -> None:
        """Ends a pod as `kubectl delete pod` does, and returns when another one in its place is ready."""
        self._end_soon(pod)
        if (
            len(self.of(pod.deployment))
            < self.bundle.deployment(f"{pod.deployment.meta.namespace}/{pod.deployment.meta.name}").replicas
        ):
            await self._run_all([self._make(pod.deployment)])

    async def apply(self, bundle: Bundle) -> None:
        """Other manifests: Deployments that are new are started, those that have changed are replaced step by
        step, those that are gone end."""
        before = {(d.meta.namespace, d.meta.name): d for d in self.bundle.deployments}
        after = {(d.meta.namespace, d.meta.name): d for d in bundle.deployments}
        self.bundle = bundle
        self._changed()
        for key in before.keys() - after.keys():
            for pod in self.of(before[key]):
                self._end_soon(pod)
        for key, deployment in after.items():
            old = before.get(key)
            if old is not None and _template(old) != _template(deployment):
                await self.scale_to_template(deployment)
            elif old is None or len(self.of(deployment)) != deployment.replicas:
                await self.scale(deployment, deployment.replicas)

    async def scale_to_template(self, deployment: Deployment) -> None:
        """Replaces all pods by ones of another template, then makes them so many."""
        await self.restart(deployment)
        await self.scale(deployment, deployment.replicas)

    def signal(self, pod: Pod, number: int) -> None:
        """Sends a signal to a pod's processes."""
        for process in pod.processes.values():
            process.signal(number)

    def fault(self, pod: Pod, faults: Mapping[str, Any] | None) -> None:
        """Has a pod's echo servers read other faults, in the words of `whichpod serve --faults`."""
        for container in pod.deployment.containers:
            if image_of(container) is WHICHPOD:
                file = self._kubelet.folder(pod, container) / FAULTS
                file.write_text(json.dumps(dict(faults or {})), encoding="utf-8")
                pod.processes[container.name].signal(signal.SIGHUP)

    def logs(self, pod: Pod) -> str:
        """What a pod's containers have written, those of earlier lives first."""
        texts = []
        for process in pod.history:
            with contextlib.suppress(OSError):
                texts.append(process.log.read_text(encoding="utf-8", errors="replace"))
        return "".join(texts)

    def _end_soon(self, pod: Pod) -> None:
        """Endpoints lose it at once, and so does its Deployment's count."""
        if pod.ending:
            return
        pod.ending = True
        self._tell("ending", pod)
        self.ready(pod, False)
        task = asyncio.create_task(self._end(pod))
        self._jobs.add(task)
        task.add_done_callback(self._jobs.discard)

    async def _end(self, pod: Pod) -> None:
        """Its containers get SIGTERM and their time, then SIGKILL."""
        if life := self._lives.pop(pod, None):
            await life.stop()
        running = {p.exited for p in pod.processes.values() if not p.exited.done()}
        grace_s = pod.deployment.termination_grace_s
        if running and grace_s:
            self.signal(pod, signal.SIGTERM)
            await asyncio.wait(running, timeout=grace_s)
        if any(not e.done() for e in running):
            self.signal(pod, signal.SIGKILL)
            await asyncio.wait(running)
        await self._fabric.detach(pod)
        self.pods.remove(pod)
        self._tell("gone", pod)

    async def settled(self) -> None:
        """Waits until the pods that were told to end are gone."""
        while self._jobs:
            await asyncio.wait(tuple(self._jobs))

    async def stop(self) -> None:
        """Stops watching over the pods; they end with the lab."""
        self._up = False
        for task in (*self._jobs, *(life.task for life in self._lives.values())):
            task.cancel()
        await asyncio.gather(
            *self._jobs, *(life.task for life in self._lives.values()), return_exceptions=True
        )


def _template(deployment: Deployment) -> Deployment:
    """A Deployment without what may change and leave its pods as they are."""
    return replace(deployment, replicas=0, meta=replace(deployment.meta, labels={}, annotations={}))
