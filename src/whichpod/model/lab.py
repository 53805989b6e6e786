"""What a lab that stays tells of itself."""

from __future__ import annotations

import json
from dataclasses import dataclass, field

from whichpod.model.codec import to_json

SCHEMA_VERSION = 1


@dataclass(frozen=True, slots=True)
class PodStatus:
    """A pod."""

    name: str
    namespace: str
    workload: str
    """Name of the Deployment, or whatever it belongs to."""
    kind: str
    """Of the workload: `Deployment`."""
    ready: bool
    state: str
    """`starting`, `running`, `back-off`, `ending`, `stopped` (by SIGSTOP)."""
    reason: str
    """Why it isn't ready, or what a container ended with last; empty where there is nothing to say."""
    restarts: int
    age_s: float
    ip: str
    node: str
    zone: str
    sidecar: bool
    faults: dict[str, object] = field(default_factory=dict)
    """What it was told to do wrong, in the words of `whichpod serve --faults`."""


@dataclass(frozen=True, slots=True)
class PortStatus:
    """A port of a Service."""

    port: int
    name: str
    target: str
    protocol: str
    """How a sidecar treats it: `http2`, `http`, `tcp`, `sniffed`, `udp`."""


@dataclass(frozen=True, slots=True)
class ServiceStatus:
    """A Service, and what a sidecar in its namespace is told of it."""

    name: str
    namespace: str
    cluster_ip: str
    """Empty for a headless one."""
    ports: tuple[PortStatus, ...]
    ready: tuple[str, ...]
    """The pods behind it that are ready."""
    pods: int
    """How many pods it selects."""
    policies: tuple[str, ...] = ()
    """What a caller's sidecar does, a sentence for each port and subset; empty without sidecars."""


@dataclass(frozen=True, slots=True)
class EventStatus:
    """Something that happened, or was done."""

    at: str
    """Local time, ISO 8601."""
    kind: str
    what: str
    detail: str = ""


@dataclass(frozen=True, slots=True)
class LabStatus:
    """A lab as it is now."""

    name: str
    cluster: str
    pid: int
    """Of its owner."""
    version: str
    """Of the whichpod that runs it."""
    up_s: float
    manifests: tuple[str, ...]
    """The files that were read last."""
    control_plane: bool
    dns: bool
    dns_address: str
    stand_ins: tuple[str, ...]
    """What is not as in a cluster, in words."""
    environment: dict[str, str]
    pods: tuple[PodStatus, ...]
    services: tuple[ServiceStatus, ...]
    events: tuple[EventStatus, ...]
    """The last ones."""
    schema_version: int = SCHEMA_VERSION

    def to_text(self) -> str:
        """JSON, indented, one object."""
        return json.dumps(to_json(self), indent=2)


@dataclass(frozen=True, slots=True)
class ListenerBrief:
    """A listener of a sidecar's."""

    name: str
    address: str
    does: str


@dataclass(frozen=True, slots=True)
class RouteBrief:
    """A route of a sidecar's."""

    configuration: str
    domains: str
    match: str
    does: str


@dataclass(frozen=True, slots=True)
class ClusterBrief:
    """A cluster of a sidecar's."""

    name: str
    does: str
    endpoints: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class SidecarConfig:
    """What a sidecar got, in brief."""

    owner: str
    """A pod, or `client`."""
    listeners: tuple[ListenerBrief, ...]
    routes: tuple[RouteBrief, ...]
    clusters: tuple[ClusterBrief, ...]
    refused: tuple[str, ...] = ()
    """Listeners that it was sent and did not take."""
    schema_version: int = SCHEMA_VERSION

    def to_text(self) -> str:
        """JSON, indented, one object."""
        return json.dumps(to_json(self), indent=2)


@dataclass(frozen=True, slots=True)
class EndpointCounters:
    """A sidecar's counters of one endpoint, since it started."""

    pod: str
    address: str
    requests: int
    """upstream_rq_total."""
    successes: int
    errors: int
    active: int
    connections: int
    connect_failures: int
    ejected: bool
    """By outlier detection, at present."""


@dataclass(frozen=True, slots=True)
class ClusterCounters:
    """A sidecar's counters of one cluster, since it started."""

    name: str
    endpoints: tuple[EndpointCounters, ...]
    requests: dict[str, int]
    """`upstream_rq_*` by name."""


@dataclass(frozen=True, slots=True)
class Compared:
    """The last probe through a sidecar: two counts of the same RPCs."""

    by_client: dict[str, int]
    """RPCs by pod, as the client saw them."""
    by_sidecar: dict[str, int]
    """Requests by pod, by the sidecar's counters before and after; retries are among them."""


@dataclass(frozen=True, slots=True)
class SidecarStats:
    """A sidecar's counters, and how the last probe through it compares with them."""

    owner: str
    clusters: tuple[ClusterCounters, ...]
    last_probe: Compared | None = None
    schema_version: int = SCHEMA_VERSION

    def to_text(self) -> str:
        """JSON, indented, one object."""
        return json.dumps(to_json(self), indent=2)
