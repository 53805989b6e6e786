"""What a place to run scenarios can do. Three are meant: loopback, network namespaces, Kubernetes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Protocol

from whichpod.manifest.bundle import Bundle
from whichpod.manifest.kinds import Service
from whichpod.model.errors import LabError, UsageError
from whichpod.model.events import LabEvent as LabEvent
from whichpod.model.plan import Plan
from whichpod.model.report import Report
from whichpod.model.target import Tls
from whichpod.model.usage import Usage

if TYPE_CHECKING:
    from whichpod.load.progress import LoadProgress
    from whichpod.probe.run import Progress


class Via(StrEnum):
    """How the client reaches the backends."""

    DNS = "dns"
    """The Service's name, resolved by the cluster's DNS."""
    XDS = "xds"
    """The Service's name over xds:///, from the control plane, without a sidecar."""
    PORT_FORWARD = "port-forward"
    """A relay to one pod of the Service, past its sidecar, as kubectl port-forward does."""
    ENDPOINTS = "endpoints"
    """A static list of the addresses of the Deployment's pods."""
    POD = "pod"
    """The address of the Deployment's first pod."""


@dataclass(frozen=True, slots=True)
class Client:
    """Where a scenario's client stands, and what it dials."""

    service: str = ""
    """Service to dial, for DNS, XDS and PORT_FORWARD."""
    deployment: str = ""
    """Deployment whose pods are dialled, for ENDPOINTS and POD."""
    port: int = 50051
    """Service port; for a Deployment, the container's."""
    via: Via = Via.DNS
    meshed: bool = False
    """Whether the client has a sidecar of its own."""
    locality: str = ""
    """Where it is said to be, REGION/ZONE/SUBZONE, of which the end may be missing: what its sidecar, or xDS
    without one, is told depends on it. In labs of this machine only; one place for all clients of a lab."""
    backends: str = ""
    """Service whose pods should answer, where it isn't the one that is dialled (an edge proxy's)."""
    gateway: str = ""
    """Gateway (of the Gateway API) to dial at `port` instead of the Service; in a Kubernetes cluster only."""
    tls: Tls | None = None
    """Its own TLS, beside what sidecars do; in labs of this machine only, whose files these are."""
    authority: str = ""
    """The :authority that it sends instead of what it dials; in labs of this machine only."""

    def check(self) -> None:
        """Raises UsageError where the parts don't fit together."""
        if self.locality and not (self.meshed or self.via is Via.XDS):
            raise UsageError("A client's locality means nothing without a sidecar or xDS.")
        if self.gateway and (self.via is not Via.DNS or self.meshed):
            raise UsageError("A client of a gateway dials it by name, and has no sidecar.")
        by_pod = self.via in (Via.ENDPOINTS, Via.POD)
        if by_pod != bool(self.deployment) or by_pod == bool(self.service):
            needed = "a deployment, not a service" if by_pod else "a service, not a deployment"
            raise UsageError(f"A client via {self.via} dials {needed}.")
        if self.meshed and self.via is not Via.DNS:
            raise UsageError(
                f"A client via {self.via} can't have a sidecar: the sidecar stands in for DNS names only."
            )


def dialled(bundle: Bundle, client: Client) -> Service:
    """The Service that a client dials. Raises LabError where it hasn't the client's port."""
    service = bundle.service(client.service)
    if service.find_port(client.port) is None:
        ports = ", ".join(str(p.port) for p in service.ports)
        raise LabError(
            f"{service.where}: the Service {service.meta.name} has no port {client.port}, which the client "
            "dials.",
            fix=f"It has {ports or 'none'}.",
        )
    return service


@dataclass(frozen=True, slots=True)
class PodInfo:
    """A pod that runs."""

    name: str
    ip: str
    deployment: str
    namespace: str = "default"
    labels: dict[str, str] = field(default_factory=dict)
    ready: bool = False
    ending: bool = False
    """Whether it was told to end."""
    restarts: int = 0
    """How often one of its containers was started anew."""
    meshed: bool = False
    node: str = ""
    zone: str = ""
    state: str = ""
    """`starting`, `running`, `back-off` (it ended too often), `stopped` (by SIGSTOP) or `ending`."""
    reason: str = ""
    """Why it isn't ready, or what was wrong last."""


@dataclass(frozen=True, slots=True)
class LoadRun:
    """A run of the load engine in a lab."""

    report: Report
    usage: Usage
    """What the lab's processes used meanwhile."""


