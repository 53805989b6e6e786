"""One bundle, running on this machine's loopback addresses."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from functools import partial

from whichpod.cluster.local import binaries
from whichpod.cluster.local.bench import run_bench
from whichpod.cluster.local.client import run_client
from whichpod.cluster.local.dns.server import DnsServer
from whichpod.cluster.local.dns.zone import Zone
from whichpod.cluster.local.images import WHICHPOD, image_of
from whichpod.cluster.local.needs import needs_kube_proxy
from whichpod.cluster.local.pods import HOST_ADDRESS, Kubelet, Pod, planned
from whichpod.cluster.local.proxies import CLIENT_SIDECAR, KUBE_PROXY, PROXYLESS, Proxies
from whichpod.cluster.local.relay import Relay
from whichpod.cluster.local.supervisor import Supervisor
from whichpod.cluster.local.tasks import together, unless
from whichpod.cluster.local.usage import Watched
from whichpod.cluster.loopback.addresses import Block
from whichpod.cluster.protocol import Client, LoadRun, PodInfo, Via, dialled
from whichpod.load.progress import LoadProgress
from whichpod.manifest.bundle import Bundle
from whichpod.manifest.kinds import Service
from whichpod.mesh.registry import Registry
from whichpod.model.errors import LabError, UsageError
from whichpod.model.plan import Plan
from whichpod.model.report import Report
from whichpod.model.target import Target
from whichpod.model.usage import Role
from whichpod.probe.run import Progress

PODS_AT_ONCE = 16
"""Pods that start at a time: more would only take turns on the cores."""
_DNS, _MESHED_DNS = 1, 2


class LoopbackLab:
    """A lab. Made by LoopbackCluster; `start`, then `close` whatever happened."""

    def __init__(
        self,
        bundle: Bundle,
        block: Block,
        supervisor: Supervisor,
        *,
        progress: Callable[[str], None] | None = None,
        ready_timeout_s: float = 30.0,
    ) -> None:
        self._bundle = bundle
        self._block = block
        self._supervisor = supervisor
        self._say = progress or (lambda _: None)
        self._timeout_s = ready_timeout_s
        self._pods = planned(bundle, block)
        self._numbers = {id(s): n for n, s in enumerate(bundle.services)}
        self._proxies = Proxies(supervisor, block, ready_timeout_s)
        self._dns = DnsServer(lambda: self._zone(self._plain_view))
        self._meshed_dns = DnsServer(lambda: self._zone(self._meshed_view))
        self._relays: list[Relay] = []
        self._clients = 0
        self._known_registry: Registry | None = None
        self._zones: dict[Callable[[Service], str | None], Zone] = {}
        self._push_due = False
        self._up = False

    # Lab

    @property
    def pods(self) -> tuple[PodInfo, ...]:
        """The pods as they are now, sorted by name."""
        return tuple(
            PodInfo(
                p.name,
                p.ip,
                p.deployment.meta.name,
                p.deployment.meta.namespace,
                dict(p.deployment.pod_labels),
                p.ready,
            )
            for p in sorted(self._pods, key=lambda p: p.name)
        )

    async def probe(
        self, client: Client, plan: Plan, *, progress: Callable[[Progress], None] | None = None
    ) -> Report:
        """Runs a client forked from the lab's zygote; see the protocol."""
        client.check()
        return await unless(self._supervisor.broken, self._probe(client, plan, progress))

    async def bench(
        self, client: Client, plan: Plan, *, progress: Callable[[LoadProgress], None] | None = None
    ) -> LoadRun:
        """Runs a load client forked from the lab's zygote; see the protocol."""
        client.check()
        if client.via is Via.XDS:
            raise UsageError("The load engine does not speak xDS.", fix="Use a client via dns or endpoints.")
        return await unless(self._supervisor.broken, self._bench(client, plan, progress))

    async def kill(self, pod: str, signal: int) -> None:
        """Sends a signal to a pod's processes. Raises LabError where there is no such pod."""
        found = next((p for p in self._pods if p.name == pod), None)
        if found is None:
            names = ", ".join(p.name for p in self._pods)
            raise LabError(f"The lab has no pod {pod!r}.", fix=f"It has {names or 'none'}.")
        for process in found.processes:
            process.signal(signal)

    def environment(self) -> dict[str, str]:
        """The cluster's name, the versions of the proxies in play, and what stands in for what."""
        found = {"cluster": "loopback"}
        names = {image_of(c).binary for d in self._bundle.deployments for c in d.containers} - {""}
        if any(self._proxies.processes):
            names.add("envoy")
        for name in sorted(names):
            found[name] = binaries.version(name)
        return found | {"stand-ins": self._stand_ins()}

    # Start and end

    async def start(self, client: Client) -> None:
        """Starts everything that the bundle and this client need, and waits until it is ready."""
        await unless(self._supervisor.broken, self._start(client))

    async def _start(self, client: Client) -> None:
        await self._dns.start(self._block.own(_DNS))
        kubelet = Kubelet(
            self._supervisor,
            self._bundle,
            self._dns.address,
            self._block.own(HOST_ADDRESS),
            self._timeout_s,
        )
        first = [p for p in self._pods if p.echo]
        self._say(f"starting {len(self._pods)} pods")
        await together(
            [self._run_all(kubelet, first), self._start_sidecars(), self._provide(client)],
            at_once=3,
        )
        await self._proxies.settled(self._registry())
        # Proxies look for the pods behind them once, when they start; those come first.
        rest = [p for p in self._pods if not p.echo]
        if rest:
            await self._run_all(kubelet, rest)
            await self._proxies.settled(self._registry())
        self._up = True
        for pod in self._pods:
            for process in pod.processes:
                process.exited.add_done_callback(partial(self._ended, pod))

    async def _run_all(self, kubelet: Kubelet, pods: list[Pod]) -> None:
        ready = 0

        async def one(pod: Pod) -> None:
            nonlocal ready
            await kubelet.run(pod)
            ready += 1
            self._changed()
            self._say(f"{ready} of {len(pods)} pods ready")

        await together([one(p) for p in pods], at_once=PODS_AT_ONCE)

    async def _start_sidecars(self) -> None:
        meshed = [p for p in self._pods if p.meshed]
        await together([self._proxies.start_sidecar(p) for p in meshed], at_once=PODS_AT_ONCE)

    async def _provide(self, client: Client) -> None:
        """Starts what this client needs and isn't there yet. Not waited for: see Proxies.settled."""
        if needs_kube_proxy(self._bundle, client):
            await self._proxies.start_kube_proxy(self._cluster_ip)
        if client.meshed:
            if not self._meshed_dns.address:
                await self._meshed_dns.start(self._block.own(_MESHED_DNS))
            await self._proxies.start_client_sidecar(self._sidecar_listener)
        if client.via is Via.XDS:
            await self._proxies.proxyless()

    async def close(self) -> None:
        """Ends all processes, removes the folder, frees the addresses."""
        self._up = False
        try:
            await self._supervisor.close()
        finally:
            for relay in self._relays:
                await relay.stop()
            await self._dns.stop()
            await self._meshed_dns.stop()
            await self._proxies.stop()
            self._block.close()

    # A client

    async def _probe(self, client: Client, plan: Plan, progress: Callable[[Progress], None] | None) -> Report:
        target = await self._made_ready(client)
        env = await self._proxies.proxyless() if client.via is Via.XDS else {}
        report = await run_client(self._supervisor, self._client_name(), target, plan, env, progress)
        self._check_proxies()
        report.environment |= self.environment()
        return report

    async def _bench(
        self, client: Client, plan: Plan, progress: Callable[[LoadProgress], None] | None
    ) -> LoadRun:
        target = await self._made_ready(client)
        if client.via is Via.DNS:
            # The engine dials what the name stands for, and the name is what proxies route by.
            target = replace(target, authority=target.address.rpartition("/")[2])
        run = await run_bench(self._supervisor, self._client_name(), target, plan, self._watched(), progress)
        self._check_proxies()
        run.report.environment |= self.environment()
        return run

    async def _made_ready(self, client: Client) -> Target:
        before = self._proxies.names
        await self._provide(client)
        if self._proxies.names != before:
            await self._proxies.settled(self._registry())
        return await self._target(client)

    def _client_name(self) -> str:
        self._clients += 1
        return f"client-{self._clients}"

    def _check_proxies(self) -> None:
        for process in self._proxies.processes:
            if process.exited.done():
                raise LabError(
                    f"The {process.title} {process.how_it_ended()} while the client ran.{process.wrote()}"
                )

    def _watched(self) -> list[Watched]:
        """The processes whose CPU time is told of a load run."""
        pods = [
            Watched(
                process.title, Role.SERVER if image_of(container) is WHICHPOD else Role.PROXY, process.pid
            )
            for pod in self._pods
            for container, process in zip(pod.deployment.containers, pod.processes, strict=False)
            if not process.exited.done()
        ]
        proxies = [
            Watched(p.title, Role.STAND_IN if p.title == KUBE_PROXY else Role.PROXY, p.pid)
            for p in self._proxies.processes
        ]
        return [*pods, *proxies]

    async def _target(self, client: Client) -> Target:
        address = await self._address(client)
        known = self._known(client)
        return Target(address, known=known, known_by="lab" if known else None)

    async def _address(self, client: Client) -> str:
        if client.via in (Via.ENDPOINTS, Via.POD):
            pods = [p for p in self._of(client.deployment) if p.ready]
            if not pods:
                raise LabError(f"No pod of the Deployment {client.deployment} is ready.")
            if client.via is Via.POD:
                return f"{pods[0].ip}:{client.port}"
            return "ipv4:" + ",".join(f"{p.ip}:{client.port}" for p in pods)
        service = dialled(self._bundle, client)
        name = f"{service.host}:{client.port}"
        if client.via is Via.XDS:
            return f"xds:///{name}"
        if client.via is Via.PORT_FORWARD:
            return await self._forward(service, client.port)
        return f"dns://{(self._meshed_dns if client.meshed else self._dns).address}/{name}"

    async def _forward(self, service: Service, port: int) -> str:
        """kubectl takes the first ready pod of a Service, and that pod's own port."""
        found = service.find_port(port)
        behind = self._registry().behind(service, found) if found else ()
        if not behind:
            raise LabError(
                f"No pod of the Service {service.meta.name} is ready, so none can be forwarded to."
            )
        endpoint, number = behind[0]
        pod = next(p for p in self._pods if p.ip == endpoint.address)
        relay = Relay(pod.app_address, number)
        self._relays.append(relay)
        return await relay.start()

    def _known(self, client: Client) -> tuple[str, ...]:
        """The pods that should answer: those that are ready and can say who they are."""
        if client.deployment and not client.backends:
            pods = self._of(client.deployment)
        else:
            service = self._bundle.service(client.backends or client.service)
            pods = [
                p for p in self._pods if service.selects(p.deployment.meta.namespace, p.deployment.pod_labels)
            ]
        return tuple(p.name for p in pods if p.ready and p.echo)

    def _of(self, deployment: str) -> list[Pod]:
        found = self._bundle.deployment(deployment)
        return [p for p in self._pods if p.deployment == found]

    # What is known where

    def _registry(self) -> Registry:
        if self._known_registry is None:
            self._known_registry = Registry(self._bundle, tuple(p.endpoint() for p in self._pods))
        return self._known_registry

    def _zone(self, view: Callable[[Service], str | None]) -> Zone:
        if view not in self._zones:
            self._zones[view] = Zone(self._registry(), view)
        return self._zones[view]

    def _plain_view(self, service: Service) -> str | None:
        return None if service.headless else self._cluster_ip(service)

    def _meshed_view(self, service: Service) -> str | None:
        # A headless Service's connections go where the client dials them, under Istio too.
        return None if service.headless else self._sidecar_listener(service)

    def _cluster_ip(self, service: Service) -> str:
        return self._block.cluster_ip(self._numbers[id(service)])

    def _sidecar_listener(self, service: Service) -> str:
        return self._block.sidecar_listener(self._numbers[id(service)])

    def _changed(self) -> None:
        """Another set of pods is ready: DNS answers so at once, proxies hear of it in a moment."""
        self._known_registry = None
        self._zones.clear()
        if self._up and not self._push_due:
            # Pods that end together make one push.
            self._push_due = True
            asyncio.get_running_loop().call_soon(self._push)

    def _push(self) -> None:
        self._push_due = False
        if self._up:
            self._proxies.push(self._registry())

    def _ended(self, pod: Pod, _: object) -> None:
        if self._up and pod.ready:
            pod.ready = False
            self._changed()

    def _stand_ins(self) -> str:
        """A sentence on what is not as in a cluster."""
        said = ["pods are processes with addresses of 127/8"]
        started = self._proxies.names
        if KUBE_PROXY in started:
            said.append(
                "an Envoy TCP proxy that chooses a pod at random per connection stands for kube-proxy's NAT"
            )
        if any(p.meshed for p in self._pods) or CLIENT_SIDECAR in started:
            said.append("sidecars are Envoys reached by name resolution instead of redirected connections")
        if CLIENT_SIDECAR in started or PROXYLESS in started:
            said.append("the control plane is whichpod's, which translates as istiod does")
        if self._relays:
            said.append("a relay to the pod's own port stands for kubectl port-forward")
        return "; ".join(said)
