"""One bundle, running in a cluster."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import signal as signals
import threading
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from whichpod.cluster.kubernetes.address import address_of, pods_address
from whichpod.cluster.kubernetes.api import Api, Document
from whichpod.cluster.kubernetes.clients import Clients
from whichpod.cluster.kubernetes.dress import IMAGE, dress
from whichpod.cluster.kubernetes.forward import forwarded
from whichpod.cluster.kubernetes.gateways import await_gateway, await_routes
from whichpod.cluster.kubernetes.harden import pod_security
from whichpod.cluster.kubernetes.home import Home, check_free, claim, leave
from whichpod.cluster.kubernetes.jobs import GRACE_S, client_job
from whichpod.cluster.kubernetes.kinds import POD
from whichpod.cluster.kubernetes.names import INJECT, fitting
from whichpod.cluster.kubernetes.ready import Pods, await_endpoints, await_ready, wanted_pods
from whichpod.cluster.kubernetes.settings import Settings
from whichpod.cluster.kubernetes.sweep import objects_of, remove
from whichpod.cluster.kubernetes.task import Task
from whichpod.cluster.kubernetes.trouble import is_ready
from whichpod.cluster.protocol import Client, LoadRun, PodInfo, Via, dialled
from whichpod.manifest.bundle import Bundle
from whichpod.manifest.documents import documents
from whichpod.model.codec import from_json
from whichpod.model.errors import ClusterError, LabError, UsageError
from whichpod.model.plan import Plan
from whichpod.model.report import Report
from whichpod.model.target import Target
from whichpod.model.usage import Usage

if TYPE_CHECKING:
    from whichpod.cluster.kubernetes.facts import Facts
    from whichpod.load.progress import LoadProgress
    from whichpod.probe.run import Progress

PROGRESS_S = 1.0
"""How often a client says how far it is."""
MOST_S = 600.0
"""How long a client may take whose plan doesn't say."""
LEAVE_S = 60.0
"""How long removing may take."""
PORT_FORWARD = "here, through port-forward"

T = TypeVar("T")


