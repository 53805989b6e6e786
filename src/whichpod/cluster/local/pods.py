"""The pods of a lab: who they are, and how their containers start and get ready."""

from __future__ import annotations

import asyncio
import re
import uuid
from dataclasses import dataclass, field
from pathlib import Path

from whichpod.cluster.local import readiness
from whichpod.cluster.local.expand import environment, expand
from whichpod.cluster.local.files import Files
from whichpod.cluster.local.images import WHICHPOD, image_of
from whichpod.cluster.local.images.base import Context
from whichpod.cluster.local.supervisor import Process, Supervisor
from whichpod.cluster.loopback.addresses import Block
from whichpod.manifest.bundle import Bundle
from whichpod.manifest.kinds import Container, Deployment
from whichpod.mesh.registry import Endpoint
from whichpod.model.errors import LabError

ZONE_LABEL = "topology.kubernetes.io/zone"
NODES = ("node-a", "node-b", "node-c")
"""Nodes that pods are said to run on, in turn."""
HOST_ADDRESS = 250
"""Number, among the lab's own addresses, of the one that is said to be every node's."""
_ASSUMED_READY_S = 2.0
_LABEL = re.compile(r"metadata\.(labels|annotations)\['([^']+)'\]")


@dataclass(slots=True, eq=False)
class Pod:
    """A pod of the lab."""

    name: str
    deployment: Deployment
    ip: str
    app_address: str
    """What its containers bind: its IP, or its private address where it has a sidecar."""
    node: str
    processes: list[Process] = field(default_factory=list)
    ready: bool = False

    @property
    def meshed(self) -> bool:
        """Whether it has a sidecar."""
        return self.app_address != self.ip

    @property
    def echo(self) -> bool:
        """Whether it has an echo server, which says who it is."""
        return any(image_of(c) is WHICHPOD for c in self.deployment.containers)

    @property
    def zone(self) -> str:
        """The zone that its labels name."""
        return self.deployment.pod_labels.get(ZONE_LABEL, "")

    def endpoint(self) -> Endpoint:
        """What the control plane and DNS know of it."""
        d = self.deployment
        return Endpoint(
            self.name, self.ip, d.pod_labels, d.ports(), d.meta.namespace, self.zone, ready=self.ready
        )

    def field(self, path: str, host_ip: str) -> str:
        """The value of a fieldRef. Labels and annotations that aren't there are empty."""
        meta, labels = self.deployment.meta, self.deployment.pod_labels
        keyed = _LABEL.fullmatch(path)
        if keyed:
            source = labels if keyed[1] == "labels" else self.deployment.pod_annotations
            return source.get(keyed[2], "")
        fields = {
            "metadata.name": self.name,
            "metadata.namespace": meta.namespace,
            "metadata.uid": str(uuid.uuid5(uuid.NAMESPACE_DNS, f"{self.name}.{meta.namespace}.{self.ip}")),
            "spec.nodeName": self.node,
            "spec.serviceAccountName": "default",
            "status.podIP": self.ip,
            "status.podIPs": self.ip,
            "status.hostIP": host_ip,
            "status.hostIPs": host_ip,
        }
        if path not in fields:
            raise LabError(f"{self.deployment.where}: the lab doesn't know the field {path!r} of a pod.")
        return fields[path]


def planned(bundle: Bundle, block: Block) -> list[Pod]:
    """The pods that the bundle asks for, none started. Raises LabError for what can't run here."""
    pods: list[Pod] = []
    several = len({d.meta.name for d in bundle.deployments}) < len(bundle.deployments)
    for deployment in bundle.deployments:
        meshed = bundle.injected(deployment)
        for container in deployment.containers:
            image = image_of(container)
            if meshed and image is not WHICHPOD:
                raise LabError(
                    f"{container.where}: the container {container.name} ({image.name}) is to have a "
                    "sidecar; in a loopback lab only pods of the image whichpod can have one.",
                    fix='Label the pods sidecar.istio.io/inject: "false".',
                )
        prefix = f"{deployment.meta.namespace}-" if several else ""
        for n in range(deployment.replicas):
            number = len(pods)
            ip = block.pod(number)
            pods.append(
                Pod(
                    f"{prefix}{deployment.meta.name}-{n}",
                    deployment,
                    ip,
                    block.private(number) if meshed else ip,
                    NODES[n % len(NODES)],
                )
            )
    return pods


@dataclass(frozen=True, slots=True)
class Kubelet:
    """Starts pods and tells when they are ready."""

    supervisor: Supervisor
    bundle: Bundle
    dns: str
    """HOST:PORT of the cluster's DNS."""
    host_ip: str
    timeout_s: float
    """How long a pod may take to get ready."""

    async def run(self, pod: Pod) -> None:
        """Starts a pod's containers and waits until they are ready.

        Raises LabError when one ends, or is not ready in time, with what it wrote last.
        """
        started = [(c, self._start(pod, c)) for c in pod.deployment.containers]
        pod.processes = [process for _, process in started]
        for container, process in started:
            await self._ready(pod, container, process)
        pod.ready = True

    def _start(self, pod: Pod, container: Container) -> Process:
        image = image_of(container)
        dns_host, _, dns_port = self.dns.rpartition(":")
        given = {"CLUSTER_DNS": self.dns, "CLUSTER_DNS_HOST": dns_host, "CLUSTER_DNS_PORT": dns_port}
        env = environment(container.env, lambda path: pod.field(path, self.host_ip), given)
        files = Files(self._folder(pod, container), image.own, container)
        files.mount(self.bundle, pod.deployment, container)
        return image.launch(
            Context(
                supervisor=self.supervisor,
                pod=pod.name,
                container=container,
                address=pod.app_address,
                env=env,
                command=tuple(expand(word, env) for word in container.command),
                args=tuple(expand(word, env) for word in container.args),
                files=files,
                dns=self.dns,
                alone=len(pod.deployment.containers) == 1,
            )
        )

    def _folder(self, pod: Pod, container: Container) -> Path:
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
                await readiness.attempt(check, pod.app_address, ports, timeout_s)
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
