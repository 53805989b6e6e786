"""The cluster that needs no cluster: Linux, and nothing more."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from whichpod.cluster.local.cluster import LocalCluster
from whichpod.cluster.local.needs import missing
from whichpod.cluster.local.supervisor import Supervisor
from whichpod.cluster.loopback.addresses import Block
from whichpod.cluster.loopback.fabric import LoopbackFabric
from whichpod.cluster.protocol import Client
from whichpod.manifest.bundle import Bundle
from whichpod.mesh.peers import mode_for
from whichpod.mesh.registry import Endpoint
from whichpod.model.errors import WhichpodError


class LoopbackCluster(LocalCluster):
    """Runs labs on addresses of 127/8, without privileges: see Cluster and LiveCluster."""

    name = "loopback"
    any_meshed = LoopbackFabric.any_meshed

    def missing(self, bundle: Bundle, client: Client) -> str | None:
        """Why this can't run here, with the way to get what is missing; None where it can."""
        return missing(bundle, client) or _only_redirected(bundle, client)

    @asynccontextmanager
    async def ground(self, ready_timeout_s: float) -> AsyncIterator[tuple[Supervisor, LoopbackFabric]]:
        """Addresses that no other lab has."""
        with Block.claim() as block:
            supervisor = await Supervisor.start(f"127.{block.number}.0.0/16")
            try:
                yield supervisor, LoopbackFabric(block, ready_timeout_s)
            finally:
                await supervisor.close()


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
