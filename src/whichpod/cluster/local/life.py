"""A pod's life in a live lab: its readiness is probed on, and containers that end are started anew."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from whichpod.cluster.local.kubelet import Kubelet
from whichpod.cluster.local.pods import Pod
from whichpod.cluster.local.readiness import NotReadyError, attempt
from whichpod.cluster.local.supervisor import Process
from whichpod.manifest.kinds import Container, Probe
from whichpod.model.errors import LabError

if TYPE_CHECKING:
    from whichpod.cluster.local.workloads import Workloads

FIRST_BACK_OFF_S, LONGEST_BACK_OFF_S = 10.0, 300.0
"""A container's first restart comes at once, the second after 10 s, each further one after twice as long
(kubernetes.io, Pod Lifecycle, container restart policy)."""


class Life:
    """Watches over one pod until `stop`."""

    def __init__(self, workloads: Workloads, kubelet: Kubelet, pod: Pod) -> None:
        self._workloads = workloads
        self._kubelet = kubelet
        self._pod = pod
        self._well = {c.name: True for c in pod.deployment.containers}
        self._dead = asyncio.Event()
        self.task = asyncio.create_task(self._watch())

    def died(self, process: Process) -> None:
        """One of the pod's processes has ended."""
        for name, own in self._pod.processes.items():
            if own is process:
                self._well[name] = False
        self._dead.set()

    async def stop(self) -> None:
        """Ends the watch."""
        self.task.cancel()
        await asyncio.gather(self.task, return_exceptions=True)

    async def _watch(self) -> None:
        probed = [(c, c.readiness) for c in self._pod.deployment.containers if c.readiness]
        probes = [asyncio.create_task(self._probe(c, readiness)) for c, readiness in probed]
        try:
            while True:
                await self._dead.wait()
                self._dead.clear()
                await self._restart()
        finally:
            for task in probes:
                task.cancel()
            await asyncio.gather(*probes, return_exceptions=True)

    async def _restart(self) -> None:
        pod = self._pod
        if pod.restarts:
            await asyncio.sleep(min(FIRST_BACK_OFF_S * 2 ** (pod.restarts - 1), LONGEST_BACK_OFF_S))
        pod.restarts += 1
        new = [
            self._kubelet.start(pod, c, self._workloads.bundle)
            for c in pod.deployment.containers
            if pod.processes[c.name].exited.done()
        ]
        self._workloads.restarted(pod, new)
        try:
            await self._kubelet.until_ready(pod)
        except LabError:
            return  # it ended again, or goes on without being ready: the probes will tell
        for process in new:
            if not process.exited.done():
                self._well |= {name: True for name, own in pod.processes.items() if own is process}
        self._workloads.ready(pod, all(self._well.values()))

    async def _probe(self, container: Container, probe: Probe) -> None:
        """Probes a container every so often, and says when the outcome has been another for long enough."""
        same, ports = 0, self._pod.deployment.ports()
        while True:
            await asyncio.sleep(probe.period_s)
            try:
                await attempt(
                    probe.check, self._pod.place.dialled, ports, probe.timeout_s, self._kubelet.fabric.connect
                )
                well = True
            except NotReadyError:
                well = False
            same = same + 1 if well != self._well[container.name] else 0
            if same >= (probe.success_threshold if well else probe.failure_threshold):
                self._well[container.name] = well
                self._workloads.ready(self._pod, all(self._well.values()))
                same = 0
