"""The pods of a lab: who they are, and what the rest of the lab knows of them."""

from __future__ import annotations

import re
import time
import uuid
from dataclasses import dataclass, field

from whichpod.cluster.local.fabric import Place
from whichpod.cluster.local.images import WHICHPOD, image_of
from whichpod.cluster.local.supervisor import Process
from whichpod.cluster.protocol import PodInfo
from whichpod.manifest.bundle import Bundle
from whichpod.manifest.kinds import Deployment
from whichpod.manifest.placement import locality
from whichpod.mesh.registry import Endpoint
from whichpod.model.errors import LabError

ZONE_LABEL = "topology.kubernetes.io/zone"
NODES = ("node-a", "node-b", "node-c")
"""Nodes that pods are said to run on, in turn."""
_LABEL = re.compile(r"metadata\.(labels|annotations)\['([^']+)'\]")


@dataclass(slots=True, eq=False)
class Pod:
    """A pod of the lab."""

    name: str
    deployment: Deployment
    number: int
    """Its number in the lab, from 0; never given twice."""
    place: Place
    node: str
    meshed: bool
    """Whether it has a sidecar."""
    processes: dict[str, Process] = field(default_factory=dict)
    """By the name of the container."""
    history: list[Process] = field(default_factory=list)
    """All that it ever had, oldest first."""
    ready: bool = False
    ending: bool = False
    """Whether it was told to end: it is no endpoint any more."""
    restarts: int = 0
    """How often one of its containers was started anew."""
    created_ns: int = field(default_factory=time.monotonic_ns)

    @property
    def ip(self) -> str:
        """Its address."""
        return self.place.ip

    @property
    def echo(self) -> bool:
        """Whether it has an echo server, which says who it is."""
        return any(image_of(c) is WHICHPOD for c in self.deployment.containers)

    @property
    def zone(self) -> str:
        """The zone that its labels name."""
        return self.deployment.pod_labels.get(ZONE_LABEL, "")

    @property
    def title(self) -> str:
        """As a person calls it."""
        return f"pod {self.name}"

    @property
    def account(self) -> tuple[str, str]:
        """Its namespace and service account."""
        return self.deployment.meta.namespace, self.deployment.service_account

    def endpoint(self) -> Endpoint:
        """What the control plane and DNS know of it."""
        d = self.deployment
        place = locality(d.pod_labels)
        return Endpoint(
            self.name,
            self.ip,
            d.pod_labels,
            d.ports(),
            d.meta.namespace,
            self.zone,
            ready=self.ready,
            meshed=self.meshed,
            service_account=d.service_account,
            region=place.region,
            subzone=place.subzone,
            node=self.node,
        )

    def info(self) -> PodInfo:
        """What the lab tells of it."""
        d = self.deployment
        return PodInfo(
            self.name,
            self.ip,
            d.meta.name,
            d.meta.namespace,
            dict(d.pod_labels),
            self.ready,
            ending=self.ending,
            restarts=self.restarts,
            meshed=self.meshed,
            node=self.node,
            zone=self.zone,
        )

    def field(self, path: str, host_ip: str) -> str:
        """The value of a fieldRef. Labels and annotations that aren't there are empty."""
        meta, labels = self.deployment.meta, self.deployment.pod_labels
        keyed = _LABEL.fullmatch(path)
        if keyed:
            source = labels if keyed[1] == "labels" else self.deployment.pod_annotations
            return source.get(keyed[2], "")
        fields = {
            "metadata.name": self.name,
            "metadata.namespace": meta.namespace,
            "metadata.uid": str(uuid.uuid5(uuid.NAMESPACE_DNS, f"{self.name}.{meta.namespace}.{self.ip}")),
            "spec.nodeName": self.node,
            "spec.serviceAccountName": self.deployment.service_account,
            "status.podIP": self.ip,
            "status.podIPs": self.ip,
            "status.hostIP": host_ip,
            "status.hostIPs": host_ip,
        }
        if path not in fields:
            raise LabError(f"{self.deployment.where}: the lab doesn't know the field {path!r} of a pod.")
        return fields[path]


def check_images(bundle: Bundle, *, any_meshed: bool) -> None:
    """Raises LabError for containers that the lab can't run; `any_meshed`: whether all images can have a
    sidecar, not only whichpod's."""
    for deployment in bundle.deployments:
        meshed = bundle.injected(deployment)
        for container in deployment.containers:
            image = image_of(container)
            if meshed and image is not WHICHPOD and not any_meshed:
                raise LabError(
                    f"{container.where}: the container {container.name} ({image.name}) is to have a "
                    "sidecar; in a loopback lab only pods of the image whichpod can have one.",
                    fix='Label the pods sidecar.istio.io/inject: "false".',
                )
