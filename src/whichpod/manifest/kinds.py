"""Kubernetes objects as the lab understands them, each with the place it was written at.

Fields are those of the Kubernetes API (apps/v1, v1); what a lab can't act on is not kept but noted.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from whichpod.model.errors import ManifestError

Protocol = Literal["TCP", "UDP", "SCTP"]
Scheme = Literal["HTTP", "HTTPS"]
Affinity = Literal["None", "ClientIP"]


@dataclass(frozen=True, slots=True)
class Where:
    """A place in a manifest. Lines count from 1."""

    file: str
    line: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}"

    def error(self, message: str, *, fix: str = "") -> ManifestError:
        """A ManifestError about this place."""
        return ManifestError(self.file, self.line, message, fix=fix)


@dataclass(frozen=True, slots=True)
class Note:
    """Something that is understood and has no effect in a lab, or other than its author may expect."""

    file: str
    line: int
    message: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.message}"


@dataclass(frozen=True, slots=True)
class Meta:
    """An object's metadata."""

    name: str
    namespace: str = "default"
    labels: Mapping[str, str] = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class EnvVar:
    """A container's environment variable: a value, or the path of a field of the pod."""

    name: str
    value: str | None = None
    """As written: `$(VAR)` is not expanded yet."""
    field_path: str | None = None
    """`metadata.name`, `metadata.namespace`, `metadata.uid`, `status.podIP`, `status.hostIP`,
    `spec.nodeName`, `spec.serviceAccountName`, `metadata.labels['KEY']` or `metadata.annotations['KEY']`."""


@dataclass(frozen=True, slots=True)
class ContainerPort:
    """A port that a container listens on."""

    port: int
    name: str = ""
    protocol: Protocol = "TCP"


@dataclass(frozen=True, slots=True)
class GrpcCheck:
    """A probe by grpc.health.v1."""

    port: int
    service: str = ""


@dataclass(frozen=True, slots=True)
class TcpCheck:
    """A probe that connects."""

    port: int | str


@dataclass(frozen=True, slots=True)
class HttpCheck:
    """A probe by GET; 200 to 399 is success."""

    port: int | str
    path: str = "/"
    scheme: Scheme = "HTTP"


@dataclass(frozen=True, slots=True)
class ExecCheck:
    """A probe by a command's exit status."""

    command: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Readiness:
    """A readiness probe, with Kubernetes' defaults."""

    check: GrpcCheck | TcpCheck | HttpCheck | ExecCheck
    initial_delay_s: int = 0
    period_s: int = 10
    timeout_s: int = 1
    success_threshold: int = 1
    failure_threshold: int = 3


@dataclass(frozen=True, slots=True)
class VolumeMount:
    """Where a container sees a volume."""

    name: str
    path: str
    sub_path: str = ""
    read_only: bool = False


@dataclass(frozen=True, slots=True)
class Volume:
    """A volume: the keys of a ConfigMap as files, or an empty folder."""

    name: str
    config_map: str = ""
    """Name of the ConfigMap; empty for an emptyDir."""
    items: tuple[tuple[str, str], ...] = ()
    """(key, path) of the keys to show; none means all, each under its own name."""
    optional: bool = False


@dataclass(frozen=True, slots=True)
class Container:
    """A container of a pod."""

    name: str
    image: str
    where: Where
    command: tuple[str, ...] = ()
    args: tuple[str, ...] = ()
    env: tuple[EnvVar, ...] = ()
    ports: tuple[ContainerPort, ...] = ()
    readiness: Readiness | None = None
    mounts: tuple[VolumeMount, ...] = ()
    working_dir: str = ""


@dataclass(frozen=True, slots=True)
class Deployment:
    """An apps/v1 Deployment."""

    meta: Meta
    where: Where
    replicas: int
    selector: Mapping[str, str]
    pod_labels: Mapping[str, str]
    containers: tuple[Container, ...]
    pod_annotations: Mapping[str, str] = field(default_factory=dict)
    volumes: tuple[Volume, ...] = ()
    termination_grace_s: int = 30
    service_account: str = "default"

    def ports(self) -> dict[str, int]:
        """The numbers of the named container ports."""
        return {p.name: p.port for c in self.containers for p in c.ports if p.name}


@dataclass(frozen=True, slots=True)
class ServicePort:
    """A port of a Service."""

    port: int
    target_port: int | str
    """A number, or the name of a container port."""
    where: Where
    name: str = ""
    app_protocol: str = ""
    protocol: Protocol = "TCP"


@dataclass(frozen=True, slots=True)
class Service:
    """A v1 Service of type ClusterIP."""

    meta: Meta
    where: Where
    ports: tuple[ServicePort, ...]
    selector: Mapping[str, str] = field(default_factory=dict)
    headless: bool = False
    publish_not_ready: bool = False
    session_affinity: Affinity = "None"
    affinity_timeout_s: int = 10_800

    @property
    def host(self) -> str:
        """The Service's full DNS name."""
        return f"{self.meta.name}.{self.meta.namespace}.svc.cluster.local"

    def find_port(self, port: str | int) -> ServicePort | None:
        """The port of that name or number (a number may be given as text)."""
        for p in self.ports:
            if p.port == port or (isinstance(port, str) and port and port in (p.name, str(p.port))):
                return p
        return None

    def selects(self, namespace: str, labels: Mapping[str, str]) -> bool:
        """Whether a pod with these labels is behind the Service. An empty selector selects nothing."""
        return (
            namespace == self.meta.namespace
            and bool(self.selector)
            and all(labels.get(k) == v for k, v in self.selector.items())
        )


@dataclass(frozen=True, slots=True)
class ConfigMap:
    """A v1 ConfigMap."""

    meta: Meta
    where: Where
    data: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Namespace:
    """A v1 Namespace; its label `istio-injection` decides about sidecars."""

    meta: Meta
    where: Where
