"""The cluster in Linux namespaces: as root, or as anybody in a user namespace."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager

from whichpod.cluster.local.lab import LocalLab
from whichpod.cluster.local.needs import missing
from whichpod.cluster.local.pods import check_images
from whichpod.cluster.local.supervisor import Supervisor
from whichpod.cluster.netns.fabric import NetnsFabric
from whichpod.cluster.netns.needs import missing_of_machine
from whichpod.cluster.netns.requests import NodeRequests
from whichpod.cluster.netns.tools import ProxyMode
from whichpod.cluster.protocol import Client
from whichpod.manifest.bundle import Bundle

NODE_MODULE = "whichpod.cluster.netns.node"


class NetnsCluster:
    """Runs labs in network namespaces, with kube-proxy's rules in the kernel: see Cluster and LiveCluster."""

    name = "netns"
    mutual_tls = True
    lost = False

    def __init__(self, mode: ProxyMode = ProxyMode.IPTABLES) -> None:
        self._mode = mode

    def missing(self, bundle: Bundle, client: Client) -> str | None:
        """Why this can't run here, with the way to get what is missing; None where it can."""
        return missing_of_machine(self._mode) or missing(bundle, client, kernel_nat=True)

    @asynccontextmanager
    async def lab(
        self,
        bundle: Bundle,
        *,
        client: Client,
        progress: Callable[[str], None] | None = None,
        ready_timeout_s: float = 30.0,
    ) -> AsyncIterator[LocalLab]:
        """Starts all that the bundle and its client need, ready when entered, gone when left.

        Raises LabError when something doesn't start or get ready, ManifestError or UsageError for a bundle
        that can't be run. Several labs can run at a time.
        """
        client.check()
        async with self._lab(bundle, (client,), False, progress, ready_timeout_s) as lab:
            yield lab

    @asynccontextmanager
    async def live(
        self,
        bundle: Bundle,
        *,
        clients: Sequence[Client] = (),
        progress: Callable[[str], None] | None = None,
        ready_timeout_s: float = 30.0,
    ) -> AsyncIterator[LocalLab]:
        """A lab in which things happen: see LiveCluster. Raises as `lab` does."""
        for client in clients:
            client.check()
        async with self._lab(bundle, clients, True, progress, ready_timeout_s) as lab:
            yield lab

    @asynccontextmanager
    async def _lab(
        self,
        bundle: Bundle,
        clients: Sequence[Client],
        live: bool,
        progress: Callable[[str], None] | None,
        ready_timeout_s: float,
    ) -> AsyncIterator[LocalLab]:
        check_images(bundle, any_meshed=NetnsFabric.any_meshed)
        requests = NodeRequests()
        try:
            supervisor = await Supervisor.start("netns", NODE_MODULE, [requests.theirs])
        except BaseException:
            requests.close()
            raise
        requests.theirs.close()
        try:
            fabric = NetnsFabric(requests, self._mode, ready_timeout_s)
            lab = LocalLab(
                bundle, fabric, supervisor, live=live, progress=progress, ready_timeout_s=ready_timeout_s
            )
        except BaseException:
            await supervisor.close()
            requests.close()
            raise
        try:
            await lab.start(clients)
            yield lab
        finally:
            await lab.close()
