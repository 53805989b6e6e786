"""The clients of a lab: probes, load, programs of the user's, and the way from outside."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace

from whichpod.cluster.local.bench import run_bench
from whichpod.cluster.local.client import run_client
from whichpod.cluster.local.fabric import Fabric
from whichpod.cluster.local.images import PROGRAM, WHICHPOD, image_of
from whichpod.cluster.local.pods import Pod
from whichpod.cluster.local.programs import Command, Reach
from whichpod.cluster.local.supervisor import Process, Supervisor
from whichpod.cluster.local.usage import Watched
from whichpod.cluster.local.workloads import Workloads
from whichpod.cluster.protocol import Client, LoadRun, Via, dialled
from whichpod.load.progress import LoadProgress
from whichpod.mesh.registry import Registry
from whichpod.model.errors import LabError
from whichpod.model.plan import PEER, Plan
from whichpod.model.report import Report
from whichpod.model.target import Target
from whichpod.model.usage import Role
from whichpod.probe.run import Progress


class Clients:
    """Starts clients in a lab: `registry`, `settle` and `environment` are the lab's own."""

    def __init__(
        self,
        supervisor: Supervisor,
        fabric: Fabric,
        workloads: Workloads,
        registry: Callable[[], Registry],
        settle: Callable[[], Awaitable[None]],
        environment: Callable[[], dict[str, str]],
    ) -> None:
        self._supervisor = supervisor
        self._fabric = fabric
        self._workloads = workloads
        self._registry = registry
        self._settle = settle
        self._environment = environment
        self._count = 0
        self._settled = True
        """Whether all that was started for clients is known to have taken its configuration."""

    async def probe(self, client: Client, plan: Plan, progress: Callable[[Progress], None] | None) -> Report:
        """See the protocol."""
        target = await self._made_ready(client, plan)
        standing = self._fabric.client(client)
        report = await run_client(self._supervisor, self._name("client"), target, plan, standing, progress)
        self._fabric.check()
        report.environment |= self._environment()
        return report

    async def bench(
        self, client: Client, plan: Plan, progress: Callable[[LoadProgress], None] | None
    ) -> LoadRun:
        """See the protocol."""
        target = await self._made_ready(client, plan)
        if client.via is Via.DNS and not client.authority:
            # The engine dials what the name stands for, and the name is what proxies route by.
            target = replace(target, authority=target.address.rpartition("/")[2])
        standing = self._fabric.client(client)
        run = await run_bench(
            self._supervisor, self._name("client"), target, plan, standing, self._watched(), progress
        )
        self._fabric.check()
        run.report.environment |= self._environment()
        return run

    async def exec(self, command: Command, *, pod: str = "", meshed: bool = False) -> Process:
        """Runs a program of this machine in a pod's network, with the variables of its first container;
        without a pod where a client stands, behind a sidecar or not. Its environment says where Services are.

        Raises LabError where there is no such pod, or nothing that a client could reach.
        """
        if pod:
            found, client = self._workloads.find(pod), Client()
            standing, given = self._fabric.standing(found), self._workloads.variables(found)
        else:
            client = await self.anybody(meshed=meshed)
            standing, given = self._fabric.client(client), {}
        reach = Reach(self._workloads.bundle, self._fabric, client, standing)
        return self._supervisor.exec(
            self._name("exec"),
            await reach.filled_in(command.argv),
            title=f"command {command.argv[0]}",
            env={**command.env, **await reach.environment(), **standing.env, **given},
            cwd=command.folder,
            network=standing.network,
            descriptors=command.descriptors,
            terminal=command.terminal,
        )

    async def anybody(self, *, meshed: bool) -> Client:
        """A client that is there, for whatever it will dial. Raises LabError where there is no Service."""
        for service in sorted(self._workloads.bundle.services, key=lambda s: s.headless):
            client = Client(f"{service.meta.namespace}/{service.meta.name}", meshed=meshed)
            await self._provided(client)
            return client
        raise LabError("The manifests have no Service, which a client could reach.")

    async def _provided(self, client: Client) -> None:
        self._settled = not await self._fabric.provide(client) and self._settled
        if not self._settled:
            await self._settle()
            self._settled = True

    async def _made_ready(self, client: Client, plan: Plan) -> Target:
        await self._provided(client)
        known = self._known(client, plan)
        return Target(
            await self._address(client),
            tls=client.tls,
            authority=client.authority,
            known=known,
            known_by="lab" if known else None,
        )

    def _name(self, kind: str) -> str:
        self._count += 1
        return f"{kind}-{self._count}"

    def _watched(self) -> list[Watched]:
        """The processes whose CPU time is told of a load run."""
        pods = [
            Watched(
                process.title,
                Role.SERVER if image_of(container) in (WHICHPOD, PROGRAM) else Role.PROXY,
                process.pid,
            )
            for pod in self._workloads.pods
            for container in pod.containers
            # One that hasn't started yet, or has ended, uses nothing.
            if (process := pod.processes.get(container.name)) and process.pid and not process.exited.done()
        ]
        proxies = [
            Watched(p.title, Role.STAND_IN if stands_in else Role.PROXY, p.pid)
            for p, stands_in in self._fabric.proxies
            if p.pid and not p.exited.done()
        ]
        return [*pods, *proxies]

    async def _address(self, client: Client) -> str:
        if client.via in (Via.ENDPOINTS, Via.POD):
            pods = [p for p in self._of(client.deployment) if p.ready]
            if not pods:
                raise LabError(f"No pod of the Deployment {client.deployment} is ready.")
            if client.via is Via.POD:
                return f"{pods[0].ip}:{client.port}"
            return "ipv4:" + ",".join(f"{p.ip}:{client.port}" for p in pods)
        service = dialled(self._workloads.bundle, client)
        if client.via is Via.XDS:
            return f"xds:///{service.host}:{client.port}"
        if client.via is Via.PORT_FORWARD:
            return await self.forward(client.service, client.port, client=True)
        return f"{self._fabric.uri(client, service)}:{client.port}"

    async def forward(self, name: str, port: int, *, client: bool = False) -> str:
        """Relays a port of 127.0.0.1 to a Service's port, as kubectl does: to the first ready pod's own port.
        `client`: where one of the lab's clients reaches it.

        Returns HOST:PORT. Raises LabError, UsageError.
        """
        service = self._workloads.bundle.service(name)
        found = service.find_port(port)
        behind = self._registry().behind(service, found) if found else ()
        if not behind:
            raise LabError(
                f"No pod of the Service {service.meta.name} is ready, so none can be forwarded to."
            )
        endpoint, number = behind[0]
        pod = next(p for p in self._workloads.pods if p.ip == endpoint.address)
        return await self._fabric.forward(pod, number, client=client)

    def _known(self, client: Client, plan: Plan) -> tuple[str, ...]:
        """The pods that should answer: those that are ready and can be told apart.

        Echo pods say who they are. Others are taken to be known by their names, which they have as HOSTNAME,
        or by their addresses where the client connects to them itself.
        """
        if client.deployment and not client.backends:
            pods, direct = self._of(client.deployment), client.via is Via.ENDPOINTS
        else:
            service = self._workloads.bundle.service(client.backends or client.service)
            direct = service.headless and not client.backends and client.via is Via.DNS
            pods = [
                p
                for p in self._workloads.pods
                if service.selects(p.deployment.meta.namespace, p.deployment.pod_labels)
            ]
        ready = [p for p in pods if p.ready]
        if plan.identify == PEER:
            return tuple(p.ip for p in ready) if direct else ()
        return tuple(p.name for p in ready if p.echo or plan.method)

    def _of(self, deployment: str) -> list[Pod]:
        return self._workloads.of(self._workloads.bundle.deployment(deployment))
