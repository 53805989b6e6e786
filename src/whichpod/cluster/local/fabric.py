"""What a lab stands on: where its pods live, and how packets get from one to another."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from whichpod.cluster.protocol import Client
from whichpod.manifest.kinds import Service
from whichpod.mesh.registry import Registry

if TYPE_CHECKING:
    from whichpod.cluster.local.pods import Pod
    from whichpod.cluster.local.supervisor import Process, Supervisor


@dataclass(frozen=True, slots=True)
class Place:
    """Where a pod lives."""

    ip: str
    app_address: str
    """What its containers bind where they say "all addresses" or localhost; empty where the pod has a network
    of its own, in which these words mean what they say."""
    dialled: str
    """What the kubelet dials to see whether it is ready: its containers, past its sidecar."""


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a process stands: what it is started with."""

    network: str = ""
    """Name of a pod's network for `Supervisor.exec` and `fork`; empty: the lab's own."""
    env: Mapping[str, str] = field(default_factory=dict)


class Fabric(Protocol):
    """Networks for the pods of one lab. Made for it; `start`, then `stop` whatever happened.

    All methods are called in the lab's event loop. Those that start something raise LabError where it
    doesn't come up.
    """

    name: str
    dns: str
    """HOST:PORT of the cluster's DNS, as pods reach it; once started."""
    host_ip: str
    """What is said to be every node's address."""
    any_meshed: bool
    """Whether pods of all images can have a sidecar, not only whichpod's."""

    # Pods

    def place(self, number: int, *, meshed: bool) -> Place:
        """The addresses of the lab's pod number `number`, from 0. Raises LabError where there is no room."""

    async def attach(self, pod: Pod, *, kept: bool = False) -> None:
        """Gives a pod its network, and its sidecar where it is to have one; before its containers start.
        `kept`: the caller starts that anew when it ends, see `sidecar`."""

    async def detach(self, pod: Pod) -> None:
        """Takes both away, once its containers have ended."""

    def standing(self, pod: Pod, /) -> Standing:
        """Where the pod's containers start."""

    async def connect(self, address: str, port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """A TCP connection from the node to a pod. Raises OSError."""

    async def enter(self, pod: Pod, port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """A TCP connection to a pod's localhost, from inside of it. Raises OSError."""

    async def forward(self, pod: Pod, port: int, *, client: bool = False) -> str:
        """Relays a port of this machine's 127.0.0.1 to a pod's localhost, as kubectl port-forward does;
        `client`: where one of the lab's clients reaches it.

        Returns HOST:PORT.
        """

    # Clients

    async def provide(self, client: Client) -> bool:
        """Starts what a client needs and isn't there yet: kube-proxy, a sidecar, its pod.

        Says whether anything was started, so that `push` and `settled` are due.
        """

    def client(self, client: Client) -> Standing:
        """Where a client starts; it was provided for."""

    def uri(self, client: Client, service: Service) -> str:
        """What a client dials to reach a Service by its name, as a gRPC name without scheme or with one."""

    # Services and sidecars

    def cluster_ip(self, service: Service) -> str:
        """A Service's ClusterIP."""

    def push(self, registry: Registry) -> None:
        """Another set of pods is ready, or other manifests hold: names answer so at once, rules and proxies
        follow."""

    async def settled(self) -> None:
        """Waits until all has taken what was pushed last. Raises LabError in a proxy's words."""

    async def joined(self, pod: Pod) -> None:
        """Waits until a pod's sidecar has taken its configuration; at once where it has none."""

    def sidecar(self, pod: Pod) -> Process | None:
        """A pod's sidecar, as it was started last; None where it has none."""

    def restart_sidecar(self, pod: Pod) -> None:
        """Starts a pod's sidecar anew, which has ended. `joined` waits for it."""

    def check(self) -> None:
        """Raises LabError where something that it started has ended, but for sidecars that are kept."""

    @property
    def proxies(self) -> Iterator[tuple[Process, bool]]:
        """The proxies that it started, and of each whether it stands in for the kernel's work."""

    async def sidecar_admin(self, owner: str, path: str) -> bytes:
        """GET from the administration interface of the sidecar of a pod, or of the client (`client`).

        Raises LabError where there is no such sidecar.
        """

    # Faults

    async def stop_dns(self) -> None:
        """The cluster's DNS goes silent: nobody listens any more."""

    async def start_dns(self) -> None:
        """It is back, at the same address."""

    async def stop_control_plane(self) -> None:
        """The control plane dies."""

    async def start_control_plane(self) -> None:
        """It is back, at the same address."""

    # The whole

    async def start(self, supervisor: Supervisor) -> None:
        """Brings up what pods need before the first of them starts: the node, DNS."""

    async def stop(self) -> None:
        """Closes what belongs to the run itself; the processes end with the lab."""

    def parts(self) -> set[str]:
        """Names, for `binaries.version`, of programs that it has started."""

    def facts(self) -> dict[str, str]:
        """What a report says of it besides."""

    def real(self) -> list[str]:
        """What is as in a cluster, in words."""

    def stand_ins(self) -> list[str]:
        """What is not as in a cluster, in words."""
