"""What commands ask of a lab's owner: one class for each operation, the same at both ends."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from whichpod.cluster.protocol import Client
from whichpod.manifest.engines import GRPCIO
from whichpod.model.plan import Plan


@dataclass(frozen=True, slots=True)
class Run:
    """A program of this machine in place of an image."""

    image: str
    """A name or a glob, regardless of the tag."""
    command: str
    """As a shell reads it."""
    folder: str
    """Where it runs."""


@dataclass(frozen=True, slots=True)
class Manifests:
    """What is to hold."""

    texts: tuple[tuple[str, str], ...]
    """Name and YAML text of each source."""
    lenient: bool = False
    runs: tuple[Run, ...] = ()
    replicas: dict[str, int] = field(default_factory=dict)
    """By workload: instead of what is written; the name is empty for the only one there is."""
    engine: str = GRPCIO
    """The echo server of pods whose manifests name none."""


@dataclass(frozen=True, slots=True)
class Nothing:
    """Nothing more than the operation's name says."""


@dataclass(frozen=True, slots=True)
class Named:
    """A pod or a workload, by NAME or NAMESPACE/NAME."""

    name: str


@dataclass(frozen=True, slots=True)
class Scale:
    """Another number of pods."""

    name: str
    replicas: int


@dataclass(frozen=True, slots=True)
class Kill:
    """A signal for a pod's processes."""

    pod: str
    signal: int
    container: str = ""
    """One of its containers; `istio-proxy` is its sidecar."""


@dataclass(frozen=True, slots=True)
class Fault:
    """What the pods of that name are to do wrong, beside what they do wrong already; None ends all of it."""

    name: str
    """A pod, or a workload; empty for all pods."""
    faults: dict[str, Any] | None


@dataclass(frozen=True, slots=True)
class Switch:
    """A part of the cluster, to be stopped or started."""

    part: str
    """`control-plane` or `dns`."""
    up: bool


@dataclass(frozen=True, slots=True)
class Follow:
    """What has happened."""

    last: int
    """How many of those that have happened already."""
    on: bool
    """Whether to go on with those that will."""


@dataclass(frozen=True, slots=True)
class Logs:
    """What a pod has written."""

    pod: str
    container: str = ""
    tail: int | None = None
    follow: bool = False
    previous: bool = False
    """Only that of a container's life before this one."""


@dataclass(frozen=True, slots=True)
class Program:
    """A program to be run where a pod or a client stands; its descriptors come with the request."""

    argv: tuple[str, ...]
    """`argv[0]` is an absolute path."""
    env: dict[str, str]
    folder: str
    pod: str = ""
    """Empty: where a client stands."""
    meshed: bool = False
    """Whether that client has a sidecar."""
    terminal: bool = False


@dataclass(frozen=True, slots=True)
class Service:
    """What a client dials, in the words of its user."""

    name: str
    """A Service, or a workload."""
    port: str
    """By number or name; empty for the first."""
    workload: bool
    backends: str = ""
    """The Service whose pods should answer."""
    xds: bool = False
    """Whether the client is told by the control plane, so that what it ignores is to be said."""


@dataclass(frozen=True, slots=True)
class Probe:
    """A client of the lab's, for RPCs or for load."""

    client: Client
    plan: Plan


@dataclass(frozen=True, slots=True)
class Forward:
    """A port of this machine that leads into a pod."""

    name: str
    """`service/NAME`, `pod/NAME`, or a name of either."""
    port: str
    """The Service's port, or the pod's, by number or name."""
    local: int
    """0 for a free one."""
    address: str = "127.0.0.1"
