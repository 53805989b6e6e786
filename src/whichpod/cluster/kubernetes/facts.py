"""What a cluster has that matters to how gRPC is balanced in it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from whichpod.cluster.kubernetes.api import ALL, Api, Document
from whichpod.cluster.kubernetes.errors import ForbiddenError
from whichpod.cluster.kubernetes.kinds import (
    CONFIG_MAP,
    DAEMON_SET,
    DEPLOYMENT,
    DESTINATION_RULE,
    GATEWAY_CLASS,
    GRPC_ROUTE,
    MUTATING_WEBHOOKS,
    NAMESPACE,
    NODE,
    SERVICE,
)

SYSTEM = "kube-system"
MESH = "istio-system"
_NATIVE = (1, 29)
"""Kubernetes from which init containers may go on (kubernetes.io, Sidecar Containers)."""
_PER_INDEX = (1, 29)
"""Kubernetes from which an index of a Job can fail alone by default (kubernetes.io, Jobs)."""
_INJECTORS = ("istio-sidecar-injector", "istio-revision-tag")
_CNIS = {
    "anetd": "Dataplane V2 (Cilium)",
    "antrea-agent": "Antrea",
    "aws-node": "AWS VPC CNI",
    "azure-cns": "Azure CNI",
    "calico-node": "Calico",
    "cilium": "Cilium",
    "kindnet": "kindnet",
    "kube-flannel-ds": "Flannel",
    "kube-router": "kube-router",
    "weave-net": "Weave Net",
}
"""By the DaemonSet that brings it."""


@dataclass(frozen=True, slots=True)
class Facts:
    """What was found; what could not be read is in `unknown`, by what it is about, with the reason."""

    version: tuple[int, int]
    istio: bool | None = None
    """Whether pods can get Istio's sidecar; None where that can't be told."""
    istio_version: str = ""
    revision: str = ""
    """What pods must name to get a sidecar, where there is no default injector."""
    istio_api: str = ""
    """The version of networking.istio.io that is served, where it isn't v1."""
    istio_cni: bool = False
    """Sidecars need no init container that sets iptables."""
    native_sidecars: bool = False
    """It is certain that sidecars are init containers. Whoever takes them for others loses nothing."""
    ambient: bool = False
    gateway_api: bool = False
    """GRPCRoutes are served."""
    gateway_classes: tuple[str, ...] = ()
    """Those that a controller has accepted and that are meant for gateways; the first is taken."""
    cluster_dns: str = ""
    proxy_mode: str = ""
    """Of kube-proxy: iptables, ipvs, nftables; or what is there instead."""
    cni: str = ""
    linkerd: bool = False
    cilium: bool = False
    nodes: int | None = None
    unknown: Mapping[str, str] = field(default_factory=dict)

    @property
    def per_index(self) -> bool:
        """Whether a worker of an indexed Job can fail alone."""
        return self.version >= _PER_INDEX


async def gather(api: Api) -> Facts:
    """Looks at the cluster. What this user may not see stays unknown; raises only what concerns all."""
    look = _Look(api)
    version = await api.version()
    sets = await look.objects("the network plug-in and the mesh", DAEMON_SET, SYSTEM)
    mesh_sets = await look.objects("Istio's ambient mode and CNI plug-in", DAEMON_SET, MESH)
    names = {_name(d) for d in (*sets, *mesh_sets)}
    configuration = await look.get("kube-proxy's mode", CONFIG_MAP, "kube-proxy", SYSTEM)
    cilium = await look.get("Cilium", CONFIG_MAP, "cilium-config", SYSTEM)
    nodes = await look.objects("nodes", NODE, ALL)
    linkerd = await look.get("Linkerd", NAMESPACE, "linkerd", ALL)
    istiod = await look.objects("istiod's version", DEPLOYMENT, MESH, labels="app=istiod")
    hooks = await look.objects("Istio's injector", MUTATING_WEBHOOKS, ALL)
    networking = [v for v in ("v1", "v1beta1") if await api.served(DESTINATION_RULE.of_version(v))]
    istio, revision = _injector(hooks, served=bool(networking), known="Istio's injector" not in look.unknown)
    istio_version = _istio_version(istiod)
    gateway_api = await api.served(GRPC_ROUTE)
    classes = await look.objects("gateway classes", GATEWAY_CLASS, ALL) if gateway_api else []
    return Facts(
        version=version,
        istio=istio,
        istio_version=istio_version,
        revision=revision,
        istio_api="" if not networking or networking[0] == "v1" else networking[0],
        istio_cni="istio-cni-node" in names,
        native_sidecars=version >= _NATIVE and _native(istiod),
        ambient="ztunnel" in names,
        gateway_api=gateway_api,
        gateway_classes=_gateway_classes(classes),
        cluster_dns=await look.dns(),
        proxy_mode=_proxy_mode(configuration, cilium),
        cni=", ".join(sorted({title for name, title in _CNIS.items() if name in names})),
        linkerd=linkerd is not None,
        cilium=cilium is not None,
        nodes=None if "nodes" in look.unknown else len(nodes),
        unknown=look.unknown,
    )


