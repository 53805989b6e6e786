"""Kubernetes objects as the lab understands them, each with the place it was written at.

Fields are those of the Kubernetes API (apps/v1, v1); what a lab can't act on is not kept but noted.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal

from whichpod.model.errors import ManifestError

Protocol = Literal["TCP", "UDP", "SCTP"]
Scheme = Literal["HTTP", "HTTPS"]
Affinity = Literal["None", "ClientIP"]
WorkloadKind = Literal["Deployment", "StatefulSet", "DaemonSet", "ReplicaSet", "Pod"]
Holder = Literal["ConfigMap", "Secret"]
"""What holds texts under keys."""


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
    created: str = ""
    """creationTimestamp, which is there in YAML that was taken from a cluster."""


@dataclass(frozen=True, slots=True)
class KeyRef:
    """A key of a ConfigMap or Secret in the pod's namespace."""

    kind: Holder
    name: str
    key: str
    where: Where
    optional: bool = False


@dataclass(frozen=True, slots=True)
class EnvVar:
    """A container's environment variable: a value, or the path of a field of the pod."""

    name: str
    value: str | None = None
    """As written: `$(VAR)` is not expanded yet."""
    field_path: str | None = None
    """`metadata.name`, `metadata.namespace`, `metadata.uid`, `status.podIP`, `status.hostIP`,
    `spec.nodeName`, `spec.serviceAccountName`, `metadata.labels['KEY']` or `metadata.annotations['KEY']`."""
    key: KeyRef | None = None
    """configMapKeyRef or secretKeyRef; a loaded bundle has its value instead."""


@dataclass(frozen=True, slots=True)
class EnvFrom:
    """All keys of a ConfigMap or Secret as variables; a loaded bundle has them in `Container.env`."""

    kind: Holder
    name: str
    where: Where
    prefix: str = ""
    optional: bool = False


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
class Probe:
    """A readiness, liveness or startup probe, with Kubernetes' defaults."""

    check: GrpcCheck | TcpCheck | HttpCheck | ExecCheck
    initial_delay_s: int = 0
    period_s: int = 10
    timeout_s: int = 1
    success_threshold: int = 1
    failure_threshold: int = 3
    grace_s: int | None = None
    """terminationGracePeriodSeconds of a container that the probe ends; None means the pod's."""


@dataclass(frozen=True, slots=True)
class Sleep:
    """A hook that waits."""

    seconds: int


PreStop = Sleep | ExecCheck | HttpCheck
"""What is done before a container gets SIGTERM; it counts against the grace period."""


@dataclass(frozen=True, slots=True)
class VolumeMount:
    """Where a container sees a volume."""

    name: str
    path: str
    sub_path: str = ""
    read_only: bool = False


@dataclass(frozen=True, slots=True)
class VolumeSource:
    """Where files of a volume come from."""

    kind: Literal["ConfigMap", "Secret", "DownwardAPI"]
    name: str = ""
    items: tuple[tuple[str, str], ...] = ()
    """(key, path) of the keys to show; none means all, each under its own name. Of the downward API the key
    is a field's path, `metadata.labels` and `metadata.annotations` included."""
    optional: bool = False


@dataclass(frozen=True, slots=True)
class Volume:
    """A volume: files, or an empty folder where it has no sources."""

    name: str
    sources: tuple[VolumeSource, ...] = ()


@dataclass(frozen=True, slots=True)
class Local:
    """A program of this machine, in place of a container's image."""

    command: str
    """As a shell reads it."""
    program: str
    """Its first word as an absolute path."""
    folder: str
    """Where it runs."""


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
    readiness: Probe | None = None
    mounts: tuple[VolumeMount, ...] = ()
    working_dir: str = ""
    env_from: tuple[EnvFrom, ...] = ()
    liveness: Probe | None = None
    startup: Probe | None = None
    pre_stop: PreStop | None = None
    restarts: bool = True
    """Whether it goes on for as long as the pod; False for an init container that runs to its end."""
    local: Local | None = None
    """What a lab was told to run instead of the image."""


