"""Istio's networking and security objects as typed trees (networking.istio.io, security.istio.io).

None means "not given" throughout, since istiod tells it apart from a default when it merges policies.
Durations are in seconds.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Literal

from whichpod.manifest.kinds import Meta, Where

Upgrade = Literal["DEFAULT", "DO_NOT_UPGRADE", "UPGRADE"]
MutualTls = Literal["UNSET", "DISABLE", "PERMISSIVE", "STRICT"]
"""PeerAuthentication.MutualTLS.Mode; UNSET means that the wider policy holds."""


class Simple(StrEnum):
    """LoadBalancerSettings.SimpleLB."""

    UNSPECIFIED = "UNSPECIFIED"
    LEAST_REQUEST = "LEAST_REQUEST"
    LEAST_CONN = "LEAST_CONN"
    ROUND_ROBIN = "ROUND_ROBIN"
    RANDOM = "RANDOM"
    PASSTHROUGH = "PASSTHROUGH"


@dataclass(frozen=True, slots=True)
class HashCookie:
    """A cookie to hash, which Envoy makes itself when `ttl_s` is given and the client has none."""

    name: str
    path: str = ""
    ttl_s: float | None = None


@dataclass(frozen=True, slots=True)
class ConsistentHash:
    """LoadBalancerSettings.ConsistentHashLB. One of the four keys is given."""

    header: str = ""
    cookie: HashCookie | None = None
    use_source_ip: bool = False
    query_parameter: str = ""
    algorithm: Literal["", "ringHash", "maglev"] = ""
    """Empty means that neither was written: a ring, with `size` from the deprecated minimumRingSize."""
    size: int = 0
    """Minimum ring size or Maglev table size; 0 means not given."""


@dataclass(frozen=True, slots=True)
class Warmup:
    """Slow start of new endpoints."""

    duration_s: float
    minimum_percent: float = 10
    aggression: float = 1


@dataclass(frozen=True, slots=True)
class Distribute:
    """How callers of one place spread their requests over others, in percent."""

    origin: str
    """`region/zone/subzone`, with `*` for all from there on."""
    to: tuple[tuple[str, int], ...]


@dataclass(frozen=True, slots=True)
class LocalityLb:
    """LocalityLoadBalancerSetting."""

    enabled: bool = True
    distribute: tuple[Distribute, ...] = ()
    failover: tuple[tuple[str, str], ...] = ()
    """(from region, to region)."""
    failover_priority: tuple[str, ...] = ()
    """Labels, or LABEL=VALUE: pods that share more of them with the caller, from the first on, come first."""


@dataclass(frozen=True, slots=True)
class LoadBalancer:
    """LoadBalancerSettings."""

    where: Where
    simple: Simple = Simple.UNSPECIFIED
    consistent_hash: ConsistentHash | None = None
    warmup: Warmup | None = None
    locality: LocalityLb | None = None


@dataclass(frozen=True, slots=True)
class TcpKeepalive:
    """TCP keepalive of connections to the destination."""

    probes: int | None = None
    time_s: float | None = None
    interval_s: float | None = None


@dataclass(frozen=True, slots=True)
class TcpPool:
    """ConnectionPoolSettings.TCPSettings."""

    max_connections: int = 0
    connect_timeout_s: float | None = None
    max_connection_duration_s: float | None = None
    idle_timeout_s: float | None = None
    keepalive: TcpKeepalive | None = None


@dataclass(frozen=True, slots=True)
class HttpPool:
    """ConnectionPoolSettings.HTTPSettings; 0 means the default, as istiod reads it."""

    http1_max_pending_requests: int = 0
    http2_max_requests: int = 0
    max_requests_per_connection: int = 0
    max_retries: int = 0
    idle_timeout_s: float | None = None
    h2_upgrade: Upgrade = "DEFAULT"
    use_client_protocol: bool = False
    max_concurrent_streams: int = 0


@dataclass(frozen=True, slots=True)
class ConnectionPool:
    """ConnectionPoolSettings."""

    tcp: TcpPool = field(default_factory=TcpPool)
    http: HttpPool = field(default_factory=HttpPool)


@dataclass(frozen=True, slots=True)
class OutlierDetection:
    """OutlierDetection; None leaves Envoy's default (consecutive 5xx: 5; gateway errors: off)."""

    consecutive_5xx: int | None = None
    consecutive_gateway: int | None = None
    split_local_origin: bool = False
    consecutive_local_origin: int | None = None
    interval_s: float | None = None
    base_ejection_s: float | None = None
    max_ejection_percent: int = 0
    min_health_percent: int = 0


@dataclass(frozen=True, slots=True)
class RetryBudget:
    """How many retries there may be at a time, as a share of the requests under way."""

    percent: float | None = None
    min_retry_concurrency: int = 0


@dataclass(frozen=True, slots=True)
class ClientTls:
    """ClientTLSSettings, of which those between sidecars are understood."""

    mode: Literal["DISABLE", "ISTIO_MUTUAL"]
    sni: str = ""
    subject_alt_names: tuple[str, ...] | None = None
    """The identities that a server may have; None means those of the destination's service accounts."""


@dataclass(frozen=True, slots=True)
class TrafficPolicy:
    """TrafficPolicy of a destination, a port of it, or a subset."""

    load_balancer: LoadBalancer | None = None
    connection_pool: ConnectionPool | None = None
    outlier_detection: OutlierDetection | None = None
    tls: ClientTls | None = None
    ports: tuple[tuple[int, TrafficPolicy], ...] = ()
    """portLevelSettings: (port number, policy)."""
    retry_budget: RetryBudget | None = None


@dataclass(frozen=True, slots=True)
class Subset:
    """A named part of a destination's pods."""

    name: str
    where: Where
    labels: Mapping[str, str] = field(default_factory=dict)
    policy: TrafficPolicy | None = None


@dataclass(frozen=True, slots=True)
class DestinationRule:
    """A networking.istio.io DestinationRule."""

    meta: Meta
    where: Where
    host: str
    policy: TrafficPolicy | None = None
    subsets: tuple[Subset, ...] = ()
    export_to: tuple[str, ...] = ()
    """Namespaces whose callers obey it: names, "." for its own, "*" or nothing for all."""
    workload_selector: Mapping[str, str] | None = None
    """Labels of the callers that obey it; None means all."""


@dataclass(frozen=True, slots=True)
class PeerAuthentication:
    """A security.istio.io PeerAuthentication."""

    meta: Meta
    where: Where
    mode: MutualTls = "UNSET"
    selector: Mapping[str, str] = field(default_factory=dict)
    """Labels of the pods that are meant; empty means all of the namespace, or of the mesh."""
    ports: tuple[tuple[int, MutualTls], ...] = ()
    """portLevelMtls: (port of the pod, mode)."""
