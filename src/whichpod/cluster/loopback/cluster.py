"""The cluster that needs no cluster: Linux, and nothing more."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from whichpod.cluster.local.lab import LoopbackLab
from whichpod.cluster.local.needs import missing
from whichpod.cluster.local.supervisor import Supervisor
from whichpod.cluster.loopback.addresses import Block
from whichpod.cluster.protocol import Client
from whichpod.manifest.bundle import Bundle


class LoopbackCluster:
    """Runs labs on addresses of 127/8, without privileges: see Cluster."""

    name = "loopback"
    mutual_tls = False
    lost = False

    def missing(self, bundle: Bundle, client: Client) -> str | None:
        """Why this can't run here, with the way to get what is missing; None where it can."""
        return missing(bundle, client)

    @asynccontextmanager
    async def lab(
        self,
        bundle: Bundle,
        *,
        client: Client,
        progress: Callable[[str], None] | None = None,
        ready_timeout_s: float = 30.0,
    ) -> AsyncIterator[LoopbackLab]:
        """Starts all that the bundle and its client need, ready when entered, gone when left.

        Raises LabError when something doesn't start or get ready, ManifestError or UsageError for a bundle
        that can't be run. Several labs can run at a time.
        """
        client.check()
        with Block.claim() as block:
            supervisor = await Supervisor.start(f"127.{block.number}.0.0/16")
            try:
                lab = LoopbackLab(
                    bundle, block, supervisor, progress=progress, ready_timeout_s=ready_timeout_s
                )
            except BaseException:
                await supervisor.close()
                raise
            try:
                await lab.start(client)
                yield lab
            finally:
                await lab.close()
