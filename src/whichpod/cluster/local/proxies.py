"""The lab's Envoys (kube-proxy and sidecars) and the control plane that feeds them and proxyless clients."""

from __future__ import annotations

import asyncio
import json
import signal
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import dataclass
from typing import Any

from whichpod.cluster.local import binaries, readiness
from whichpod.cluster.local.http import get
from whichpod.cluster.local.images.base import base_environment
from whichpod.cluster.local.images.envoy import complete
from whichpod.cluster.local.pods import Pod
from whichpod.cluster.local.readiness import Connect
from whichpod.cluster.local.supervisor import Process, Supervisor
from whichpod.cluster.local.tasks import together
from whichpod.cluster.loopback.addresses import Block
from whichpod.manifest.kinds import Service, ServicePort, TcpCheck
from whichpod.mesh.ads import AdsServer
from whichpod.mesh.bootstrap import envoy_bootstrap, proxyless_bootstrap
from whichpod.mesh.inbound import inbound
from whichpod.mesh.kube_proxy import kube_proxy
from whichpod.mesh.outbound import outbound
from whichpod.mesh.proxyless import proxyless
from whichpod.mesh.registry import Registry
from whichpod.mesh.resources import Resources
from whichpod.model.errors import LabError

KUBE_PROXY = "kube-proxy"
CLIENT_SIDECAR = "sidecar of the client"
PROXYLESS = "proxyless client"
ADMIN_PORT = 15000
"""Istio's port for Envoy's administration interface, on the pod's localhost."""
_ADS, _KUBE_PROXY_ADMIN, _CLIENT_ADMIN = 10, 20, 21
_AT_ONCE = 16


@dataclass(slots=True)
class _Node:
    resources: Callable[[Registry], Resources]
    process: Process | None = None
    admin: str = ""
    """Address of its administration interface."""
    fixed: bool = False
    """Whether the resources depend on the manifests only, not on which pods are ready."""
    given: object = None
    """The bundle for which they were given last."""


