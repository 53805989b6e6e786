"""The lab's Envoys and the control plane that feeds them and proxyless clients."""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

from whichpod.cluster.local import binaries, readiness
from whichpod.cluster.local.http import get
from whichpod.cluster.local.images.base import base_environment
from whichpod.cluster.local.images.envoy import complete
from whichpod.cluster.local.readiness import Connect
from whichpod.cluster.local.supervisor import Process, Supervisor
from whichpod.cluster.local.tasks import together
from whichpod.mesh.ads import AdsServer
from whichpod.mesh.bootstrap import envoy_bootstrap, proxyless_bootstrap
from whichpod.mesh.caller import Caller
from whichpod.mesh.identity import Authority, Identity
from whichpod.mesh.proxyless import proxyless
from whichpod.mesh.registry import Registry
from whichpod.mesh.resources import Resources
from whichpod.model.errors import LabError

CLIENT = "client"
"""What the client is called where else a pod's name stands."""
CLIENT_SIDECAR = "sidecar of the client"
CLIENT_ACCOUNT = ("default", "default")
"""Namespace and service account of the client."""
PROXYLESS = "proxyless client"
ADMIN_PORT = 15000
"""Istio's port for Envoy's administration interface, on the pod's localhost."""
END_S = 5.0
"""How long a sidecar whose pod ends goes on at most: what Istio's agent gives it (istio.io, ProxyConfig,
terminationDrainDuration)."""
_AT_ONCE = 16
_DRAIN = ("--drain-time-s", "45", "--drain-strategy", "immediate")
"""How connections end whose listener has changed, as Istio starts its sidecars (pkg/envoy/proxy.go): with the
next response, and after 45 s in any case. Without this they would go on for ten minutes as before."""


@dataclass(slots=True)
class _Node:
    resources: Callable[[Registry], Resources]
    launch: Callable[[], Process] | None = None
    """Starts it, and starts it anew."""
    process: Process | None = None
    admin: str = ""
    """Address of its administration interface."""
    connect: Connect = asyncio.open_connection
    """How that is reached."""
    fixed: bool = False
    """Whether the resources depend on the manifests only, not on which pods are ready."""
    kept: bool = False
    """Whether somebody starts it anew when it ends, so that its end is no error."""
    given: object = None
    """The bundle for which they were given last."""

    @property
    def down(self) -> bool:
        """Whether it has ended, and is started anew sooner or later."""
        return self.kept and self.process is not None and self.process.exited.done()