class KubernetesLab:
    """A lab. Made by KubernetesCluster, which also removes what it made, whatever happened."""

    def __init__(
        self,
        api: Api,
        facts: Facts,
        settings: Settings,
        bundle: Bundle,
        namespace: str,
        *,
        environment: Mapping[str, str],
        progress: Callable[[str], None] | None = None,
        ready_timeout_s: float,
    ) -> None:
        self._api = api
        self._facts = facts
        self._settings = settings
        self._environment = dict(environment)
        self._bundle = bundle
        self._namespace = namespace
        self._say = progress or (lambda _: None)
        self._timeout_s = ready_timeout_s
        self._home: Home | None = None
        self._pods = Pods({}, {})
        self._clients = 0
        self._where: set[str] = set()
        self._gateway = ""

    # Lab

    @property
    def pods(self) -> tuple[PodInfo, ...]:
        """The pods as they were when last looked at, sorted by name."""
        return tuple(
            PodInfo(
                pod["metadata"]["name"],
                _ip(pod),
                deployment,
                self._namespace,
                dict(pod["metadata"].get("labels") or {}),
                is_ready(pod),
            )
            for deployment, pod in sorted(
                ((name, pod) for name in self._pods.wanted for pod in self._pods.of(name)),
                key=lambda found: str(found[1]["metadata"]["name"]),
            )
        )

    async def probe(
        self, client: Client, plan: Plan, *, progress: Callable[[Progress], None] | None = None
    ) -> Report:
        """Runs a client where the scenario says: in a Job, or here through port-forward; see the protocol."""
        client.check()
        target = self._target(client)
        if client.via is Via.PORT_FORWARD:
            report = await self._probe_here(client, target, plan, progress)
        else:
            from whichpod.probe.run import Progress

            report = await self._in_job("probe", client, target, plan, _teller(Progress, progress))
        report.environment |= self.environment()
        return report

    async def bench(
        self, client: Client, plan: Plan, *, progress: Callable[[LoadProgress], None] | None = None
    ) -> LoadRun:
        """Runs the load engine in a Job; see the protocol. Nobody tells what the pods' processes used."""
        client.check()
        if client.via in (Via.XDS, Via.PORT_FORWARD):
            raise UsageError(
                f"The load engine can't be a client via {client.via} in a cluster.",
                fix="Use a client via dns or endpoints.",
            )
        target = self._target(client)
        if client.via is Via.DNS:
            # The engine dials what the name stands for, and the name is what proxies route by.
            target = replace(target, authority=target.address.rpartition("/")[2])
        from whichpod.load.progress import LoadProgress

        report = await self._in_job("bench", client, target, plan, _teller(LoadProgress, progress))
        report.environment |= self.environment()
        return LoadRun(report, Usage())

    async def kill(self, pod: str, signal: int) -> None:
        """Deletes a pod: SIGTERM gives it its grace, SIGKILL none. Others can't be sent through the API."""
        if signal not in (signals.SIGTERM, signals.SIGKILL):
            raise UsageError("In a cluster pods get SIGTERM or SIGKILL only.", fix="Use the loopback lab.")
        if not any(info.name == pod for info in self.pods):
            names = ", ".join(info.name for info in self.pods)
            raise LabError(f"The lab has no pod {pod!r}.", fix=f"It has {names or 'none'}.")
        grace = 0 if signal == signals.SIGKILL else None
        await self._api.delete(POD, pod, self._namespace, grace_s=grace)

    def environment(self) -> dict[str, str]:
        """The cluster's name, the versions of what is in play, and what is real."""
        found = self._environment | {"namespace": self._namespace}
        return found | ({"client": ", ".join(sorted(self._where))} if self._where else {})

    # Start and end

    async def start(self, client: Client) -> None:
        """Applies everything and waits until it is ready.

        Raises UsageError for a namespace or an object that is somebody else's, ClusterError with the reason
        where pods don't come.
        """
        facts, settings = self._facts, self._settings
        dressed = dress(
            documents(self._bundle),
            run=settings.run,
            namespace=self._namespace,
            image=settings.image,
            pull_policy=settings.pull_policy,
            istio=bool(facts.istio),
            native_sidecars=facts.native_sidecars,
            revision=facts.revision,
            cluster_dns=facts.cluster_dns,
            gateway_class=settings.gateway_class or next(iter(facts.gateway_classes), ""),
        )
        found = [self._served(document) for document in dressed]
        level = pod_security(found, istio_init=not facts.istio_cni)
        meshed_client = client.meshed or client.via is Via.XDS
        if meshed_client and not facts.istio_cni:
            level = "privileged"  # the client's Job gets an init container that sets iptables
        self._say(f"making the namespace {self._namespace}")
        self._home = await claim(self._api, self._namespace, run=settings.run, level=level, says=self._say)
        if not self._home.made:
            await check_free(self._api, found, run=settings.run)
        self._pods = wanted_pods(found)
        self._say(f"starting {self._pods.total} pods")
        for document in found:
            await self._api.apply(document)
        await await_ready(
            self._api,
            self._pods,
            run=settings.run,
            namespace=self._namespace,
            within_s=self._timeout_s,
            says=self._say,
        )
        for service in self._bundle.services:
            behind = [self._pods.of(d.meta.name) for d in self._bundle.behind(service)]
            addresses = [_ip(pod) for pods in behind for pod in pods if is_ready(pod)]
            await await_endpoints(
                self._api, service.meta.name, self._namespace, addresses, within_s=self._timeout_s
            )

        if client.gateway:
            self._gateway = await await_gateway(
                self._api,
                client.gateway,
                self._namespace,
                client.port,
                within_s=self._timeout_s,
                says=self._say,
            )
        await await_routes(self._api, found, within_s=self._timeout_s, says=self._say)

    @property
    def home(self) -> Home | None:
        """The namespace, once there is one."""
        return self._home

    def _served(self, document: Document) -> Document:
        """In the version that this Istio serves: v1 came with 1.22."""
        group, _, version = document["apiVersion"].partition("/")
        if group.endswith(".istio.io") and version == "v1" and self._facts.istio_api:
            return document | {"apiVersion": f"{group}/{self._facts.istio_api}"}
        return document

    # A client

    def _target(self, client: Client) -> Target:
        if client.tls or client.authority:
            raise UsageError("A client's TLS and authority belong to labs of this machine.")
        known = self._known(client)
        return Target(self._address(client), known=known, known_by="lab" if known else None)

    def _address(self, client: Client) -> str:
        if client.via in (Via.ENDPOINTS, Via.POD):
            ips = [_ip(pod) for pod in self._pods.of(client.deployment) if is_ready(pod)]
            if not ips:
                raise ClusterError(f"No pod of {client.deployment} is ready.")
            return pods_address(ips if client.via is Via.ENDPOINTS else ips[:1], client.port)
        if client.via is Via.PORT_FORWARD:
            return ""  # known once it is forwarded
        return self._gateway or address_of(client, self._bundle, self._namespace)

    def _known(self, client: Client) -> tuple[str, ...]:
        """The pods that should answer: those that are ready and can say who they are."""
        if client.deployment and not client.backends:
            found = [self._bundle.deployment(client.deployment)]
        else:
            found = list(self._bundle.behind(self._bundle.service(client.backends or client.service)))
        return tuple(
            str(pod["metadata"]["name"])
            for deployment in found
            if any(container.image == IMAGE for container in deployment.containers)
            for pod in self._pods.of(deployment.meta.name)
            if is_ready(pod)
        )

    async def _in_job(
        self,
        do: Literal["probe", "bench"],
        client: Client,
        target: Target,
        plan: Plan,
        tell: Callable[[dict[str, Any]], None],
    ) -> Report:
        facts, settings = self._facts, self._settings
        self._clients += 1
        longest = longest_s(plan)
        task = Task(do, target, plan, limit_s=longest, progress_s=PROGRESS_S)
        proxyless = client.via is Via.XDS
        job = client_job(
            settings.run,
            fitting("client", str(self._clients)),
            self._namespace,
            settings.image,
            meshed=client.meshed,
            proxyless=proxyless,
            native_sidecars=facts.native_sidecars,
            revision=facts.revision,
            deadline_s=longest + self._timeout_s + GRACE_S,
            pull_policy=settings.pull_policy,
            env=task.env(),
        )
        if not facts.istio:
            # Nobody reads it there, and policies may refuse what they don't know.
            del job["spec"]["template"]["metadata"]["labels"][INJECT]
        self._where.add("a Job in the mesh" if client.meshed or proxyless else "a Job")

        def told(_: int, said: dict[str, Any]) -> None:
            self._say(f"sending: {said.get('done', 0)} RPCs done")
            tell(said)

        clients = Clients(
            self._api,
            job,
            meshed=client.meshed or proxyless,
            ready_timeout_s=self._timeout_s,
            says=self._say,
            progress=told,
        )
        return await clients.run_one()

    async def _probe_here(
        self, client: Client, target: Target, plan: Plan, progress: Callable[[Progress], None] | None
    ) -> Report:
        service = dialled(self._bundle, client)
        port = service.find_port(client.port)
        pods = [
            (pod, deployment)
            for deployment in self._bundle.behind(service)
            for pod in self._pods.of(deployment.meta.name)
            if is_ready(pod)
        ]
        if not pods or port is None:
            raise ClusterError(f"No pod of the Service {service.meta.name} is ready to be forwarded to.")
        # kubectl takes the first ready pod of a Service, and that pod's own port.
        pod, deployment = pods[0]
        number = (
            port.target_port if isinstance(port.target_port, int) else deployment.ports()[port.target_port]
        )
        self._where.add(PORT_FORWARD)
        name = str(pod["metadata"]["name"])
        async with forwarded(self._api, name, self._namespace, number) as forward:
            try:
                return await probe_here(replace(target, address=forward.address), plan, progress)
            finally:
                forward.check()


