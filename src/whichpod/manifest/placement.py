"""Which node a pod of a lab is said to run on, and where that is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import NamedTuple

from whichpod.manifest.bundle import Bundle
from whichpod.manifest.kinds import Deployment

NODES = ("node-a", "node-b", "node-c")
"""The nodes of a lab whose manifests have none."""
REGION, ZONE, SUBZONE = (
    "topology.kubernetes.io/region",
    "topology.kubernetes.io/zone",
    "topology.istio.io/subzone",
)
HOSTNAME = "kubernetes.io/hostname"
LOCALITY = "istio-locality"


class Locality(NamedTuple):
    """Region, zone and subzone; empty where unknown."""

    region: str = ""
    zone: str = ""
    subzone: str = ""

    def __str__(self) -> str:
        return "/".join(self).rstrip("/")


NOWHERE = Locality()


def locality(labels: Mapping[str, str], node: Mapping[str, str] | None = None) -> Locality:
    """Where a pod is: by its own label `istio-locality` (`region.zone.subzone`), else by its labels of the
    topology, else by those of its node (Istio, Locality Load Balancing; Kubernetes copies a node's labels of
    the topology to its pods since 1.35)."""
    if own := labels.get(LOCALITY):
        parts = own.split("/" if "/" in own else ".")
        return Locality(*(*parts, "", "")[:3])
    known = {**(node or {}), **{k: v for k, v in labels.items() if k in (REGION, ZONE, SUBZONE)}}
    return Locality(known.get(REGION, ""), known.get(ZONE, ""), known.get(SUBZONE, ""))


def topology(place: Locality) -> dict[str, str]:
    """The labels that say where something is."""
    return {key: value for key, value in zip((REGION, ZONE, SUBZONE), place, strict=True) if value}


def nodes(bundle: Bundle) -> dict[str, dict[str, str]]:
    """The lab's nodes by name, with their labels."""
    given = {n.meta.name: n.meta.labels for n in bundle.nodes} or {name: {} for name in NODES}
    return {name: {HOSTNAME: name, **found} for name, found in given.items()}


def candidates(bundle: Bundle, deployment: Deployment) -> list[str]:
    """The nodes that a workload's pods may be on: by nodeName and nodeSelector."""
    if deployment.node_name:
        return [deployment.node_name]
    wanted = deployment.node_selector.items()
    return [n for n, has in nodes(bundle).items() if all(has.get(k) == v for k, v in wanted)]


def node_of(bundle: Bundle, deployment: Deployment, number: int) -> str:
    """The node of a workload's pod, counted from 0: they take turns."""
    found = candidates(bundle, deployment) or list(nodes(bundle))
    return found[number % len(found)]


def spread(bundle: Bundle) -> Bundle:
    """The bundle with as many replicas of each DaemonSet as it has nodes."""
    return replace(
        bundle,
        deployments=tuple(
            replace(d, replicas=len(candidates(bundle, d) or nodes(bundle))) if d.kind == "DaemonSet" else d
            for d in bundle.deployments
        ),
    )


def locality_of(bundle: Bundle, deployment: Deployment, number: int) -> Locality:
    """Where a workload's pod is."""
    node = nodes(bundle).get(node_of(bundle, deployment, number))
    return locality(deployment.pod_labels, node)
