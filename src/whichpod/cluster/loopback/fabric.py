"""The loopback lab's networks: every pod has an address of 127/8, names stand in for interception."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator

from whichpod.cluster.local.dns.server import DnsServer
from whichpod.cluster.local.dns.zone import Zone
from whichpod.cluster.local.fabric import Place, Standing
from whichpod.cluster.local.needs import caller_of, needs_kube_proxy
from whichpod.cluster.local.pods import Pod
from whichpod.cluster.local.proxies import CLIENT_ACCOUNT, CLIENT_SIDECAR, PROXYLESS, Proxies, sidecar_of
from whichpod.cluster.local.relay import Relay
from whichpod.cluster.local.supervisor import Process, Supervisor
from whichpod.cluster.loopback.addresses import Block
from whichpod.cluster.protocol import Client, Via
from whichpod.manifest.kinds import Service, ServicePort
from whichpod.mesh.inbound import inbound
from whichpod.mesh.kube_proxy import kube_proxy
from whichpod.mesh.outbound import outbound
from whichpod.mesh.registry import Registry

KUBE_PROXY = "kube-proxy"
HOST_ADDRESS = 250
"""Number, among the lab's own addresses, of the one that is said to be every node's."""
_DNS, _MESHED_DNS, _ADS, _KUBE_PROXY_ADMIN, _CLIENT_ADMIN = 1, 2, 10, 20, 21


class LoopbackFabric:
    """See Fabric."""

    name = "loopback"
    any_meshed = False

    def __init__(self, block: Block, ready_timeout_s: float) -> None:
        self._block = block
        self._timeout_s = ready_timeout_s
        self._registry = Registry.empty()
        self._numbers: dict[str, int] = {}
        self._zones: dict[Callable[[Service], str | None], Zone] = {}
        self._dns = DnsServer(lambda: self._zone(self._plain_view))
        self._meshed_dns = DnsServer(lambda: self._zone(self._meshed_view))
        self._relays: list[Relay] = []
        self._proxies: Proxies
        self.host_ip = block.own(HOST_ADDRESS)
        self.dns = ""

    async def start(self, supervisor: Supervisor) -> None:
        """Brings up DNS; proxies come when somebody needs them."""
        self._proxies = Proxies(supervisor, self._block.own(_ADS), self._timeout_s)
        self.dns = await self._dns.start(self._block.own(_DNS))

    async def stop(self) -> None:
        """Closes relays, DNS and the control plane, and gives the addresses back."""
        for relay in self._relays:
            await relay.stop()
        await self._dns.stop()
        await self._meshed_dns.stop()
        if hasattr(self, "_proxies"):
            await self._proxies.stop()
        self._block.close()

    # Pods

    def place(self, number: int, *, meshed: bool) -> Place:
        """An address; with a sidecar a private one besides, for the application behind it."""
        ip = self._block.pod(number)
        own = self._block.private(number) if meshed else ip
        return Place(ip, own, own)

    async def attach(self, pod: Pod, *, kept: bool = False) -> None:
        """Addresses of 127/8 are there already; starts the sidecar."""
        if pod.meshed:
            own, others = pod.place.app_address, pod.deployment.tcp_ports()
            await self._proxies.start(
                sidecar_of(pod.name),
                lambda r: inbound(r, pod.endpoint(), own, other_ports=others),
                admin=own,
                zone=pod.zone,
                fixed=True,
                account=pod.account,
                kept=kept,
            )

    async def detach(self, pod: Pod) -> None:
        """Ends the sidecar."""
        await self._proxies.end(sidecar_of(pod.name))

    async def joined(self, pod: Pod) -> None:
        """Waits for the sidecar."""
        await self._proxies.one_settled(sidecar_of(pod.name), self._registry)

    def standing(self, _pod: Pod, /) -> Standing:
        """All pods share the machine's network."""
        return Standing()

    async def connect(self, address: str, port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """A connection."""
        return await asyncio.open_connection(address, port)

    async def enter(self, pod: Pod, port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """A connection to the address that stands for the pod's localhost."""
        return await asyncio.open_connection(pod.place.app_address, port)

    async def forward(self, pod: Pod, port: int, *, client: bool = False) -> str:  # noqa: ARG002
        """A relay to the pod's own port, past its sidecar."""
        relay = Relay(lambda: self.enter(pod, port))
        self._relays.append(relay)
        return await relay.start()

    # Clients

    async def provide(self, client: Client) -> bool:
        """kube-proxy for a ClusterIP, a sidecar and its view of names for a meshed client, the control plane
        for xDS."""
        before, again = self._proxies.names, False
        if needs_kube_proxy(self._registry.bundle, client):
            again |= await self._proxies.start(
                KUBE_PROXY,
                lambda r: kube_proxy(r, self._virtual),
                admin=self._block.own(_KUBE_PROXY_ADMIN),
            )
        if client.meshed:
            if not self._meshed_dns.address:
                await self._meshed_dns.start(self._block.own(_MESHED_DNS))
            again |= await self._proxies.start(
                CLIENT_SIDECAR,
                lambda r: outbound(r, self._intercepted, caller=caller_of(client)),
                admin=self._block.own(_CLIENT_ADMIN),
                account=CLIENT_ACCOUNT,
            )
        if client.via is Via.XDS:
            await self._proxies.proxyless(caller_of(client))
        return again or self._proxies.names != before

    def client(self, client: Client) -> Standing:
        """A proxyless client is told where the control plane is."""
        return Standing(env=self._proxies.proxyless_env() if client.via is Via.XDS else {})

    def uri(self, client: Client, service: Service) -> str:
        """The name, to be asked of the lab's DNS."""
        return f"dns://{(self._meshed_dns if client.meshed else self._dns).address}/{service.host}"

    # Services and sidecars

    def cluster_ip(self, service: Service) -> str:
        """A Service's ClusterIP."""
        return self._block.cluster_ip(self._number(service))

    def _sidecar_listener(self, service: Service) -> str:
        return self._block.sidecar_listener(self._number(service))

    def _virtual(self, service: Service, port: ServicePort) -> tuple[str, int]:
        return self.cluster_ip(service), port.port

    def _intercepted(self, service: Service, port: ServicePort) -> tuple[str, int]:
        return self._sidecar_listener(service), port.port

    def _number(self, service: Service) -> int:
        return self._numbers.setdefault(service.host, len(self._numbers))

    def push(self, registry: Registry) -> None:
        """DNS answers so at once, proxies hear of it in a moment."""
        self._registry = registry
        self._zones.clear()
        self._proxies.push(registry)

    async def settled(self) -> None:
        """Waits for the Envoys."""
        await self._proxies.settled(self._registry)

    def sidecar(self, pod: Pod) -> Process | None:
        """A pod's sidecar."""
        return self._proxies.process(sidecar_of(pod.name))

    def restart_sidecar(self, pod: Pod) -> None:
        """Starts it anew."""
        self._proxies.again(sidecar_of(pod.name))

    def check(self) -> None:
        """Raises LabError where an Envoy has ended that nobody starts anew."""
        self._proxies.check()

    @property
    def proxies(self) -> Iterator[tuple[Process, bool]]:
        """The Envoys; one of them stands in for NAT."""
        return ((p, p.title == KUBE_PROXY) for p in self._proxies.processes)

    async def sidecar_admin(self, owner: str, path: str) -> bytes:
        """GET from a sidecar's administration interface."""
        return await self._proxies.admin(owner, path)

    def _zone(self, view: Callable[[Service], str | None]) -> Zone:
        if view not in self._zones:
            self._zones[view] = Zone(self._registry, view)
        return self._zones[view]

    def _plain_view(self, service: Service) -> str | None:
        return None if service.headless else self.cluster_ip(service)

    def _meshed_view(self, service: Service) -> str | None:
        # A headless Service's connections go where the client dials them, under Istio too.
        return None if service.headless else self._sidecar_listener(service)

    # Faults

    async def stop_dns(self) -> None:
        """Nobody answers names any more."""
        await self._dns.stop()
        await self._meshed_dns.stop()

    async def start_dns(self) -> None:
        """They answer again, where they did."""
        for server in (self._dns, self._meshed_dns):
            if server.address:
                host, _, port = server.address.rpartition(":")
                await server.start(host, int(port))

    async def stop_control_plane(self) -> None:
        """Ends the control plane's server."""
        await self._proxies.stop()

    async def start_control_plane(self) -> None:
        """Starts it again at its address."""
        await self._proxies.restart()

    # The whole

    def parts(self) -> set[str]:
        """Envoy, where there is one."""
        return {"envoy"} if any(self._proxies.processes) else set()

    def facts(self) -> dict[str, str]:
        """Nothing besides."""
        return {}

    def real(self) -> list[str]:
        """What is as in a cluster."""
        return ["gRPC, clients and servers", "proxies and their configuration", "readiness and names"]

    def stand_ins(self) -> list[str]:
        """What is not as in a cluster."""
        said = ["pods are processes with addresses of 127/8"]
        started = self._proxies.names
        if KUBE_PROXY in started:
            said.append(
                "an Envoy TCP proxy that chooses a pod at random per connection stands for kube-proxy's NAT"
            )
        if set(started) - {KUBE_PROXY, PROXYLESS}:
            said.append(
                "sidecars are Envoys reached by name resolution instead of redirected connections, and their "
                "certificates come from the lab"
            )
        if CLIENT_SIDECAR in started or PROXYLESS in started:
            said.append("the control plane is whichpod's, which translates as istiod does")
        if self._relays:
            said.append("a relay to the pod's own port stands for kubectl port-forward")
        return said
