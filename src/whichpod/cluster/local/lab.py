"""One bundle, running on this machine."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from whichpod.cluster.local import binaries
from whichpod.cluster.local.clients import Clients
from whichpod.cluster.local.controllers import Controllers
from whichpod.cluster.local.events import Events
from whichpod.cluster.local.fabric import Fabric
from whichpod.cluster.local.images import image_of
from whichpod.cluster.local.kubelet import Kubelet
from whichpod.cluster.local.pods import check_images
from whichpod.cluster.local.programs import Command
from whichpod.cluster.local.proxies import CLIENT
from whichpod.cluster.local.supervisor import Process, Supervisor
from whichpod.cluster.local.tasks import together, unless
from whichpod.cluster.local.workloads import Workloads
from whichpod.cluster.protocol import Client, LoadRun, PodInfo, Via
from whichpod.echo.faultfile import faults_over
from whichpod.echo.faults import Faults
from whichpod.load.progress import LoadProgress
from whichpod.manifest.bundle import Bundle
from whichpod.mesh.registry import Registry
from whichpod.model.errors import LabError, UsageError, WhichpodError
from whichpod.model.plan import Plan
from whichpod.model.report import Report
from whichpod.probe.run import Progress

_REST = 9.0
"""How long it is left between pushes, in terms of what one takes: with a thousand pods that come one by one
there would be time for nothing else. istiod waits as well (PILOT_DEBOUNCE_AFTER, 100 ms)."""


class LocalLab:
    """A lab, see LiveLab. Made by a cluster; `start`, then `close` whatever happened."""

    def __init__(
        self,
        bundle: Bundle,
        fabric: Fabric,
        supervisor: Supervisor,
        *,
        live: bool = False,
        progress: Callable[[str], None] | None = None,
        ready_timeout_s: float = 30.0,
    ) -> None:
        self._supervisor = supervisor
        self._fabric = fabric
        self._say = progress or (lambda _: None)
        self._workloads = Workloads(
            bundle,
            fabric,
            Kubelet(supervisor, fabric, ready_timeout_s),
            live=live,
            changed=self._changed,
            settle=self._settle,
            say=self._say,
        )
        self._controllers = Controllers(self._workloads)
        self._workloads.plan()
        self._clients = Clients(
            supervisor, fabric, self._workloads, self.registry, self._settle, self.environment
        )
        self._known_registry: Registry | None = None
        self._push_due = False
        self._push_not_before = 0.0
        self._up = False
        self.control_plane_up = self.dns_up = True
        """Whether they were left to run."""

    # Lab

    @property
    def bundle(self) -> Bundle:
        """The manifests as they hold now."""
        return self._workloads.bundle

    @property
    def pods(self) -> tuple[PodInfo, ...]:
        """The pods as they are now, sorted by name."""
        return tuple(p.info() for p in sorted(self._workloads.pods, key=lambda p: p.name))

    @property
    def events(self) -> Events:
        """What has happened so far."""
        return self._workloads.events

    @property
    def fabric(self) -> Fabric:
        """What it stands on."""
        return self._fabric

    @property
    def broken(self) -> asyncio.Future[None]:
        """Fails with a LabError when the lab's processes are lost."""
        return self._supervisor.broken

    @property
    def workloads(self) -> Workloads:
        """Its pods, as they are run."""
        return self._workloads

    async def probe(
        self, client: Client, plan: Plan, *, progress: Callable[[Progress], None] | None = None
    ) -> Report:
        """Runs a client forked from the lab's zygote; see the protocol."""
        client.check()
        return await unless(self._supervisor.broken, self._clients.probe(client, plan, progress))

    async def bench(
        self, client: Client, plan: Plan, *, progress: Callable[[LoadProgress], None] | None = None
    ) -> LoadRun:
        """Runs a load client forked from the lab's zygote; see the protocol."""
        client.check()
        if client.via is Via.XDS:
            raise UsageError("The load engine does not speak xDS.", fix="Use a client via dns or endpoints.")
        return await unless(self._supervisor.broken, self._clients.bench(client, plan, progress))

    def environment(self) -> dict[str, str]:
        """The cluster's name, the versions of the proxies in play, and what stands in for what."""
        found = {"cluster": self._fabric.name}
        names = {image_of(c).binary for d in self.bundle.deployments for c in d.containers} - {""}
        for name in sorted(names | self._fabric.parts()):
            found[name] = binaries.version(name)
        said = {"real": "; ".join(self._fabric.real()), "stand-ins": "; ".join(self._fabric.stand_ins())}
        return found | self._fabric.facts() | said

    # What is done to it

    async def apply(self, bundle: Bundle) -> None:
        """Other manifests hold; see the protocol."""
        check_images(bundle, any_meshed=self._fabric.any_meshed)
        try:
            self._fabric.push(Registry(bundle, self.registry().endpoints, mutual_tls=True))
        except WhichpodError:
            self._push()  # as it was
            raise
        self._happened("apply", "manifests")
        await self._guarded(self._controllers.apply(bundle))
        await self._settle()

    async def scale(self, deployment: str, replicas: int) -> None:
        """Another number of pods; see the protocol."""
        found = self.bundle.deployment(deployment)
        self._happened("scale", found.meta.name, f"{len(self._workloads.of(found))} to {replicas}")
        await self._guarded(self._controllers.scale(found, replicas))

    async def restart(self, deployment: str) -> None:
        """A rolling restart; see the protocol."""
        found = self.bundle.deployment(deployment)
        self._happened("restart", found.meta.name)
        await self._guarded(self._controllers.restart(found))

    async def delete(self, pod: str) -> None:
        """Ends a pod in order; see the protocol."""
        found = self._workloads.find(pod)
        self._happened("delete", pod)
        await self._guarded(self._controllers.delete(found))

    async def kill(self, pod: str, signal: int, container: str = "") -> None:
        """Sends a signal to a pod's processes, or to those of one container; `istio-proxy` is its sidecar.

        Raises LabError where there is no such pod, UsageError where it has no such container.
        """
        found = self._workloads.find(pod)
        self._workloads.signal(found, signal, container)
        self._happened("kill", pod, f"signal {signal}{f' to {container}' if container else ''}")

    async def fault(self, pod: str, faults: Mapping[str, Any] | None) -> None:
        """Makes an echo pod slow or failing, or well again; see the protocol."""
        found = self._workloads.find(pod)
        if not found.echo:
            raise LabError(
                f"The pod {pod} runs no echo server, which could be told to be slow or to fail.",
                fix="Give its clients an Istio VirtualService with a fault instead.",
            )
        if faults:
            faults_over(Faults(), faults, f"The faults of {pod}")
        self._happened("fault" if faults else "well", pod, json.dumps(dict(faults)) if faults else "")
        self._workloads.fault(found, faults)

    async def control_plane(self, *, up: bool) -> None:
        """Stops the control plane, or starts it again."""
        self._happened("start" if up else "stop", "control plane")
        self.control_plane_up = up
        await (self._fabric.start_control_plane() if up else self._fabric.stop_control_plane())

    async def dns(self, *, up: bool) -> None:
        """Stops the cluster's DNS, or starts it again."""
        self._happened("start" if up else "stop", "DNS")
        self.dns_up = up
        await (self._fabric.start_dns() if up else self._fabric.stop_dns())

    async def sidecar(self, owner: str, path: str) -> bytes:
        """GET from a sidecar's administration interface; see the protocol."""
        if owner == CLIENT:
            await self._clients.anybody(meshed=True)
        else:
            self._workloads.find(owner)
        return await self._fabric.sidecar_admin(owner, path)

    def logs(self, pod: str) -> str:
        """What a pod's containers have written, those of earlier lives first."""
        return self._workloads.logs(self._workloads.find(pod))

    async def exec(self, command: Command, *, pod: str = "", meshed: bool = False) -> Process:
        """Runs a program of this machine where a pod or a client stands: see Clients.exec."""
        return await self._clients.exec(command, pod=pod, meshed=meshed)

    async def forward(self, name: str, port: int) -> str:
        """Relays a port of 127.0.0.1 to a Service's port, as kubectl does: see Clients.forward."""
        return await self._clients.forward(name, port)

    async def settled(self) -> None:
        """Waits until pods that were told to end are gone and all proxies have what was pushed."""
        await self._guarded(self._workloads.settled())
        await self._settle()

    def _happened(self, kind: str, what: str, detail: str = "") -> None:
        self._workloads.events.add(kind, what, detail)

    async def _guarded(self, job: Any) -> None:
        await unless(self._supervisor.broken, job)

    # Start and end

    async def start(self, clients: Sequence[Client]) -> None:
        """Starts everything that the bundle and these clients need, and waits until it is ready."""
        await self._guarded(self._start(clients))

    async def _start(self, clients: Sequence[Client]) -> None:
        await self._fabric.start(self._supervisor)
        self._push()
        self._say(f"starting {len(self._workloads.pods)} pods")
        await together([self._workloads.start(), *map(self._provide, clients)], at_once=1 + len(clients))
        self._up = True
        await self._settle()

    async def _provide(self, client: Client) -> None:
        await self._fabric.provide(client)

    async def close(self) -> None:
        """Ends all processes, removes the folder, frees the addresses."""
        self._up = False
        try:
            await self._workloads.stop()
            await self._supervisor.close()
        finally:
            await self._fabric.stop()

    # What is known where

    def registry(self) -> Registry:
        """The manifests, and the pods behind their Services."""
        if self._known_registry is None:
            endpoints = tuple(p.endpoint() for p in self._workloads.pods)
            self._known_registry = Registry(self.bundle, endpoints, mutual_tls=True)
        return self._known_registry

    def _changed(self) -> None:
        """Another set of pods is ready: names answer so at once, proxies hear of it in a moment."""
        self._known_registry = None
        if self._up and not self._push_due:
            # Pods that come or go together make one push.
            self._push_due = True
            loop = asyncio.get_running_loop()
            loop.call_at(max(loop.time(), self._push_not_before), self._push)

    def _push(self) -> None:
        loop = asyncio.get_running_loop()
        began = loop.time()
        self._push_due = False
        self._fabric.push(self.registry())
        self._push_not_before = loop.time() + _REST * (loop.time() - began)

    async def _settle(self) -> None:
        self._push()
        await self._fabric.settled()
