"""Where rows run: this machine, or the user's cluster."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

from whichpod.model.errors import UsageError

if TYPE_CHECKING:
    from whichpod.cluster.kubernetes.cluster import KubernetesCluster
    from whichpod.cluster.protocol import Cluster

CLUSTERS = {"loopback": "30s", "kubernetes": "3m"}
"""How long pods may take to get ready there: in a cluster, images have to be pulled first."""


@dataclass(frozen=True, slots=True)
class Access:
    """What a user says of a Kubernetes cluster: the options of that name."""

    kubeconfig: str = ""
    context: str = ""
    namespace: str = ""
    image: str = ""
    pull_policy: str = ""
    keep: bool = False

    def check(self, cluster: str) -> None:
        """Raises UsageError for a cluster that isn't known, and for options that another one has."""
        if cluster not in CLUSTERS:
            raise UsageError(f"There is no cluster {cluster!r}.", fix=f"Known: {', '.join(CLUSTERS)}.")
        given = next((f.name for f in fields(self) if getattr(self, f.name)), "")
        if given and cluster != "kubernetes":
            raise UsageError(
                f"--{given.replace('_', '-')} means nothing with --cluster {cluster}.",
                fix="Say --cluster kubernetes, or leave it out.",
            )


@asynccontextmanager
async def opened(name: str, access: Access, says: Callable[[str], None] | None) -> AsyncIterator[Cluster]:
    """The cluster; at its end, what it left behind is said on stderr.

    Raises UsageError for options that make no sense, ClusterError for a cluster that can't be used.
    """
    if name == "loopback":
        from whichpod.cluster.loopback import LoopbackCluster

        yield LoopbackCluster()
        return
    async with opened_kubernetes(access, says) as cluster:
        yield cluster


@asynccontextmanager
async def opened_kubernetes(
    access: Access, says: Callable[[str], None] | None
) -> AsyncIterator[KubernetesCluster]:
    """The user's cluster, as `opened`."""
    from whichpod.cluster.kubernetes.cluster import KubernetesCluster
    from whichpod.cluster.kubernetes.settings import Settings, default_image

    settings = Settings(access.image or default_image(), access.pull_policy, access.namespace, access.keep)
    notes: list[str] = []
    try:
        async with KubernetesCluster.open(
            settings, kubeconfig=access.kubeconfig, context=access.context, says=says
        ) as cluster:
            notes = cluster.notes
            yield cluster
    finally:
        for note in notes:
            print(f"whichpod: {note}", file=sys.stderr)
