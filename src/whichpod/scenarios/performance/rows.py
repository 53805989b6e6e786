"""The rows of the performance table: scenarios of the matrix, under load."""

from __future__ import annotations

from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path

from whichpod.cluster.protocol import Client, Via
from whichpod.manifest.bundle import Bundle
from whichpod.manifest.engines import check_engine, served_by
from whichpod.model.errors import UsageError
from whichpod.model.performance import Settings
from whichpod.model.plan import Plan
from whichpod.scenarios.scenario import Scenario, scenarios

DIRECT = "direct"
"""The row that the others are held against."""


@dataclass(frozen=True, slots=True)
class Configuration:
    """A row: which scenario's manifests, and how the load client reaches the pods."""

    name: str
    title: str
    scenario: str
    """Whose manifests are run."""
    note: str = ""
    client: Client | None = None
    """Where it isn't the scenario's."""
    every_pod: bool = False
    """Whether the client itself has the addresses of all pods."""
    mutual_tls: bool = False
    manifest: str = ""
    """A file beside this one whose objects are added to the scenario's."""

    @property
    def source(self) -> Scenario:
        """The scenario."""
        found = _scenarios()[self.scenario]
        if not self.manifest:
            return found
        return replace(found, manifests=(*found.manifests, Path(__file__).parent / self.manifest))

    @property
    def reached(self) -> Client:
        """The client."""
        return self.client or self.source.client

    def bundle(self, settings: Settings) -> Bundle:
        """The scenario's manifests with the settings' number of pods, and server."""
        return served_by(self.source.bundle(settings.pods), settings.engine)

    def plans(self, settings: Settings) -> tuple[Plan, Plan]:
        """The plans of the low-rate phase and of the saturation phase.

        Each row has the same number of connections: one to each pod, or all of them to the one address. The
        second phase has no warm-up: the first was it, and so all processes' CPU time is of the same RPCs.
        """
        common = Plan(
            requests=None,
            duration_s=settings.duration_s,
            connections=1 if self.every_pod else settings.connections,
            concurrency=settings.streams,
            payload_size=settings.payload_size,
        )
        return replace(common, rate=settings.rate, warmup_s=settings.warmup_s), common


def _edge(name: str, title: str, note: str) -> Configuration:
    # Dialled by its pod's address: the stand-in for kube-proxy before it would be measured too.
    client = Client(deployment="edge", port=8080, via=Via.POD, backends="echo-headless")
    return Configuration(name, title, name, note, client)


CONFIGURATIONS = (
    Configuration(
        DIRECT,
        "Direct: the pods' addresses as a static list, no proxy",
        "multi-endpoint",
        "The client takes turns over the pods.",
        every_pod=True,
    ),
    Configuration(
        "clusterip",
        "ClusterIP Service",
        "clusterip-connections",
        "In the loopback lab an Envoy TCP proxy stands for kube-proxy's NAT; the kernel's costs less. Each "
        "connection stays with one pod, so few pods may do all the work.",
    ),
    Configuration(
        "headless-round-robin",
        "Headless Service, round robin in the client",
        "headless-round-robin",
        "As direct, by the Service's name.",
        every_pod=True,
    ),
    Configuration(
        "istio",
        "Sidecars of the client and of every pod, ROUND_ROBIN",
        "istio",
        "Sidecars without telemetry, access logs and mutual TLS, which cost more.",
        manifest="plain-text.yaml",
    ),
    Configuration(
        "istio-mtls",
        "The same with mutual TLS, as by default",
        "istio",
        "Sidecars without telemetry and access logs, which cost more.",
        mutual_tls=True,
    ),
    _edge("edge-envoy", "One Envoy before the pods", "One worker thread."),
    _edge(
        "edge-nginx",
        "One nginx before the pods",
        "One worker process. keepalive 256, one RPC at a time per upstream connection; keepalive_requests "
        "1000000 on both sides.",
    ),
    _edge("edge-caddy", "One Caddy before the pods", "As many threads as there are cores."),
    _edge("edge-haproxy", "One HAProxy before the pods", "As many threads as there are cores."),
)
"""In the order of the table; direct comes first in every round."""


def chosen(only: list[str], skip: list[str]) -> list[Configuration]:
    """Those that `only` names (all without), less those that `skip` names; names may be globs.

    Raises UsageError for a pattern that means none, and where nothing is left.
    """
    names = [c.name for c in CONFIGURATIONS]
    for pattern in (*only, *skip):
        if not any(fnmatchcase(name, pattern) for name in names):
            raise UsageError(f"There is no row {pattern!r}.", fix=f"Rows: {', '.join(names)}.")
    left = [
        c
        for c in CONFIGURATIONS
        if (not only or any(fnmatchcase(c.name, p) for p in only))
        and not any(fnmatchcase(c.name, p) for p in skip)
    ]
    if not left:
        raise UsageError(
            "--only and --skip leave no row.", fix="See them all: whichpod bench --matrix --list"
        )
    return left


def check(settings: Settings) -> None:
    """Raises UsageError, naming the option, where the table can't be measured so."""
    numbers = {
        "--repetitions": settings.repetitions, "--duration": settings.duration_s, "--rate": settings.rate,
        "--streams": settings.streams,
    }  # fmt: skip
    for option, value in numbers.items():
        if not 0 < value < float("inf"):
            raise UsageError(f"{option} {value:g} makes no sense.", fix="It takes a number above zero.")
    if settings.pods < 2:
        raise UsageError(f"--pods {settings.pods} leaves nothing to spread over.", fix="Give it 2 or more.")
    check_engine(settings.engine)
    for plan in CONFIGURATIONS[0].plans(settings):
        plan.check()


@cache
def _scenarios() -> dict[str, Scenario]:
    return {s.name: s for s in scenarios()}
