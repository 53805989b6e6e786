"""Where rows run: on this machine, two ways, or in the user's cluster."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

from whichpod.model.errors import UsageError

if TYPE_CHECKING:
    from whichpod.cluster.kubernetes.cluster import KubernetesCluster
    from whichpod.cluster.loopback import LoopbackCluster
    from whichpod.cluster.netns import NetnsCluster
    from whichpod.cluster.protocol import Cluster

AUTO = "auto"
CLUSTERS = {"loopback": "30s", "netns": "30s", AUTO: "30s", "kubernetes": "3m"}
"""How long pods may take to get ready there: in a cluster, images have to be pulled first."""
_MEANT_FOR = {"proxy_mode": ("netns", AUTO)}
"""Which clusters an option is for; the others are for a Kubernetes cluster."""


@dataclass(frozen=True, slots=True)
class Access:
    """What a user says of a cluster besides its name: the options of these names."""

    kubeconfig: str = ""
    context: str = ""
    namespace: str = ""
    image: str = ""
    pull_policy: str = ""
    keep: bool = False
    proxy_mode: str = ""
    gateway_class: str = ""

    def check(self, cluster: str) -> None:
        """Raises UsageError for a cluster that isn't known, and for options that another one has."""
        if cluster not in CLUSTERS:
            raise UsageError(f"There is no cluster {cluster!r}.", fix=f"Known: {', '.join(CLUSTERS)}.")
        for given in (f.name for f in fields(self) if getattr(self, f.name)):
            meant = _MEANT_FOR.get(given, ("kubernetes",))
            if cluster not in meant:
                raise UsageError(
                    f"--{given.replace('_', '-')} means nothing with --cluster {cluster}.",
                    fix=f"Say --cluster {meant[0]}, or leave it out.",
                )
        if self.proxy_mode not in ("", "iptables", "nftables"):
            raise UsageError(f"There is no proxy mode {self.proxy_mode!r}.", fix="Known: iptables, nftables.")


@asynccontextmanager
async def opened(name: str, access: Access, says: Callable[[str], None] | None) -> AsyncIterator[Cluster]:
    """The cluster; at its end, what it left behind is said on stderr.

    Raises UsageError for options that make no sense and for a machine that can't do it, ClusterError for a
    cluster that can't be used.
    """
    if name != "kubernetes":
        yield local(name, access.proxy_mode)
        return
    async with opened_kubernetes(access, says) as cluster:
        yield cluster


def local(name: str, proxy_mode: str = "") -> LoopbackCluster | NetnsCluster:
    """The cluster of this machine that is meant; of `auto` the most faithful one that works here.

    Raises UsageError for namespaces that can't be had.
    """
    from whichpod.cluster.loopback import LoopbackCluster
    from whichpod.cluster.netns import NetnsCluster, ProxyMode, missing_of_machine

    if name == "loopback":
        return LoopbackCluster()
    wanted = [ProxyMode(proxy_mode)] if proxy_mode else [ProxyMode.IPTABLES]
    if name == AUTO and not proxy_mode:
        wanted.append(ProxyMode.NFTABLES)
    why = [missing_of_machine(mode) for mode in wanted]
    for mode, missing in zip(wanted, why, strict=True):
        if missing is None:
            return NetnsCluster(mode)
    first = str(why[0])
    if name != AUTO:
        raise UsageError(first)
    print(f"whichpod: --cluster auto is loopback here. {first}", file=sys.stderr)
    return LoopbackCluster()


@asynccontextmanager
async def opened_kubernetes(
    access: Access, says: Callable[[str], None] | None
) -> AsyncIterator[KubernetesCluster]:
    """The user's cluster, as `opened`."""
    from whichpod.cluster.kubernetes.cluster import KubernetesCluster
    from whichpod.cluster.kubernetes.settings import Settings, default_image

    settings = Settings(
        access.image or default_image(),
        access.pull_policy,
        access.namespace,
        access.keep,
        gateway_class=access.gateway_class,
    )
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
