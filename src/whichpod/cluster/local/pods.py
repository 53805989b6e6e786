"""The pods of a lab: who they are, and what the rest of the lab knows of them."""

from __future__ import annotations

import re
import time
import uuid
from dataclasses import dataclass, field
from typing import Any, Literal

from whichpod.cluster.local.fabric import Place
from whichpod.cluster.local.images import WHICHPOD, image_of, known
from whichpod.cluster.local.supervisor import Process
from whichpod.cluster.protocol import PodInfo
from whichpod.manifest.bundle import Bundle
from whichpod.manifest.kinds import Container, Deployment
from whichpod.manifest.placement import Locality
from whichpod.mesh.registry import Endpoint
from whichpod.model.errors import LabError, UsageError

State = Literal["starting", "running", "back-off", "ending"]
_LABEL = re.compile(r"metadata\.(labels|annotations)\['([^']+)'\]")


@dataclass(slots=True, eq=False)
class Pod:
    """A pod of the lab."""

    name: str
    deployment: Deployment
    number: int
    """Its number in the lab, from 0; never given twice."""
    ordinal: int
    """Its number in its workload, from 0. One that takes another's place in a StatefulSet has the same."""
    place: Place
    node: str
    locality: Locality
    """Where it is, by its labels or its node's."""
    meshed: bool
    """Whether it has a sidecar."""
    slug: str
    """Its name, told from that of a pod that had the same before it."""
    processes: dict[str, Process] = field(default_factory=dict)
    """The last of each container, by its name."""
    history: list[tuple[str, Process]] = field(default_factory=list)
    """All that it ever had, with the container's name, oldest first."""
    ready: bool = False
    state: State = "starting"
    reason: str = ""
    """Why it isn't ready, or what was wrong last."""
    stopped: bool = False
    """Whether its processes were stopped, by SIGSTOP."""
    faults: dict[str, Any] = field(default_factory=dict)
    """What it was told to do wrong."""
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
    def zone(self) -> str:
        """Its zone; empty where unknown."""
        return self.locality.zone

    @property
    def init_containers(self) -> tuple[Container, ...]:
        """Those init containers that the lab can run: the others are left out."""
        return tuple(filter(known, self.deployment.init_containers))

    @property
    def containers(self) -> tuple[Container, ...]:
        """Those that go on for as long as the pod."""
        return (*(c for c in self.init_containers if c.restarts), *self.deployment.containers)

    @property
    def running(self) -> list[Process]:
        """The processes that haven't ended."""
        return [p for p in self.processes.values() if not p.exited.done()]

    @property
    def where(self) -> str:
        """Its state in a word for people, by what was done to it too."""
        return "stopped" if self.stopped and not self.ending else self.state

    @property
    def echo(self) -> bool:
        """Whether it has an echo server, which says who it is."""
        return any(image_of(c) is WHICHPOD for c in self.deployment.containers)

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
        return Endpoint(
            self.name,
            self.ip,
            d.labels_of(self.ordinal),
            d.ports(),
            d.meta.namespace,
            self.zone,
            ready=self.ready,
            meshed=self.meshed,
            service_account=d.service_account,
            region=self.locality.region,
            subzone=self.locality.subzone,
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
            d.labels_of(self.ordinal),
            self.ready,
            ending=self.ending,
            restarts=self.restarts,
            meshed=self.meshed,
            node=self.node,
            zone=self.zone,
            state=self.where,
            reason="" if self.ready else self.reason,
        )

    def find(self, container: str) -> Container:
        """The container of that name; the first where it is empty. Raises UsageError."""
        for c in self.containers:
            if container in ("", c.name):
                return c
        names = ", ".join(c.name for c in self.containers)
        raise UsageError(f"The pod {self.name} has no container {container!r}.", fix=f"It has {names}.")

    def field(self, path: str, host_ip: str) -> str:
        """The value of a fieldRef. Labels and annotations that aren't there are empty."""
        meta, labels = self.deployment.meta, self.deployment.labels_of(self.ordinal)
        keyed = _LABEL.fullmatch(path)
        if keyed:
            source = labels if keyed[1] == "labels" else self.deployment.pod_annotations
            return source.get(keyed[2], "")
        if path == "metadata.uid":
            return str(uuid.uuid5(uuid.NAMESPACE_DNS, f"{self.name}.{meta.namespace}.{self.ip}"))
        fields = {
            "metadata.name": self.name,
            "metadata.namespace": meta.namespace,
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
    """Raises ManifestError for containers that the lab can't run; `any_meshed`: whether all images can have a
    sidecar, not only whichpod's."""
    for deployment in bundle.deployments:
        meshed = bundle.injected(deployment)
        for container in (*filter(known, deployment.init_containers), *deployment.containers):
            image = image_of(container)
            if meshed and image is not WHICHPOD and not any_meshed and container.restarts:
                raise container.where.error(
                    f"the container {container.name} ({image.name}) is to have a sidecar; in a loopback lab "
                    "only pods of the image whichpod can have one.",
                    fix='Use --cluster netns, or label the pods sidecar.istio.io/inject: "false".',
                )