async def clear(api: Api, home: Home, run: str, says: Callable[[str], None]) -> None:
    """Removes a run's objects: with the namespace, where it made that one, else by its label."""
    if home.made:
        await leave(api, home, patience_s=min(api.connection.patience_s, LEAVE_S / 4))
    else:
        await remove(api, await objects_of(api, home.name, run=run), within_s=LEAVE_S, says=says)


async def probe_here(
    target: Target, plan: Plan, progress: Callable[[Progress], None] | None = None
) -> Report:
    """Runs a probe in a thread of this process; cancelled, it ends early and its report is returned."""
    from whichpod.probe.run import probe

    stop = threading.Event()
    return await _finished(
        asyncio.to_thread(functools.partial(probe, target, plan, progress=progress, stop=stop)), stop
    )


async def _finished(work: Coroutine[Any, Any, T], stop: threading.Event) -> T:
    task = asyncio.ensure_future(work)
    while True:
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            if task.done():
                raise
            stop.set()


def _teller(kind: type[T], progress: Callable[[T], None] | None) -> Callable[[dict[str, Any]], None]:
    def tell(said: dict[str, Any]) -> None:
        if progress:
            # An image of another version may say it differently; its report counts, not this.
            with contextlib.suppress(ValueError):
                progress(from_json(kind, said))

    return tell


def longest_s(plan: Plan) -> float:
    """How long a plan may take, in seconds, before its client is told to end."""
    if plan.duration_s is not None:
        return plan.warmup_s + 2 * plan.duration_s + 60.0
    if plan.rate and plan.requests:
        return plan.warmup_s + 2 * plan.requests / plan.rate + 60.0
    return MOST_S


def _ip(pod: Document) -> str:
    return str((pod.get("status") or {}).get("podIP") or "")