class Proxies:
    """Starts what is asked for, once, and keeps all of it up to date."""

    def __init__(self, supervisor: Supervisor, block: Block, timeout_s: float) -> None:
        self._supervisor = supervisor
        self._block = block
        self._timeout_s = timeout_s
        self._ads = AdsServer()
        self._starting = asyncio.Lock()
        self._nodes: dict[str, _Node] = {}

    @property
    def names(self) -> tuple[str, ...]:
        """Those that were started, and proxyless clients."""
        return tuple(self._nodes)

    @property
    def processes(self) -> Iterator[Process]:
        """The Envoys."""
        return (n.process for n in self._nodes.values() if n.process)

    @property
    def sidecars(self) -> bool:
        """Whether there is a sidecar among them."""
        return any(n.process for name, n in self._nodes.items() if name != KUBE_PROXY)

    async def start_kube_proxy(self, listen: Callable[[Service], str]) -> None:
        """The stand-in for the kernel's NAT; `listen` gives a Service's ClusterIP."""
        admin = self._block.own(_KUBE_PROXY_ADMIN)
        await self._start_envoy(KUBE_PROXY, admin, lambda r: kube_proxy(r, _port(listen)))

    async def start_client_sidecar(self, listen: Callable[[Service], str]) -> None:
        """The client's sidecar; `listen` gives the address that stands for a Service's interception."""
        admin = self._block.own(_CLIENT_ADMIN)
        await self._start_envoy(CLIENT_SIDECAR, admin, lambda r: outbound(r, _port(listen)))

    async def start_sidecar(self, pod: Pod) -> None:
        """The sidecar of a pod that serves."""
        others = [p.port for c in pod.deployment.containers for p in c.ports if p.protocol == "TCP"]
        await self._start_envoy(
            sidecar_of(pod.name),
            pod.place.app_address,
            lambda r: inbound(r, pod.endpoint(), pod.place.app_address, other_ports=others),
            zone=pod.zone,
            fixed=True,
        )

    def stop_sidecar(self, pod: Pod) -> None:
        """Ends a pod's sidecar; nothing where it has none."""
        node = self._nodes.pop(sidecar_of(pod.name), None)
        if node and node.process:
            self._ads.forget(sidecar_of(pod.name))
            node.process.signal(signal.SIGTERM)

    async def proxyless(self) -> None:
        """Has resources for a gRPC client that speaks xDS itself."""
        await self._control_plane()
        self._nodes.setdefault(PROXYLESS, _Node(proxyless))

    def proxyless_env(self) -> dict[str, str]:
        """The environment of such a client."""
        return {"GRPC_XDS_BOOTSTRAP_CONFIG": proxyless_bootstrap(PROXYLESS, self._ads.address)}

    def push(self, registry: Registry) -> None:
        """Gives every proxy its configuration as it is with these endpoints."""
        for name, node in self._nodes.items():
            self._give(name, node, registry)

    def _give(self, name: str, node: _Node, registry: Registry) -> None:
        if not (node.fixed and node.given is registry.bundle):
            self._ads.set(name, node.resources(registry))
            node.given = registry.bundle

    async def settled(self, registry: Registry) -> None:
        """Pushes, and waits until every Envoy has accepted its configuration and listens where it should.

        Raises LabError with Envoy's own words when one refuses or ends.
        """
        self.push(registry)
        await together(
            [
                self._settle(name, n.process, n.resources(registry))
                for name, n in self._nodes.items()
                if n.process
            ],
            at_once=_AT_ONCE,
        )

    async def sidecar_settled(self, pod: Pod, registry: Registry) -> None:
        """The same for one pod's sidecar; at once where it has none."""
        name = sidecar_of(pod.name)
        node = self._nodes.get(name)
        if node and node.process:
            self._give(name, node, registry)
            await self._settle(name, node.process, node.resources(registry))

    def check(self) -> None:
        """Raises LabError where an Envoy has ended."""
        for process in self.processes:
            if process.exited.done():
                raise LabError(
                    f"The {process.title} {process.how_it_ended()} while the client ran.{process.wrote()}"
                )

    async def admin(self, owner: str, path: str, connect: Connect) -> bytes:
        """GET from the administration interface of a pod's sidecar, or of the client's (`client`).

        Raises LabError where there is none, or where it doesn't answer.
        """
        node = self._nodes.get(CLIENT_SIDECAR if owner == "client" else sidecar_of(owner))
        if not node or not node.process:
            raise LabError(f"{owner} has no sidecar.")
        return await get(connect, node.admin, ADMIN_PORT, path, self._timeout_s)

    async def stop(self) -> None:
        """Stops the control plane. The Envoys end with the lab."""
        await self._ads.stop()

    async def restart(self) -> None:
        """Starts the control plane at the address that it had; nothing where there was none."""
        if self._ads.address:
            host, _, port = self._ads.address.rpartition(":")
            await self._ads.start(host, int(port))

    async def _control_plane(self) -> str:
        async with self._starting:
            return self._ads.address or await self._ads.start(self._block.own(_ADS))

    async def _start_envoy(
        self,
        name: str,
        admin: str,
        resources: Callable[[Registry], Resources],
        *,
        zone: str = "",
        fixed: bool = False,
    ) -> None:
        if name in self._nodes:
            return
        node = self._nodes[name] = _Node(resources, admin=admin, fixed=fixed)
        address = await self._control_plane()
        bootstrap = envoy_bootstrap(name, address, f"{admin}:{ADMIN_PORT}", zone=zone)
        slug = name.replace(" ", "-")
        file = self._supervisor.folder / f"{slug}.json"
        file.write_text(json.dumps(bootstrap), encoding="utf-8")
        argv = [str(binaries.find("envoy")), *complete(["-c", str(file)])]
        env = base_environment(self._supervisor.folder)
        node.process = self._supervisor.exec(slug, argv, title=name, env=env)

    async def _settle(self, name: str, process: Process, resources: Resources) -> None:
        await _while_it_runs(process, self._ads.acked(name, self._timeout_s))
        for listener in resources.listeners.values():
            at = listener["address"]["socket_address"]
            await _while_it_runs(process, self._listening(name, at["address"], at["port_value"]))

    async def _listening(self, name: str, host: str, port: int) -> None:
        deadline = asyncio.get_running_loop().time() + self._timeout_s
        async for _ in readiness.attempts(deadline):
            try:
                return await readiness.attempt(TcpCheck(port), host, {}, 1)
            except readiness.NotReadyError as e:
                reason = str(e)
        raise LabError(f"The {name} does not listen on {host}:{port}: {reason}.")


def sidecar_of(pod: str) -> str:
    """The name of a pod's sidecar, as the control plane knows it."""
    return f"sidecar of pod {pod}"


def _port(listen: Callable[[Service], str]) -> Callable[[Service, ServicePort], tuple[str, int]]:
    return lambda service, port: (listen(service), port.port)


async def _while_it_runs(process: Process, job: Coroutine[Any, Any, None]) -> None:
    task = asyncio.create_task(job)
    both: set[asyncio.Future[Any]] = {task, process.exited}
    try:
        await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
        if not task.done():
            raise LabError(f"The {process.title} {process.how_it_ended()}.{process.wrote()}")
        await task
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