def lacks(
    facts: Facts, *, istio: bool, proxyless: bool = False, routes: bool = False, gateway: bool = False
) -> str | None:
    """Why what needs these can't run in the cluster, with the way to get it; None where it can. `routes`:
    GRPCRoutes; `gateway`: somebody who carries out Gateways."""
    if (istio or proxyless) and facts.istio is None:
        why = facts.unknown.get("Istio's injector", "it can't be told")
        return f"Whether the cluster has Istio is not known: {why}"
    if (istio or proxyless) and not facts.istio:
        if facts.ambient:
            return "The cluster's Istio is ambient only, without sidecars. Install one with an injector."
        return "The cluster has no Istio. Install it: whichpod k8s install-istio"
    if (routes or gateway) and not facts.gateway_api:
        return (
            "The cluster has no Gateway API with GRPCRoute. Install its definitions: gateway-api.sigs.k8s.io"
        )
    if gateway and "gateway classes" in facts.unknown:
        return f"Which GatewayClasses there are is not known: {facts.unknown['gateway classes']}"
    if gateway and not facts.gateway_classes:
        return "No controller has accepted a GatewayClass. Install one that knows GRPCRoute; Istio is one."
    return None


class _Look:
    """Reads what may be read, and keeps why the rest may not."""

    def __init__(self, api: Api) -> None:
        self._api = api
        self.unknown: dict[str, str] = {}

    async def objects(self, what: str, kind: Any, namespace: str, labels: str = "") -> list[Document]:
        try:
            return await self._api.objects(kind, namespace, labels=labels)
        except ForbiddenError as e:
            self.unknown[what] = e.message
            return []

    async def get(self, what: str, kind: Any, name: str, namespace: str) -> Document | None:
        try:
            return await self._api.get(kind, name, namespace)
        except ForbiddenError as e:
            self.unknown[what] = e.message
            return None

    async def dns(self) -> str:
        """The address of the cluster's DNS, which keeps the name kube-dns whatever serves it."""
        for name in ("kube-dns", "coredns", "rke2-coredns-rke2-coredns"):
            found = await self.get("the cluster's DNS server", SERVICE, name, SYSTEM)
            address = ((found or {}).get("spec") or {}).get("clusterIP") or ""
            if address and address != "None":
                return str(address)
        return ""


def _injector(hooks: list[Document], *, served: bool, known: bool) -> tuple[bool | None, str]:
    """Whether there is an injector, and the revision to name where it has no default.

    A webhook of the default looks at pods that name no revision; `istio-sidecar-injector` and the tag
    `default` are such (istio.io, Canary Upgrades).
    """
    if not served:
        return False, ""
    if not known:
        return None, ""
    found = [_name(h) for h in hooks if _name(h).startswith(_INJECTORS)]
    if not found:
        return False, ""
    if any(
        name == "istio-sidecar-injector" or name.startswith("istio-revision-tag-default") for name in found
    ):
        return True, ""
    labels = [(_name(h), (h["metadata"].get("labels") or {})) for h in hooks if _name(h) in found]
    # A tag is meant to be named by pods; it stays when revisions change.
    tags = sorted(str(said["istio.io/tag"]) for _, said in labels if said.get("istio.io/tag"))
    revisions = sorted(str(said["istio.io/rev"]) for _, said in labels if said.get("istio.io/rev"))
    return True, (tags or revisions or [""])[0]


def _gateway_classes(classes: list[Document]) -> tuple[str, ...]:
    """Istio's own first. Its classes `istio-waypoint`, `istio-remote` and the like aren't for traffic from
    outside (istio.io, Kubernetes Gateway API)."""
    found = []
    for document in classes:
        conditions = (document.get("status") or {}).get("conditions") or ()
        accepted = any(c.get("type") == "Accepted" and c.get("status") == "True" for c in conditions)
        if accepted and not _name(document).startswith("istio-"):
            found.append(_name(document))
    return tuple(sorted(found, key=lambda name: (name != "istio", name)))


def _istio_version(istiod: list[Document]) -> str:
    """By the tag of istiod's image: 1.27.1 of docker.io/istio/pilot:1.27.1-distroless."""
    for container in _containers(istiod):
        tag = str(container.get("image", "")).partition("@")[0].rpartition("/")[2].partition(":")[2]
        if found := re.match(r"\d+\.\d+(\.\d+)?", tag):
            return found[0]
    return ""


def _native(istiod: list[Document]) -> bool:
    """Whether istiod is told to make native sidecars. What it does untold depends on its version."""
    for container in _containers(istiod):
        for variable in container.get("env") or ():
            if variable.get("name") == "ENABLE_NATIVE_SIDECARS":
                return str(variable.get("value", "")).lower() == "true"
    return False


def _containers(deployments: list[Document]) -> list[Document]:
    return [c for d in deployments for c in d["spec"]["template"]["spec"]["containers"]]


def _proxy_mode(configuration: Document | None, cilium: Document | None) -> str:
    replaced = str(((cilium or {}).get("data") or {}).get("kube-proxy-replacement", "")).lower()
    if replaced in ("true", "strict"):
        return "replaced by Cilium"
    if configuration is None:
        return ""
    text = str((configuration.get("data") or {}).get("config.conf", ""))
    found = re.search(r'^mode:\s*"?(\w*)"?\s*$', text, re.MULTILINE)
    # Empty means the default of the platform (kubernetes.io, kube-proxy Configuration).
    return (found[1] if found else "") or "iptables"


def _name(document: Document) -> str:
    return str(document["metadata"]["name"])
