"""The pods of a lab: made, started, ended and counted, one by one or several together."""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Any

from whichpod.cluster.local.events import Events
from whichpod.cluster.local.fabric import Fabric, Place
from whichpod.cluster.local.images import WHICHPOD, image_of
from whichpod.cluster.local.images.whichpod import FAULTS
from whichpod.cluster.local.kubelet import Kubelet
from whichpod.cluster.local.life import Life
from whichpod.cluster.local.pods import Pod
from whichpod.cluster.local.tasks import together
from whichpod.manifest.bundle import Bundle
from whichpod.manifest.kinds import Deployment
from whichpod.manifest.placement import locality_of, node_of
from whichpod.model.errors import LabError, WhichpodError

PODS_AT_ONCE = 16
"""Pods that start at a time: more would only take turns on the cores."""
SIDECAR = "istio-proxy"
"""What Istio calls the container of a pod's sidecar."""
_TO_ALL = (signal.SIGKILL, signal.SIGSTOP, signal.SIGCONT)
"""Signals that all processes of a container get; others are for the first, as from a kubelet."""


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
        self.events = Events()
        self._fabric = fabric
        self._kubelet = kubelet
        self.timeout_s = kubelet.timeout_s
        """How long a pod may take to get ready."""
        self._live = live
        self._changed = changed
        self._settle = settle
        self._say = say
        self._lives: dict[Pod, Life] = {}
        self._ending: dict[Pod, asyncio.Task[None]] = {}
        self._ordinals: dict[tuple[str, str], int] = {}
        self._slugs: dict[str, int] = {}
        self._next = 0
        self._free: list[int] = []

    def hold(self, bundle: Bundle) -> None:
        """Other manifests hold."""
        self.bundle = bundle
        self._changed()

    def plan(self) -> None:
        """Makes the pods that the manifests ask for, none started. Raises LabError where there is no room."""
        for deployment in self.bundle.deployments:
            for _ in range(deployment.replicas):
                self.make(deployment)

    def find(self, name: str) -> Pod:
        """The pod of that name, or NAMESPACE/NAME. Raises LabError."""
        namespace, _, own = name.rpartition("/")
        for pod in reversed(self.pods):
            if pod.name == own and namespace in ("", pod.deployment.meta.namespace):
                return pod
        names = ", ".join(p.name for p in self.pods)
        raise LabError(f"The lab has no pod {name!r}.", fix=f"It has {names or 'none'}.")

    def of(self, deployment: Deployment) -> list[Pod]:
        """The pods of a workload that aren't ending, oldest first."""
        return [p for p in self.pods if not p.ending and key(p.deployment) == key(deployment)]

    def now(self, deployment: Deployment) -> Deployment:
        """A workload as the manifests have it now."""
        return next(d for d in self.bundle.deployments if key(d) == key(deployment))

    # Starting

    async def start(self) -> None:
        """Starts all pods that were planned, and waits until they are ready. Raises LabError for one that
        isn't, with the others' starting cut short."""
        servers = [p for p in self.pods if not _proxy(p)]
        await self._start(servers)
        # Proxies look for the pods behind them once, when they start; those come first.
        if rest := [p for p in self.pods if _proxy(p)]:
            await self._settle()
            await self._start(rest)

    async def _start(self, pods: Sequence[Pod]) -> None:
        ready = 0

        async def one(pod: Pod) -> None:
            nonlocal ready
            await self.begin(pod).up()
            ready += 1
            self._say(f"{ready} of {len(pods)} pods ready")

        async def in_order(own: Iterable[Pod]) -> None:
            for pod in own:
                await one(pod)

        ordered = {key(p.deployment): p.deployment for p in pods if p.deployment.in_order}
        jobs = [one(p) for p in pods if not p.deployment.in_order]
        jobs += [in_order(p for p in pods if key(p.deployment) == own) for own in ordered]
        await together(jobs, at_once=PODS_AT_ONCE)

    async def bring_up(self, pods: Iterable[Pod]) -> None:
        """Starts pods and waits until each is ready, or has failed to be: then it raises LabError, and leaves
        them all as they are."""
        room = asyncio.Semaphore(PODS_AT_ONCE)

        async def one(pod: Pod) -> None:
            async with room:
                await self.begin(pod).up()

        raise_first(await asyncio.gather(*map(one, pods), return_exceptions=True))

    def begin(self, pod: Pod) -> Life:
        """Starts a pod."""
        self.tell("created", pod)
        life = self._lives[pod] = Life(self, self._kubelet, pod, live=self._live)
        return life

    def make(self, deployment: Deployment, ordinal: int | None = None) -> Pod:
        """A pod more, not started; with an ordinal in place of one that had it. Raises LabError where there
        is no room."""
        if ordinal is None:
            ordinal = self._ordinals[key(deployment)] = self._ordinals.get(key(deployment), -1) + 1
        several = len({d.meta.name for d in self.bundle.deployments}) < len(self.bundle.deployments)
        prefix = f"{deployment.meta.namespace}-" if several else ""
        name = f"{prefix}{deployment.pod_name(ordinal)}"
        lives = self._slugs[name] = self._slugs.get(name, 0) + 1
        meshed = self.bundle.injected(deployment)
        pod = Pod(
            name=name,
            deployment=deployment,
            number=self._next,
            ordinal=ordinal,
            place=self._place(meshed),
            node=node_of(self.bundle, deployment, ordinal),
            locality=locality_of(self.bundle, deployment, ordinal),
            meshed=meshed,
            slug=name if lives == 1 else f"{name}.{lives}",
        )
        self._next += 1
        self.pods.append(pod)
        return pod

    def _place(self, meshed: bool) -> Place:
        try:
            return self._fabric.place(self._next, meshed=meshed)
        except LabError:
            if not self._free:
                raise
            return self._fabric.place(self._free.pop(0), meshed=meshed)

    # What pods go through

    def ready(self, pod: Pod, is_ready: bool) -> None:
        """A pod is ready, or no longer is."""
        is_ready = is_ready and not pod.ending
        if pod.ready != is_ready:
            pod.ready = is_ready
            self.tell("ready" if is_ready else "unready", pod, "" if is_ready else pod.reason)
            self._changed()

    def tell(self, kind: str, pod: Pod, detail: str = "") -> None:
        """Something happened to a pod."""
        self.events.add(kind, pod.name, detail)

    def variables(self, pod: Pod) -> dict[str, str]:
        """The environment of a pod's first container."""
        return self._kubelet.variables(pod, pod.find(""), self.bundle)

    # What is done to them

    def end(self, pod: Pod) -> asyncio.Task[None]:
        """Tells a pod to end, in order and with its grace. It is no endpoint any more, at once."""
        if pod not in self._ending:
            pod.ending, pod.state = True, "ending"
            self.tell("ending", pod)
            self.ready(pod, False)
            task = self._ending[pod] = asyncio.create_task(self._end(pod))
            task.add_done_callback(lambda _: self._ending.pop(pod, None))
        return self._ending[pod]

    async def _end(self, pod: Pod) -> None:
        if life := self._lives.pop(pod, None):
            await life.end()
        self.pods.remove(pod)
        if not pod.running:
            self._free.append(pod.number)
        self.tell("gone", pod)

    async def ended(self, pods: Iterable[Pod]) -> None:
        """Tells pods to end and waits until they are gone."""
        if tasks := [self.end(p) for p in pods]:
            await asyncio.wait(tasks)

    def signal(self, pod: Pod, number: int, container: str = "") -> None:
        """Sends a signal to a pod's containers, or to one of them; its sidecar is called istio-proxy. Raises
        UsageError for one that it hasn't."""
        sidecar = self._fabric.sidecar(pod)
        if container == SIDECAR and sidecar:
            chosen = [sidecar]
        elif container:
            chosen = [p for p in pod.running if p is pod.processes.get(pod.find(container).name)]
        else:
            # Whatever was stopped of it goes on, its sidecar too.
            chosen = [*pod.running, *([sidecar] if sidecar and number == signal.SIGCONT else [])]
        if number in (signal.SIGSTOP, signal.SIGCONT, signal.SIGKILL):
            pod.stopped = number == signal.SIGSTOP
        for process in chosen:
            process.signal(number, all_of_it=number in _TO_ALL)

    def fault(self, pod: Pod, faults: Mapping[str, Any] | None) -> None:
        """Has a pod's echo servers read other faults, in the words of `whichpod serve --faults`."""
        pod.faults = dict(faults or {})
        for container in pod.deployment.containers:
            if image_of(container) is WHICHPOD:
                file = self._kubelet.folder(pod, container) / FAULTS
                fresh = file.with_suffix(".new")
                fresh.write_text(json.dumps(pod.faults), encoding="utf-8")
                fresh.rename(file)
                if process := pod.processes.get(container.name):
                    process.signal(signal.SIGHUP)

    def logs(self, pod: Pod) -> str:
        """What a pod's containers have written, those of earlier lives first."""
        texts = []
        for _, process in pod.history:
            with contextlib.suppress(OSError):
                texts.append(process.log.read_text(encoding="utf-8", errors="replace"))
        return "".join(texts)

    async def settled(self) -> None:
        """Waits until the pods that were told to end are gone."""
        while self._ending:
            await asyncio.wait(tuple(self._ending.values()))

    async def stop(self) -> None:
        """Stops watching over the pods; they end with the lab."""
        for task in self._ending.values():
            task.cancel()
        await asyncio.gather(
            *self._ending.values(), *(life.stop() for life in self._lives.values()), return_exceptions=True
        )


def key(deployment: Deployment) -> tuple[str, str]:
    """What tells a workload from others: namespace and name."""
    return deployment.meta.namespace, deployment.meta.name


def raise_first(results: Iterable[BaseException | None]) -> None:
    """Raises the first error, with how many more there are. What is no error of ours goes first."""
    errors = [r for r in results if r is not None]
    for error in errors:
        if not isinstance(error, WhichpodError):
            raise error
    for error in errors:
        if len(errors) > 1 and isinstance(error, LabError):
            raise LabError(f"{error.message}\nThat happened to {len(errors)} pods.", fix=error.fix)
        raise error


def _proxy(pod: Pod) -> bool:
    return all(image_of(c).binary for c in pod.deployment.containers)
