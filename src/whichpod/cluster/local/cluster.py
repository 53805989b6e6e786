"""What clusters of this machine have in common: labs on a fabric."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager

from whichpod.cluster.local.fabric import Fabric
from whichpod.cluster.local.lab import LocalLab
from whichpod.cluster.local.pods import check_images
from whichpod.cluster.local.supervisor import Supervisor
from whichpod.cluster.protocol import Client
from whichpod.manifest.bundle import Bundle


class LocalCluster(ABC):
    """Runs labs on this machine: see Cluster and LiveCluster. Several labs can run at a time."""

    name: str
    mutual_tls = True
    lost = False
    any_meshed: bool
    """Whether pods of all images can have a sidecar: see Fabric."""

    @abstractmethod
    def missing(self, bundle: Bundle, client: Client) -> str | None:
        """Why this can't run here, with the way to get what is missing; None where it can."""

    @abstractmethod
    def ground(self, ready_timeout_s: float) -> AbstractAsyncContextManager[tuple[Supervisor, Fabric]]:
        """What one lab stands on. It has nothing started yet; what the fabric has is stopped by the lab."""

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
        that can't be run.
        """
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
        for client in clients:
            client.check()
        check_images(bundle, any_meshed=self.any_meshed)
        async with self.ground(ready_timeout_s) as (supervisor, fabric):
            lab = LocalLab(
                bundle, fabric, supervisor, live=live, progress=progress, ready_timeout_s=ready_timeout_s
            )
            try:
                await lab.start(clients)
                yield lab
            finally:
                await lab.close()
