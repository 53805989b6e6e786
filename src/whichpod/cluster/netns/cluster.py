"""The cluster in Linux namespaces: as root, or as anybody in a user namespace."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from whichpod.cluster.local.cluster import LocalCluster
from whichpod.cluster.local.needs import missing
from whichpod.cluster.local.supervisor import Supervisor
from whichpod.cluster.netns.fabric import NetnsFabric
from whichpod.cluster.netns.needs import missing_of_machine
from whichpod.cluster.netns.requests import NodeRequests
from whichpod.cluster.netns.tools import ProxyMode
from whichpod.cluster.protocol import Client
from whichpod.manifest.bundle import Bundle

NODE_MODULE = "whichpod.cluster.netns.node"


class NetnsCluster(LocalCluster):
    """Runs labs in network namespaces, with kube-proxy's rules in the kernel: see Cluster and LiveCluster."""

    name = "netns"
    any_meshed = NetnsFabric.any_meshed

    def __init__(self, mode: ProxyMode = ProxyMode.IPTABLES) -> None:
        self._mode = mode

    def missing(self, bundle: Bundle, client: Client) -> str | None:
        """Why this can't run here, with the way to get what is missing; None where it can."""
        return missing_of_machine(self._mode) or missing(bundle, client, kernel_nat=True)

    @asynccontextmanager
    async def ground(self, ready_timeout_s: float) -> AsyncIterator[tuple[Supervisor, NetnsFabric]]:
        """A node."""
        requests = NodeRequests()
        try:
            supervisor = await Supervisor.start("netns", NODE_MODULE, [requests.theirs])
            requests.theirs.close()
            try:
                yield supervisor, NetnsFabric(requests, self._mode, ready_timeout_s)
            finally:
                await supervisor.close()
        finally:
            requests.close()
