"""The life of a pod, from its network to the end of its last process."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from typing import TYPE_CHECKING

from whichpod.cluster.local.keeper import FORGIVEN_AFTER_S, Keeper, back_off
from whichpod.cluster.local.kubelet import Kubelet
from whichpod.cluster.local.pods import Pod
from whichpod.cluster.local.readiness import NotReadyError
from whichpod.cluster.local.supervisor import Process
from whichpod.manifest.kinds import Container, ExecCheck, PreStop, Sleep
from whichpod.model.errors import LabError, WhichpodError

if TYPE_CHECKING:
    from whichpod.cluster.local.workloads import Workloads

ENDS_TOLERATED = 2
"""How often a container of a live lab may end before it was ever ready, until waiting makes no sense: its
first restart comes at once, further ones don't."""
_LOOK_AGAIN_S = 1.0
_EXTENSION_S = 2.0
"""What a container gets whose hook has used up the grace (kubernetes.io, Pod Lifecycle, termination)."""


class Life:
    """Lives one pod. It begins at once; `up` tells when it is ready first, `end` ends it in order."""

    def __init__(self, workloads: Workloads, kubelet: Kubelet, pod: Pod, *, live: bool) -> None:
        self._workloads = workloads
        self._kubelet = kubelet
        self._pod = pod
        self._live = live
        self._keepers: list[Keeper] = []
        self._joined = False
        self._sidecar = "Its sidecar is not ready."
        self._sidecar_waits = False
        """Whether its sidecar ended too often, and is not started again for a while."""
        self._up: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._up.add_done_callback(lambda f: f.cancelled() or f.exception())
        self._attached: asyncio.Task[None] | None = None
        self._task = asyncio.create_task(self._live_on())

    async def up(self) -> None:
        """Waits until the pod is ready. Raises LabError when it isn't in time, or has no chance to be, with
        what it wrote last."""
        try:
            async with asyncio.timeout(self._kubelet.timeout_s):
                await asyncio.shield(self._up)
        except TimeoutError:
            raise self._too_late() from None

    async def _live_on(self) -> None:
        pod = self._pod
        try:
            self._attached = asyncio.create_task(self._kubelet.fabric.attach(pod, kept=self._live))
            await asyncio.shield(self._attached)
            for container in pod.init_containers:
                if container.restarts:
                    # One that helps others starts before them (kubernetes.io, Sidecar Containers).
                    await self._keep(container).started.wait()
                else:
                    await self._initialised(container)
            for container in pod.deployment.containers:
                self._keep(container)
            await self._keep_sidecar()
        except WhichpodError as error:
            pod.reason = error.message
            self._give_up(error)

    async def _join(self, sidecar: Process | None) -> None:
        """Waits for the sidecar, as long as it takes: it may be that nobody configures it at present. Not for
        one that has ended."""
        while not self._joined:
            try:
                await self._kubelet.fabric.joined(self._pod)
                self._joined = True
            except LabError as error:
                self._sidecar = error.message
                self._give_up(error)
                if not self._live:
                    raise
                if sidecar and sidecar.exited.done():
                    return
                await asyncio.sleep(_LOOK_AGAIN_S)
            self._look()

    async def _keep_sidecar(self) -> None:
        """Waits for the sidecar; in a live lab starts it anew whenever it ends, as a kubelet does."""
        fabric, pod, restarts = self._kubelet.fabric, self._pod, 0
        loop = asyncio.get_running_loop()
        while True:
            began, process = loop.time(), fabric.sidecar(pod)
            await self._join(process)
            if process is None or not self._live:
                return
            await asyncio.wait({process.exited})
            how = f"The {process.title} {process.how_it_ended()}"
            self._joined, self._sidecar = False, f"{how}."
            self._look()
            self._workloads.tell("died", pod, f"its sidecar {process.how_it_ended()}")
            restarts = 0 if loop.time() - began > FORGIVEN_AFTER_S else restarts
            if pause_s := back_off(restarts):
                self._sidecar_waits, self._sidecar = True, f"{how}; it is started again {pause_s:g} s later."
                self._look()
                await asyncio.sleep(pause_s)
                self._sidecar_waits = False
            restarts += 1
            pod.restarts += 1
            self._workloads.tell("restarted", pod, "its sidecar")
            fabric.restart_sidecar(pod)

    def _keep(self, container: Container) -> Keeper:
        keeper = Keeper(
            self._kubelet,
            self._pod,
            container,
            lambda: self._workloads.bundle,
            live=self._live,
            tell=lambda kind, detail: self._workloads.tell(kind, self._pod, detail),
            changed=self._look,
        )
        self._keepers.append(keeper)
        return keeper

    async def _initialised(self, container: Container) -> None:
        """Runs an init container to its end, again until that is a good one."""
        restarts = 0
        while True:
            process = self._kubelet.start(self._pod, container, self._workloads.bundle)
            self._pod.reason = f"Its init container {container.name} runs."
            await asyncio.wait({process.exited})
            if process.exited.result() == 0:
                return
            self._workloads.tell("died", self._pod, f"{container.name} {process.how_it_ended()}")
            error = self._ended_early(process)
            if not self._live:
                raise error
            if restarts:
                self._pod.state, self._pod.reason = "back-off", error.message
                self._give_up(error)
            await asyncio.sleep(back_off(restarts))
            self._pod.state = "starting"
            restarts += 1
            self._pod.restarts += 1

    def _look(self) -> None:
        """What its containers say makes out what the pod is."""
        pod, keepers = self._pod, self._keepers
        if pod.ending:
            return
        whole = self._joined and len(keepers) == len(pod.containers)
        unready = next((k for k in keepers if not k.ready), None)
        if self._sidecar_waits or any(k.waiting for k in keepers):
            pod.state = "back-off"
        else:
            pod.state = "running" if whole and all(k.started.is_set() for k in keepers) else "starting"
        pod.reason = unready.reason if unready else "" if whole else self._sidecar
        self._workloads.ready(pod, whole and unready is None)
        if pod.ready and not self._up.done():
            self._up.set_result(None)
        for keeper in keepers:
            if keeper.failed:
                self._give_up(keeper.failed)
            elif keeper.early_ends >= (ENDS_TOLERATED if self._live else 1):
                self._give_up(self._ended_early(pod.processes[keeper.container.name], keeper))

    def _give_up(self, error: WhichpodError) -> None:
        """Nobody needs to wait for it any longer. A live lab goes on trying."""
        if not self._up.done():
            self._up.set_exception(error)

    def _ended_early(self, process: Process, keeper: Keeper | None = None) -> LabError:
        hint = self._kubelet.hint(self._pod, keeper.container) if keeper else ""
        return LabError(
            f"The {process.title} {process.how_it_ended()} before it was ready.{process.wrote()}", fix=hint
        )

    def _too_late(self) -> LabError:
        within = f"was not ready within {self._kubelet.timeout_s:g} s"
        fix = "Is that the port that it listens on? --ready-timeout gives it more time."
        for keeper in self._keepers:
            process = self._pod.processes.get(keeper.container.name)
            if process and not keeper.ready:
                asked = keeper.reason.partition(" was asked for ")[2]
                said = f"{within}: it was asked for {asked}" if asked else f"{within}. {keeper.reason}"
                hint = self._kubelet.hint(self._pod, keeper.container)
                return LabError(f"The {process.title} {said}{process.wrote()}", fix=hint or fix)
        return LabError(f"The pod {self._pod.name} {within}. {self._pod.reason}", fix=fix)

    async def stop(self) -> None:
        """Watches over the pod no longer; its processes go on."""
        self._task.cancel()
        await asyncio.gather(self._task, *(k.stop() for k in self._keepers), return_exceptions=True)
        self._give_up(LabError(f"The pod {self._pod.name} was told to end."))

    async def end(self) -> None:
        """Hooks, SIGTERM, the grace, SIGKILL; then it has no network any more. As a kubelet does it:
        kubernetes.io, Pod Lifecycle, termination of Pods."""
        pod = self._pod
        await self.stop()
        deadline = asyncio.get_running_loop().time() + pod.deployment.termination_grace_s
        ending = [self._end(c, deadline) for c in pod.deployment.containers]
        await asyncio.gather(*ending)
        for container in reversed(pod.init_containers):
            await self._end(container, deadline)
        if self._attached:
            await asyncio.gather(self._attached, return_exceptions=True)
            await self._kubelet.fabric.detach(pod)

    async def _end(self, container: Container, deadline: float) -> None:
        process = self._pod.processes.get(container.name)
        if process is None or process.exited.done():
            return
        loop = asyncio.get_running_loop()
        if self._pod.deployment.termination_grace_s:
            left_s = deadline - loop.time()
            if container.pre_stop:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(left_s):
                        await self._hook(container, container.pre_stop, left_s)
                left_s = max(deadline - loop.time(), _EXTENSION_S)
            process.signal(signal.SIGTERM)
            await asyncio.wait({process.exited}, timeout=left_s)
        process.signal(signal.SIGKILL, all_of_it=True)
        await asyncio.wait({process.exited})

    async def _hook(self, container: Container, hook: PreStop, within_s: float) -> None:
        pod, bundle = self._pod, self._workloads.bundle
        failed = ""
        if isinstance(hook, Sleep):
            await asyncio.sleep(hook.seconds)
        elif isinstance(hook, ExecCheck):
            code, said = await self._kubelet.command(pod, container, hook.command, bundle, within_s)
            failed = f"exited with status {code}: {said}" if code else ""
        else:
            try:
                await self._kubelet.attempt(pod, container, hook, bundle, within_s)
            except NotReadyError as error:
                failed = str(error)
        if failed:
            self._workloads.tell("hook failed", pod, f"preStop of {container.name}: {failed}")