class Proxies:
    """Starts what is asked for, once, and keeps all of it up to date."""

    def __init__(self, supervisor: Supervisor, control_plane: str, timeout_s: float) -> None:
        """`control_plane`: the address on which it listens, or unix:PATH."""
        self._supervisor = supervisor
        self._listen = control_plane
        self._timeout_s = timeout_s
        self._ads = AdsServer()
        self._authority: Authority | None = None
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

    async def start(
        self,
        name: str,
        resources: Callable[[Registry], Resources],
        *,
        admin: str = "127.0.0.1",
        connect: Connect = asyncio.open_connection,
        zone: str = "",
        fixed: bool = False,
        network: str = "",
        account: tuple[str, str] | None = None,
        mark: int = 0,
        kept: bool = False,
    ) -> bool:
        """Starts an Envoy, or starts it anew where it has ended; says whether it did either. It gets its
        configuration by `push`.

        Its administration interface listens on `admin`, and `connect` reaches it. `fixed`: its resources
        depend on the manifests only. `network` is where it lives. A sidecar has the certificate of an
        `account`: namespace and service account. `mark`: see envoy_bootstrap. `kept`: the caller starts it
        anew when it ends, by `again`.
        """
        if found := self._nodes.get(name):
            ended = found.process is not None and found.process.exited.done()
            if ended and not found.kept:
                self.again(name)
            return ended and not found.kept
        node = self._nodes[name] = _Node(resources, admin=admin, connect=connect, fixed=fixed, kept=kept)
        address = await self._control_plane()
        identity = self._identity(*account) if account else None
        bootstrap = envoy_bootstrap(
            name, address, f"{admin}:{ADMIN_PORT}", zone=zone, identity=identity, mark=mark
        )
        slug = name.replace(" ", "-")
        file = self._supervisor.folder / f"{slug}.json"
        # A sidecar's private key is in it.
        file.touch(mode=0o600)
        file.write_text(json.dumps(bootstrap), encoding="utf-8")
        argv = [str(binaries.find("envoy")), *complete(["-c", str(file), *(_DRAIN if account else ())])]
        env = base_environment(self._supervisor.folder)
        # One life's log goes on where the one before has ended.
        node.launch = partial(self._supervisor.exec, slug, argv, title=name, env=env, network=network)
        node.process = node.launch()
        return True

    def process(self, name: str) -> Process | None:
        """An Envoy's process, the last one that it had; None where there is none of that name."""
        node = self._nodes.get(name)
        return node.process if node else None

    def again(self, name: str) -> None:
        """Starts an Envoy anew that has ended, as it was; nothing where there is none of that name."""
        node = self._nodes.get(name)
        if node and node.launch:
            node.process = node.launch()

    async def end(self, name: str) -> None:
        """Ends an Envoy, once all others have heard what was pushed last, so that nobody sends it anything;
        nothing where there is none of that name."""
        node = self._nodes.pop(name, None)
        if node and node.process:
            self._ads.forget(name)
            with contextlib.suppress(LabError):
                others = [n for n, other in self._nodes.items() if other.process and self._ads.connected(n)]
                await together([self._ads.acked(n, END_S) for n in others], at_once=len(others) or 1)
            node.process.signal(signal.SIGTERM)
            await asyncio.wait({node.process.exited}, timeout=END_S)
            node.process.signal(signal.SIGKILL)
            await asyncio.wait({node.process.exited})

    async def proxyless(self, caller: Caller) -> None:
        """Has resources for a gRPC client that speaks xDS itself."""
        await self._control_plane()
        self._nodes.setdefault(PROXYLESS, _Node(lambda r: proxyless(r, caller=caller)))

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

        Raises LabError with Envoy's own words when one refuses or ends; one that is started anew later is
        not waited for.
        """
        self.push(registry)

        async def one(name: str, node: _Node, process: Process) -> None:
            try:
                await self._settle(name, node, process, node.resources(registry))
            except LabError:
                if not node.down:
                    raise

        await together(
            [one(name, n, n.process) for name, n in self._nodes.items() if n.process and not n.down],
            at_once=_AT_ONCE,
        )

    async def one_settled(self, name: str, registry: Registry) -> None:
        """The same for one of them; at once where there is none of that name."""
        node = self._nodes.get(name)
        if node and node.process:
            self._give(name, node, registry)
            await self._settle(name, node, node.process, node.resources(registry))

    def check(self) -> None:
        """Raises LabError where an Envoy has ended that nobody starts anew."""
        for node in self._nodes.values():
            process = node.process
            if process and process.exited.done() and not node.kept:
                raise LabError(
                    f"The {process.title} {process.how_it_ended()} while the client ran.{process.wrote()}"
                )

    async def admin(self, owner: str, path: str) -> bytes:
        """GET from the administration interface of a pod's sidecar, or of the client's (`client`).

        Raises LabError where there is none, or where it doesn't answer.
        """
        node = self._nodes.get(CLIENT_SIDECAR if owner == CLIENT else sidecar_of(owner))
        if not node or not node.process:
            raise LabError(f"{owner} has no sidecar.")
        return await get(node.connect, node.admin, ADMIN_PORT, path, self._timeout_s)

    async def stop(self) -> None:
        """Stops the control plane. The Envoys end with the lab."""
        await self._ads.stop()

    async def restart(self) -> None:
        """Starts the control plane at the address that it had; nothing where there was none."""
        if self._ads.address:
            host, _, port = self._ads.address.rpartition(":")
            await (self._ads.start(host, int(port)) if port.isdigit() else self._ads.start(self._listen))

    def _identity(self, namespace: str, service_account: str) -> Identity:
        """From the lab's own authority, which is made with its first sidecar."""
        self._authority = self._authority or Authority()
        return self._authority.identity(namespace, service_account)

    async def _control_plane(self) -> str:
        async with self._starting:
            return self._ads.address or await self._ads.start(self._listen)

    async def _settle(self, name: str, node: _Node, process: Process, resources: Resources) -> None:
        try:
            await _while_it_runs(process, self._ads.acked(name, self._timeout_s))
            await _while_it_runs(process, self._listening(name, node, set(resources.listeners)))
        except LabError:
            if self._nodes.get(name) is node:  # else its pod was told to end meanwhile
                raise

    async def _listening(self, name: str, node: _Node, wanted: set[str]) -> None:
        """Listeners may wait for clusters and routes before they begin, and Envoy may be starting yet."""
        why = ""
        deadline = asyncio.get_running_loop().time() + self._timeout_s
        async for _ in readiness.attempts(deadline):
            try:
                said = await get(node.connect, node.admin, ADMIN_PORT, "/listeners", self._timeout_s)
            except LabError as e:
                why = e.message
                continue
            absent = wanted - {line.rpartition("::")[0] for line in said.decode().splitlines()}
            if not absent:
                return
            why = f"It does not listen as {min(absent)}."
        raise LabError(f"The {name} is not ready: {why}")


def sidecar_of(pod: str) -> str:
    """The name of a pod's sidecar, as the control plane knows it."""
    return f"sidecar of pod {pod}"


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
