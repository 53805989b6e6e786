"""Istio's VirtualService and the Gateway API's GRPCRoute as typed trees.

Durations are in seconds, percentages from 0 to 100.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from whichpod.manifest.kinds import Meta, Where


@dataclass(frozen=True, slots=True)
class StringMatch:
    """How a text must look."""

    kind: Literal["exact", "prefix", "regex", "present"]
    value: str = ""


@dataclass(frozen=True, slots=True)
class HttpMatch:
    """HTTPMatchRequest: all that is given must hold."""

    uri: StringMatch | None = None
    method: StringMatch | None = None
    authority: StringMatch | None = None
    headers: tuple[tuple[str, StringMatch], ...] = ()
    without_headers: tuple[tuple[str, StringMatch], ...] = ()
    port: int = 0
    name: str = ""
    scheme: StringMatch | None = None
    query: tuple[tuple[str, StringMatch], ...] = ()
    ignore_case: bool = False
    source_labels: Mapping[str, str] = field(default_factory=dict)
    """Labels of the callers that are meant."""
    source_namespace: str = ""
    mesh: bool = True
    """Whether requests of the mesh are meant, and not those of gateways alone."""


@dataclass(frozen=True, slots=True)
class HeaderChange:
    """What is done to the header fields of requests or responses."""

    set: Mapping[str, str] = field(default_factory=dict)
    add: Mapping[str, str] = field(default_factory=dict)
    remove: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Headers:
    """Headers: of the request on its way there, of the response on its way back."""

    request: HeaderChange = field(default_factory=HeaderChange)
    response: HeaderChange = field(default_factory=HeaderChange)


@dataclass(frozen=True, slots=True)
class RouteDestination:
    """A Service, or a subset of it; `port` 0 means the one the request came for."""

    host: str
    where: Where
    subset: str = ""
    port: int = 0
    weight: int = 0
    headers: Headers | None = None


@dataclass(frozen=True, slots=True)
class Retries:
    """HTTPRetry; `attempts` 0 turns retries off."""

    attempts: int
    per_try_timeout_s: float | None = None
    retry_on: str = ""
    ignore_previous_hosts: bool | None = None
    remote_localities: bool = False
    backoff_s: float | None = None


@dataclass(frozen=True, slots=True)
class Mirror:
    """A destination that gets copies of requests, whose answers nobody sees."""

    to: RouteDestination
    percent: float = 100.0


@dataclass(frozen=True, slots=True)
class Delay:
    """A delay before requests go on."""

    seconds: float
    percent: float


@dataclass(frozen=True, slots=True)
class Abort:
    """An error in place of an answer: an HTTP status, or a gRPC one. Without a percentage there is none."""

    http_status: int = 0
    grpc_status: int | None = None
    percent: float | None = None


@dataclass(frozen=True, slots=True)
class Fault:
    """HTTPFaultInjection."""

    delay: Delay | None = None
    abort: Abort | None = None


@dataclass(frozen=True, slots=True)
class Rewrite:
    """HTTPRewrite: another path in place of what has matched, another authority."""

    uri: str = ""
    authority: str = ""
    regex: tuple[str, str] | None = None
    """(pattern, replacement)."""


@dataclass(frozen=True, slots=True)
class HttpRoute:
    """HTTPRoute: any of `matches`, or everything when there are none.

    Without destinations (a GRPCRoute whose weights are all 0) requests end with an error.
    """

    destinations: tuple[RouteDestination, ...]
    where: Where
    name: str = ""
    matches: tuple[HttpMatch, ...] = ()
    timeout_s: float | None = None
    retries: Retries | None = None
    mirrors: tuple[Mirror, ...] = ()
    fault: Fault | None = None
    headers: Headers | None = None
    rewrite: Rewrite | None = None


@dataclass(frozen=True, slots=True)
class VirtualService:
    """A networking.istio.io VirtualService of the mesh."""

    meta: Meta
    where: Where
    hosts: tuple[str, ...]
    routes: tuple[HttpRoute, ...]
    export_to: tuple[str, ...] = ()
    """Namespaces whose callers obey it: names, "." for its own, "*" or nothing for all."""
    gateway_api: bool = False
    """Whether it stands for a GRPCRoute."""


@dataclass(frozen=True, slots=True)
class ParentRef:
    """A Service whose requests a GRPCRoute routes; `port` 0 means all of its ports."""

    name: str
    namespace: str
    port: int = 0


@dataclass(frozen=True, slots=True)
class GrpcRoute:
    """A gateway.networking.k8s.io GRPCRoute of the mesh; each rule has one match at most."""

    meta: Meta
    where: Where
    parents: tuple[ParentRef, ...]
    rules: tuple[HttpRoute, ...]
