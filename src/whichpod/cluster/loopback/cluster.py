"""The cluster that needs no cluster: Linux, and nothing more."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager

from whichpod.cluster.local.lab import LocalLab
from whichpod.cluster.local.needs import missing
from whichpod.cluster.local.pods import check_images
from whichpod.cluster.local.supervisor import Supervisor
from whichpod.cluster.loopback.addresses import Block
from whichpod.cluster.loopback.fabric import LoopbackFabric
from whichpod.cluster.protocol import Client
from whichpod.manifest.bundle import Bundle
from whichpod.mesh.peers import mode_for
from whichpod.mesh.registry import Endpoint
from whichpod.model.errors import WhichpodError


class LoopbackCluster:
    """Runs labs on addresses of 127/8, without privileges: see Cluster and LiveCluster."""

    name = "loopback"
    mutual_tls = True
    lost = False

    def missing(self, bundle: Bundle, client: Client) -> str | None:
        """Why this can't run here, with the way to get what is missing; None where it can."""
        return missing(bundle, client) or _only_redirected(bundle, client)

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
        check_images(bundle, any_meshed=LoopbackFabric.any_meshed)
        with Block.claim() as block:
            supervisor = await Supervisor.start(f"127.{block.number}.0.0/16")
            try:
                fabric = LoopbackFabric(block, ready_timeout_s)
                lab = LocalLab(
                    bundle, fabric, supervisor, live=live, progress=progress, ready_timeout_s=ready_timeout_s
                )
            except BaseException:
                await supervisor.close()
                raise
            try:
                await lab.start(clients)
                yield lab
            finally:
                await lab.close()


def _only_redirected(bundle: Bundle, client: Client) -> str | None:
    """What takes redirected connections: a client's sidecar that speaks TLS to the pods of a headless
    Service, whose addresses the client dials."""
    if not client.meshed:
        return None
    try:
        service = bundle.service(client.service)
    except WhichpodError:
        return None  # starting it says so
    port = service.find_port(client.port)
    if not service.headless or port is None:
        return None
    for d in bundle.behind(service):
        pod = Endpoint(d.meta.name, "", d.pod_labels, namespace=d.meta.namespace)
        number = port.target_port if isinstance(port.target_port, int) else d.ports().get(port.target_port, 0)
        if bundle.injected(d) and mode_for(bundle, pod, number) == "STRICT":
            return (
                f"The pods of the headless Service {service.meta.name} take mutual TLS only, and the client "
                "dials them itself: in a loopback lab that does not lead through its sidecar."
            )
    return None
