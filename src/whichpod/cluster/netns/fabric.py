"""The namespace lab's networks: a node and a network per pod, with the kernel's NAT between them."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Iterator, Sequence

from whichpod.cluster.local.dns.server import DnsServer
from whichpod.cluster.local.dns.zone import Zone
from whichpod.cluster.local.fabric import Place, Standing
from whichpod.cluster.local.needs import caller_of
from whichpod.cluster.local.pods import Pod
from whichpod.cluster.local.proxies import CLIENT_SIDECAR, PROXYLESS, Proxies, sidecar_of
from whichpod.cluster.local.relay import Relay
from whichpod.cluster.local.streams import Kind
from whichpod.cluster.local.supervisor import Process, Supervisor
from whichpod.cluster.netns import addresses
from whichpod.cluster.netns.loader import KubeProxy, load
from whichpod.cluster.netns.networks import WORKSTATION, Networks
from whichpod.cluster.netns.requests import NodeRequests
from whichpod.cluster.netns.rules.interception import SIDECAR_MARK
from whichpod.cluster.netns.rules.portals import Portal, portals
from whichpod.cluster.netns.tools import ProxyMode
from whichpod.cluster.protocol import Client, Via
from whichpod.manifest.kinds import Service
from whichpod.mesh.caller import Caller
from whichpod.mesh.registry import Endpoint, Registry
from whichpod.mesh.virtual_inbound import virtual_inbound
from whichpod.mesh.virtual_outbound import virtual_outbound

NAMESPACE = "default"
"""Where clients live."""
Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class NetnsFabric:
    """See Fabric."""

    name = "netns"
    any_meshed = True
    dns = f"{addresses.DNS}:53"
    host_ip = addresses.NODE

    def __init__(self, requests: NodeRequests, mode: ProxyMode, ready_timeout_s: float) -> None:
        self._requests = requests
        self._mode = mode
        self._timeout_s = ready_timeout_s
        self._registry = Registry.empty()
        self._zone = Zone(self._registry, self._address_of, namespace=None)
        self._dns = DnsServer(lambda: self._zone)
        self._numbers: dict[str, int] = {}
        self._meshed: dict[str, Pod] = {}
        self._clients: dict[str, asyncio.Task[None]] = {}
        self._relays: list[Relay] = []
        self._privileges = ""
        self._supervisor: Supervisor
        self._networks: Networks
        self._proxies: Proxies
        self._kube_proxy: KubeProxy

    async def start(self, supervisor: Supervisor) -> None:
        """Brings up the node, with kube-proxy and DNS; proxies and clients come when somebody needs them."""
        self._supervisor = supervisor
        self._networks = Networks(self._requests, supervisor.folder)
        self._proxies = Proxies(supervisor, f"unix:{supervisor.folder}/xds.sock", self._timeout_s)
        self._kube_proxy = KubeProxy(supervisor, self._mode, self._rules)
        self._privileges = await self._networks.set_up()
        await self.start_dns()

    async def stop(self) -> None:
        """Closes relays, DNS and the control plane; the namespaces end with the lab's processes."""
        for relay in self._relays:
            await relay.stop()
        await self._dns.stop()
        if hasattr(self, "_proxies"):
            await self._kube_proxy.stop()
            await self._proxies.stop()
        for task in self._clients.values():
            task.cancel()
        await asyncio.gather(*self._clients.values(), return_exceptions=True)
        self._requests.close()

    # Pods

    def place(self, number: int, *, meshed: bool) -> Place:  # noqa: ARG002
        """An address in a network of the pod's own, in which localhost is the pod's."""
        ip = addresses.pod_address(number)
        return Place(ip, "", ip)

    async def attach(self, pod: Pod, *, kept: bool = False) -> None:
        """Makes its namespaces; with a sidecar, turns its traffic to that as istio-init does."""
        await self._networks.add(pod.name, pod.ip, pod.deployment.meta.namespace)
        if pod.meshed:
            self._meshed[pod.ip] = pod
            await self._mesh(sidecar_of(pod.name), pod.name, pod.endpoint, zone=pod.zone, kept=kept)

    async def detach(self, pod: Pod) -> None:
        """Ends the sidecar and lets go of the namespaces."""
        self._meshed.pop(pod.ip, None)
        await self._proxies.end(sidecar_of(pod.name))
        await self._networks.drop(pod.name)

    async def joined(self, pod: Pod) -> None:
        """Waits for the sidecar."""
        await self._proxies.one_settled(sidecar_of(pod.name), self._registry)

    def standing(self, pod: Pod, /) -> Standing:
        """Its network."""
        return Standing(pod.name)

    async def _mesh(
        self, name: str, network: str, endpoint: Callable[[], Endpoint], zone: str = "", *, kept: bool = False
    ) -> None:
        """A sidecar, and the rules that turn a network's traffic to it."""
        own = endpoint()
        caller = Caller(own.namespace, own.locality, own.labels, own.node)
        await self._proxies.start(
            name,
            lambda r: (
                virtual_outbound(r, self.cluster_ip, own_address=own.address, caller=caller)
                | virtual_inbound(r, endpoint(), mark=SIDECAR_MARK)
            ),
            connect=lambda host, port: self._connect(network, host, port),
            zone=zone,
            network=network,
            mark=SIDECAR_MARK,
            account=(own.namespace, own.service_account),
            kept=kept,
        )
        rules = self._mode.interception()
        await load(self._supervisor, self._mode, f"istio-init-{network}", rules, title=name, network=network)

    async def connect(self, address: str, port: int) -> Streams:
        """A connection from the node. To a pod with a sidecar it is one from inside: Istio rewrites probes so
        that the sidecar's agent does them there (istio.io, Health Checking of Istio Services)."""
        pod = self._meshed.get(address)
        return await (self.enter(pod, port) if pod else self._connect("", address, port))

    async def enter(self, pod: Pod, port: int) -> Streams:
        """A connection to the pod's localhost, made in its network."""
        return await self._connect(pod.name, "127.0.0.1", port)

    async def _connect(self, network: str, host: str, port: int) -> Streams:
        made = await self._requests.make_socket(network)
        try:
            await asyncio.get_running_loop().sock_connect(made, (host, port))
            return await asyncio.open_connection(sock=made)
        except BaseException:
            made.close()
            raise

    async def forward(self, pod: Pod, port: int, *, client: bool = False) -> str:
        """A relay into the pod's network; for a client of the lab, on the localhost of its workstation."""
        relay = Relay(lambda: self.enter(pod, port))
        self._relays.append(relay)
        if not client:
            return await relay.start()
        return await relay.start(lambda kind, host, port: self._bind(kind, host, port, WORKSTATION))

    async def _bind(self, kind: Kind, host: str, port: int, network: str = "") -> socket.socket:
        return await self._requests.make_socket(network, kind=kind, bind=(host, port))

    # Clients

    async def provide(self, client: Client) -> bool:
        """A pod for the client, with a sidecar where it is meshed; the control plane for xDS."""
        name = self._network_of(client)
        started = name not in self._clients
        if started:
            self._clients[name] = asyncio.create_task(self._start_client(name, client))
        await asyncio.shield(self._clients[name])
        sidecar = self._proxies.process(CLIENT_SIDECAR) if client.meshed else None
        if sidecar and sidecar.exited.done():
            self._proxies.again(CLIENT_SIDECAR)
            started = True
        if client.via is Via.XDS and PROXYLESS not in self._proxies.names:
            await self._proxies.proxyless(caller_of(client))
            started = True
        return started

    async def _start_client(self, name: str, client: Client) -> None:
        if name == WORKSTATION:
            return
        address = addresses.client_address(len(self._clients))
        await self._networks.add(name, address, NAMESPACE)
        if client.meshed:
            region, zone, subzone = caller_of(client).locality
            own = Endpoint(name, address, {}, meshed=True, zone=zone, region=region, subzone=subzone)
            await self._mesh(CLIENT_SIDECAR, name, lambda: own)

    def client(self, client: Client) -> Standing:
        """Its network; a proxyless client is told where the control plane is."""
        env = self._proxies.proxyless_env() if client.via is Via.XDS else {}
        return Standing(self._network_of(client), env)

    def _network_of(self, client: Client) -> str:
        if client.via is Via.PORT_FORWARD:
            return WORKSTATION
        return "_client-meshed" if client.meshed else "_client"  # names that no pod can have

    def uri(self, client: Client, service: Service) -> str:  # noqa: ARG002
        """The name as a program says it: resolv.conf has the rest."""
        name, namespace = service.meta.name, service.meta.namespace
        return name if namespace == NAMESPACE else f"{name}.{namespace}"

    # Services and sidecars

    def cluster_ip(self, service: Service) -> str:
        """A Service's ClusterIP."""
        return addresses.cluster_ip(self._numbers.setdefault(service.host, len(self._numbers)))

    def push(self, registry: Registry) -> None:
        """DNS answers so at once, rules and sidecars follow in a moment."""
        self._registry = registry
        self._zone = Zone(registry, self._address_of, namespace=None)
        self._proxies.push(registry)
        self._kube_proxy.want(portals(registry, self.cluster_ip))

    async def settled(self) -> None:
        """Waits for the kernel and the sidecars."""
        await self._kube_proxy.settled()
        await self._proxies.settled(self._registry)

    def sidecar(self, pod: Pod) -> Process | None:
        """A pod's sidecar."""
        return self._proxies.process(sidecar_of(pod.name))

    def restart_sidecar(self, pod: Pod) -> None:
        """Starts it anew; the rules that lead to it are there yet."""
        self._proxies.again(sidecar_of(pod.name))

    def check(self) -> None:
        """Raises LabError where a sidecar has ended that nobody starts anew, or where rules aren't loaded."""
        self._proxies.check()
        self._kube_proxy.check()

    @property
    def proxies(self) -> Iterator[tuple[Process, bool]]:
        """The sidecars. None stands in for the kernel."""
        return ((p, False) for p in self._proxies.processes)

    async def sidecar_admin(self, owner: str, path: str) -> bytes:
        """GET from a sidecar's administration interface, on the localhost of its pod."""
        return await self._proxies.admin(owner, path)

    def _address_of(self, service: Service) -> str | None:
        return None if service.headless else self.cluster_ip(service)

    def _rules(self, now: Sequence[Portal], before: Sequence[Portal]) -> str:
        return self._mode.kube_proxy(now, addresses.POD_CIDR, addresses.SERVICE_CIDR, before)

    # Faults

    async def stop_dns(self) -> None:
        """Nobody answers names any more."""
        await self._dns.stop()

    async def start_dns(self) -> None:
        """They answer on the cluster's address."""
        await self._dns.start(addresses.DNS, 53, self._bind)

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
        """Who does the work of kube-proxy's rules, and with which privileges."""
        return {"proxy-mode": str(self._mode), "privileges": self._privileges}

    def real(self) -> list[str]:
        """What is as in a cluster."""
        said = [
            "every pod, and the client, has a network namespace of its own",
            f"the kernel's NAT picks pods by kube-proxy's rules ({self._mode} mode)",
            "names are asked of the cluster's DNS address through resolv.conf, with its search domains",
        ]
        if set(self._proxies.names) - {PROXYLESS}:
            said.append("sidecars get all connections by istio-init's rules and use mutual TLS among them")
        if self._relays:
            said.append("port-forward dials localhost in the pod's network")
        return said

    def stand_ins(self) -> list[str]:
        """What is not as in a cluster."""
        said = ["one node, on which pods are processes without images of their own"]
        said.append("whichpod answers DNS and writes kube-proxy's rules")
        if self._proxies.names:
            said.append("the control plane is whichpod's, which translates as istiod does")
        if set(self._proxies.names) - {PROXYLESS}:
            said.append(
                "rules tell a sidecar's own connections by their mark, where Istio's do by their user"
            )
        return said