class Lab(Protocol):
    """One bundle of manifests, running."""

    @property
    def pods(self) -> tuple[PodInfo, ...]:
        """The pods as they are now, sorted by name."""

    async def probe(
        self, client: Client, plan: Plan, *, progress: Callable[[Progress], None] | None = None
    ) -> Report:
        """Runs a client in a process of its own. The report's target has the pods that should answer.

        Cancelled, it stops the client, and the report of what was measured so far is kept.
        Raises TargetError where nothing could be reached, LabError where the lab broke.
        """

    async def bench(
        self, client: Client, plan: Plan, *, progress: Callable[[LoadProgress], None] | None = None
    ) -> LoadRun:
        """Runs the load engine on the echo service in a process of its own; cancelled, as `probe` does.

        Where the client's name has several addresses, the engine balances over them itself. The engine does
        not speak xDS: UsageError. Raises else what `probe` raises.
        """

    async def kill(self, pod: str, signal: int) -> None:
        """Sends a signal to a pod's process."""

    def environment(self) -> dict[str, str]:
        """The cluster's name, the versions of the parts in play, and what stands in for what."""


class LiveLab(Lab, Protocol):
    """A lab in which things happen: pods come, go, slow down and fail.

    Containers that end are started anew, and readiness is probed on, as kubelets do.
    Deployments and pods are named by NAME, or NAMESPACE/NAME. Every method is told in `events`. All raise
    LabError or UsageError for a name that isn't there.
    """

    @property
    def bundle(self) -> Bundle:
        """The manifests as they hold now."""

    @property
    def events(self) -> Sequence[LabEvent]:
        """What has happened so far, in order."""

    async def apply(self, bundle: Bundle) -> None:
        """Other manifests hold. Returns when the pods that they ask for are ready. Raises ManifestError."""

    async def scale(self, deployment: str, replicas: int) -> None:
        """Another number of pods. Returns when new ones are ready and superfluous ones have begun to end."""

    async def restart(self, deployment: str) -> None:
        """A rolling restart with a Deployment's default surge. Returns when the new pods are ready."""

    async def delete(self, pod: str) -> None:
        """Ends a pod in order, with its grace; another one takes its place."""

    async def kill(self, pod: str, signal: int, container: str = "") -> None:
        """Sends a signal to a pod's processes: SIGKILL, or SIGSTOP and SIGCONT for one that hangs. With the
        name of a container to that one only: `istio-proxy` is the sidecar."""

    async def fault(self, pod: str, faults: Mapping[str, Any] | None) -> None:
        """Makes an echo pod slow or failing, in the words of `whichpod serve --faults`; None makes it well.

        Raises LabError for a pod that runs something else.
        """

    async def control_plane(self, *, up: bool) -> None:
        """Stops the control plane, or starts it again."""

    async def dns(self, *, up: bool) -> None:
        """Stops the cluster's DNS, or starts it again."""

    async def sidecar(self, owner: str, path: str) -> bytes:
        """GET from the administration interface of the sidecar of a pod, or of the client (`client`)."""

    def logs(self, pod: str) -> str:
        """What a pod's containers have written."""

    async def settled(self) -> None:
        """Waits until pods that were told to end are gone and all proxies have what was pushed."""


class LiveCluster(Protocol):
    """A place where live labs run."""

    name: str

    def live(
        self,
        bundle: Bundle,
        *,
        clients: Sequence[Client] = (),
        progress: Callable[[str], None] | None = None,
        ready_timeout_s: float = 30.0,
    ) -> AbstractAsyncContextManager[LiveLab]:
        """Starts all that the bundle and its clients need, ready when entered, gone when left."""


class Cluster(Protocol):
    """A place where labs run."""

    name: str
    mutual_tls: bool
    """Whether its sidecars authenticate and encrypt what they send to one another."""

    @property
    def lost(self) -> bool:
        """Whether it went away, so that nothing more can run."""

    def missing(self, bundle: Bundle, client: Client) -> str | None:
        """Why this can't run here, with the way to get what is missing; None where it can."""

    def lab(
        self,
        bundle: Bundle,
        *,
        client: Client,
        progress: Callable[[str], None] | None = None,
        ready_timeout_s: float = 30.0,
    ) -> AbstractAsyncContextManager[Lab]:
        """Starts all that the bundle and its client need, ready when entered, gone when left."""
