"""Starts the containers of pods and tells when they are ready."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from pathlib import Path

from whichpod.cluster.local import readiness
from whichpod.cluster.local.expand import environment, expand
from whichpod.cluster.local.fabric import Fabric
from whichpod.cluster.local.files import Files
from whichpod.cluster.local.images import image_of
from whichpod.cluster.local.images.base import Context
from whichpod.cluster.local.pods import Pod
from whichpod.cluster.local.supervisor import Process, Supervisor
from whichpod.manifest.bundle import Bundle
from whichpod.manifest.kinds import Container
from whichpod.model.errors import LabError

_ASSUMED_READY_S = 2.0


@dataclass(frozen=True, slots=True)
class Kubelet:
    """Starts pods and tells when they are ready."""

    supervisor: Supervisor
    fabric: Fabric
    timeout_s: float
    """How long a pod may take to get ready."""

    async def run(self, pod: Pod, bundle: Bundle) -> None:
        """Starts a pod's sidecar and containers and waits until they are ready.

        Raises LabError when one ends, or is not ready in time, with what it wrote last.
        """
        await self.fabric.attach(pod)
        for container in pod.deployment.containers:
            self.start(pod, container, bundle)
        await self.until_ready(pod)
        await self.fabric.joined(pod)

    async def until_ready(self, pod: Pod) -> None:
        """Waits for a pod's containers. Raises LabError as `run` does."""
        for container in pod.deployment.containers:
            await self._ready(pod, container, pod.processes[container.name])

    def start(self, pod: Pod, container: Container, bundle: Bundle) -> Process:
        """Starts a container, or starts it anew."""
        image = image_of(container)
        dns_host, _, dns_port = self.fabric.dns.rpartition(":")
        given = {"CLUSTER_DNS": self.fabric.dns, "CLUSTER_DNS_HOST": dns_host, "CLUSTER_DNS_PORT": dns_port}

        def field(path: str) -> str:
            return pod.field(path, self.fabric.host_ip)

        env = environment(container.env, field, given)
        files = Files(self.folder(pod, container), image.own, container)
        files.mount(bundle, pod.deployment, container, field)
        process = pod.processes[container.name] = image.launch(
            Context(
                supervisor=self.supervisor,
                pod=pod.name,
                container=container,
                address=pod.place.app_address,
                env=env,
                command=tuple(expand(word, env) for word in container.command),
                args=tuple(expand(word, env) for word in container.args),
                files=files,
                dns=self.fabric.dns,
                alone=len(pod.deployment.containers) == 1,
                life=pod.restarts,
                standing=self.fabric.standing(pod),
            )
        )
        pod.history.append(process)
        return process

    def folder(self, pod: Pod, container: Container) -> Path:
        """Where a container's files lie."""
        return self.supervisor.folder / "pods" / pod.name / container.name

    async def _ready(self, pod: Pod, container: Container, process: Process) -> None:
        ports, probe = pod.deployment.ports(), container.readiness
        if probe:
            await self._until(pod, process, probe.check, ports, probe.timeout_s)
            return
        for check in readiness.assumed(container):
            await self._until(pod, process, check, ports, 1, limit_s=_ASSUMED_READY_S)

    async def _until(
        self,
        pod: Pod,
        process: Process,
        check: readiness.Check,
        ports: dict[str, int],
        timeout_s: float,
        limit_s: float | None = None,
    ) -> None:
        """Repeats a check until it succeeds; with `limit_s`, goes on all the same after so many seconds."""
        deadline = asyncio.get_running_loop().time() + (limit_s or self.timeout_s)
        last = ""
        async for _ in readiness.attempts(deadline):
            if process.exited.done():
                raise LabError(
                    f"The {process.title} {process.how_it_ended()} before it was ready.{process.wrote()}"
                )
            try:
                await readiness.attempt(check, pod.place.dialled, ports, timeout_s, self.fabric.connect)
            except readiness.NotReadyError as e:
                last = str(e)
            else:
                return
        if limit_s is None:
            raise LabError(
                f"The {process.title} was not ready within {self.timeout_s:g} s: it was asked for "
                f"{readiness.describe(check)}: {last}.{process.wrote()}",
                fix="Is that the port that it listens on? --ready-timeout gives it more time.",
            )