@dataclass(frozen=True, slots=True)
class Rollout:
    """How pods are replaced when their template changes."""

    kind: Literal["RollingUpdate", "Recreate", "OnDelete"] = "RollingUpdate"
    max_surge: int | str = "25%"
    max_unavailable: int | str = "25%"
    min_ready_s: int = 0
    """How long a new pod must have been ready to count as available."""

    def surge(self, replicas: int) -> int:
        """How many pods there may be beyond `replicas`; a percentage is rounded up."""
        return _share(self.max_surge, replicas, up=True)

    def unavailable(self, replicas: int) -> int:
        """How many pods may be missing; a percentage is rounded down, and one is where both would be none
        (kubernetes, deployment/util, ResolveFenceposts)."""
        found = _share(self.max_unavailable, replicas, up=False)
        return found if found or self.surge(replicas) else 1


def _share(amount: int | str, of: int, *, up: bool) -> int:
    if isinstance(amount, int):
        return amount
    hundredths = int(amount.removesuffix("%")) * of
    return -(-hundredths // 100) if up else hundredths // 100


@dataclass(frozen=True, slots=True)
class Deployment:
    """A Deployment, or another workload: what is asked of its pods is the same."""

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
    kind: WorkloadKind = "Deployment"
    init_containers: tuple[Container, ...] = ()
    rollout: Rollout = field(default_factory=Rollout)
    service_name: str = ""
    """The headless Service under which a StatefulSet's pods have DNS names of their own."""
    first_ordinal: int = 0
    in_order: bool = False
    """Whether pods start and end one after the other (StatefulSet, OrderedReady)."""
    node_name: str = ""
    node_selector: Mapping[str, str] = field(default_factory=dict)

    def ports(self) -> dict[str, int]:
        """The numbers of the named container ports."""
        containers = (*self.containers, *(c for c in self.init_containers if c.restarts))
        return {p.name: p.port for c in containers for p in c.ports if p.name}

    def pod_name(self, number: int) -> str:
        """The name of a pod, counted from 0: a StatefulSet's by ordinal, a Pod's own. Of others a cluster
        would make up the end; here it is the number."""
        if self.kind == "Pod":
            return self.meta.name
        return f"{self.meta.name}-{self.first_ordinal + number}"

    def labels_of(self, number: int) -> dict[str, str]:
        """A pod's labels, with those that a StatefulSet's controller adds."""
        if self.kind != "StatefulSet":
            return dict(self.pod_labels)
        return {
            **self.pod_labels,
            "statefulset.kubernetes.io/pod-name": self.pod_name(number),
            "apps.kubernetes.io/pod-index": str(self.first_ordinal + number),
        }

    def labels(self) -> Iterator[Mapping[str, str]]:
        """The labels that its pods have: all the same, but for a StatefulSet's."""
        yield self.pod_labels
        if self.kind == "StatefulSet":
            yield from (self.labels_of(n) for n in range(self.replicas))

    def tcp_ports(self) -> tuple[int, ...]:
        """The numbers of all container ports that speak TCP."""
        return tuple(p.port for c in self.containers for p in c.ports if p.protocol == "TCP")


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
    distribution: Literal["", "PreferSameZone", "PreferSameNode"] = ""
    """trafficDistribution; PreferClose is the old name of PreferSameZone."""

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
class Secret:
    """A v1 Secret. Bytes that are no UTF-8 text stand in the texts as surrogates (PEP 383)."""

    meta: Meta
    where: Where
    data: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Node:
    """A v1 Node: a place for pods, whose labels say where it is."""

    meta: Meta
    where: Where


@dataclass(frozen=True, slots=True)
class Namespace:
    """A v1 Namespace; its label `istio-injection` decides about sidecars."""

    meta: Meta
    where: Where
