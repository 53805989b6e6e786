"""The user's own cluster as a place where labs run."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from whichpod.cluster.kubernetes.api import Api
from whichpod.cluster.kubernetes.home import Home, gone, leave
from whichpod.cluster.kubernetes.lab import LEAVE_S, KubernetesLab, clear
from whichpod.cluster.kubernetes.names import MOST_NAME, fitting
from whichpod.cluster.kubernetes.settings import Settings
from whichpod.cluster.protocol import Client, Via
from whichpod.manifest.bundle import Bundle
from whichpod.model.errors import ClusterError, ClusterLostError, UsageError, WhichpodError

if TYPE_CHECKING:
    from whichpod.cluster.kubernetes.facts import Facts


class KubernetesCluster:
    """Runs labs in a cluster: see Cluster. `open` it; what it needs to know is read once."""

    name = "kubernetes"
    mutual_tls = True

    def __init__(self, api: Api, facts: Facts, settings: Settings) -> None:
        self.api = api
        self.facts = facts
        self.settings = settings
        self.lost = False
        """The API server stayed away, or no longer takes the credentials."""
        self.notes: list[str] = []
        """What is left, and the command that removes it: to be said at the end."""
        self._labs = 0
        self._leaving: list[str] = []
        self._homes: dict[str, Home] = {}
        """Namespaces that were asked for by name and made: they stay until the end of the run."""

    @classmethod
    @asynccontextmanager
    async def open(
        cls,
        settings: Settings,
        *,
        kubeconfig: str | None = None,
        context: str | None = None,
        says: Callable[[str], None] | None = None,
    ) -> AsyncIterator[KubernetesCluster]:
        """Connects and looks at what the cluster has; at the end, waits until namespaces are gone.

        Raises UsageError for settings that make no sense, and what `Api.open` raises.
        """
        from whichpod.cluster.kubernetes.facts import gather

        settings = settings.checked()
        async with Api.open(kubeconfig, context, says=says) as api:
            found = cls(api, await gather(api), settings)
            try:
                yield found
            finally:
                await found.leave(says or (lambda _: None))

    def missing(self, bundle: Bundle, client: Client) -> str | None:
        """Why this can't run here, with the way to get what is missing; None where it can."""
        from whichpod.cluster.kubernetes.facts import lacks

        try:
            istio = client.meshed or any(bundle.injected(d) for d in bundle.deployments)
        except WhichpodError:
            return None
        kinds = {str(document["kind"]) for document in bundle.documents}
        return lacks(
            self.facts,
            istio=istio,
            proxyless=client.via is Via.XDS,
            routes="GRPCRoute" in kinds,
            gateway="Gateway" in kinds and not self.settings.gateway_class,
        )

    @asynccontextmanager
    async def lab(
        self,
        bundle: Bundle,
        *,
        client: Client,
        progress: Callable[[str], None] | None = None,
        ready_timeout_s: float = 180.0,
    ) -> AsyncIterator[KubernetesLab]:
        """Applies all that the bundle and its client need, ready when entered, on its way out when left.

        Raises ClusterError where something doesn't come, UsageError for what is somebody else's.
        """
        client.check()
        self._labs += 1
        if self.settings.keep and self.settings.namespace and self._labs > 1:
            raise UsageError(
                "A namespace keeps one set-up, and this would be another one.",
                fix="Run one row with --keep, or leave --namespace out.",
            )
        lab = KubernetesLab(
            self.api,
            self.facts,
            self.settings,
            bundle,
            self.settings.namespace or self._next_namespace(),
            environment=self.environment(),
            progress=progress,
            ready_timeout_s=ready_timeout_s,
        )
        try:
            await lab.start(client)
            yield lab
        except ClusterLostError:
            self.lost = True
            raise
        finally:
            if lab.home:
                await to_its_end(self.clear(lab.home, progress or (lambda _: None)))

    def environment(self) -> dict[str, str]:
        """Which cluster it is, and what is in it that matters to a distribution."""
        facts = self.facts
        found = {
            "cluster": "kubernetes",
            "context": self.api.where.partition(" ")[0],
            "kubernetes": ".".join(map(str, facts.version)),
            "istio": (facts.istio_version or "unknown version") if facts.istio else "",
            "kube-proxy": facts.proxy_mode,
            "cni": facts.cni,
            "nodes": str(facts.nodes or ""),
            "stand-ins": "none",
        }
        return {key: value for key, value in found.items() if value}

    def keep(self) -> None:
        """From now on nothing is removed."""
        self.settings = replace(self.settings, keep=True)

    async def clear(self, home: Home, says: Callable[[str], None]) -> None:
        """Removes what the run made there, unless it is to be kept; notes what stays and how to remove it."""
        command = f"whichpod k8s down --run {self.settings.run}"
        if self.settings.keep:
            self.notes.append(f"Kept in the namespace {home.name}. Remove it: {command}")
            return
        shared = home.made and home.name == self.settings.namespace
        if shared:
            self._homes[home.name] = home
        try:
            await clear(self.api, replace(home, made=home.made and not shared), self.settings.run, says)
        except (ClusterError, UsageError) as error:
            self.lost = self.lost or isinstance(error, ClusterLostError)
            said = error.message
            self.notes.append(f"Left in the namespace {home.name}: {said}\nRemove it: {command}")
        else:
            if home.made and not shared:
                self._leaving.append(home.name)

    async def leave(self, says: Callable[[str], None]) -> None:
        """Has the run's namespaces deleted, and waits until they are gone; notes those that stay."""
        if self.lost:
            return
        for home in self._homes.values():
            await to_its_end(self._delete(home))
        if not self._leaving:
            return
        says("waiting for namespaces to be gone")
        try:
            await gone(self.api, self._leaving, within_s=LEAVE_S)
        except asyncio.CancelledError:
            # What was measured is to be shown, and the cluster goes on deleting by itself.
            self.notes.append(f"Still being deleted: {', '.join(self._leaving)}.")
        except ClusterError as error:
            self.notes.append(str(error))

    async def _delete(self, home: Home) -> None:
        try:
            await leave(self.api, home)
        except ClusterError as error:
            command = f"whichpod k8s down --run {self.settings.run}"
            self.notes.append(f"Left the namespace {home.name}: {error.message}\nRemove it: {command}")
        else:
            self._leaving.append(home.name)

    def _next_namespace(self) -> str:
        return fitting("whichpod", self.settings.run, str(self._labs), most=MOST_NAME)


async def to_its_end(work: Coroutine[Any, Any, None]) -> None:
    """Runs it to its end, whatever cancels the caller meanwhile."""
    task = asyncio.ensure_future(work)
    cancelled = False
    while not task.done():
        try:
            await asyncio.shield(task)
        except asyncio.CancelledError:
            cancelled = True
        except Exception:
            break
    task.result()
    if cancelled:
        raise asyncio.CancelledError
