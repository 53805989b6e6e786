"""A pod's own metrics, read through the API server: its sidecar's, or those that its annotations name."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from whichpod.cluster.kubernetes.api import Api
from whichpod.cluster.kubernetes.errors import ForbiddenError
from whichpod.cluster.kubernetes.traffic import relevant
from whichpod.cluster.kubernetes.trouble import has_sidecar
from whichpod.model.errors import ClusterError, ClusterLostError

SIDECAR_PORT, SIDECAR_PATH = 15020, "/stats/prometheus"
"""Where Istio's agent gives Envoy's metrics merged with its own and the application's. No sidecar intercepts
it, so it answers without mutual TLS too (istio.io, Ports used by Istio)."""
ANNOTATION = "prometheus.io/"
"""What Prometheus' usual configuration for Kubernetes goes by: prometheus.io/port, path and scheme."""
PATH = "/metrics"
_NAMES = ("metrics", "http-metrics", "prometheus", "monitoring", "http-prom", "http-monitoring")
"""Of container ports that give metrics, by custom."""
AT_ONCE = 16
"""Pods that are read at a time."""
WITHIN_S = 5.0
"""How long a pod may take."""
PATIENCE_S = 1.0
"""How long one is tried again."""
_PORTS = range(1, 65_536)


@dataclass(frozen=True, slots=True)
class Metrics:
    """Where pods' metrics are, as the user says it; a port of 0: wherever the pod says."""

    port: int = 0
    path: str = PATH


@dataclass(frozen=True, slots=True)
class Scrape:
    """Where a pod's metrics are."""

    port: int
    path: str = PATH
    https: bool = False
    merged: bool = False
    """They may be a sidecar's: its own endpoint, or one that the user named."""


def scrape_of(pod: Mapping[str, Any], metrics: Metrics) -> Scrape | None:
    """Where a pod's metrics are: the user's word, the sidecar's, the pod's own; None where nothing says."""
    annotations = pod["metadata"].get("annotations") or {}
    https = annotations.get(f"{ANNOTATION}scheme") == "https"
    if metrics.port:
        return Scrape(metrics.port, metrics.path, https, merged=True)
    if has_sidecar(pod):
        return Scrape(SIDECAR_PORT, SIDECAR_PATH, merged=True)
    said = str(annotations.get(f"{ANNOTATION}port", ""))
    if said.isdecimal() and int(said) in _PORTS:
        return Scrape(int(said), str(annotations.get(f"{ANNOTATION}path") or metrics.path), https)
    for container in (pod.get("spec") or {}).get("containers") or ():
        for port in container.get("ports") or ():
            if port.get("name") in _NAMES:
                return Scrape(int(port["containerPort"]), metrics.path, https)
    return None


async def read_all(
    api: Api, namespace: str, scrapes: Mapping[str, Scrape]
) -> tuple[dict[str, str], dict[str, str]]:
    """The counters of each pod, by its name, and why those of others could not be read.

    Raises ForbiddenError where none may be read, ClusterLostError where the API server is away.
    """
    room = asyncio.Semaphore(AT_ONCE)
    texts: dict[str, str] = {}
    failures: dict[str, str] = {}
    forbidden: list[ForbiddenError] = []

    async def one(pod: str, scrape: Scrape) -> None:
        async with room:
            try:
                async with asyncio.timeout(WITHIN_S):
                    # The API server's proxy takes the scheme in front of the name (kubernetes.io, Access
                    # Services Running on Clusters).
                    name = f"https:{pod}" if scrape.https else pod
                    body = await api.proxy_get(
                        name, namespace, scrape.port, scrape.path, patience_s=PATIENCE_S
                    )
                texts[pod] = relevant(body)
            except TimeoutError:
                failures[pod] = f"port {scrape.port}: no answer within {WITHIN_S:g} s"
            except ForbiddenError as e:
                forbidden.append(e)
                failures[pod] = f"port {scrape.port}: {e.message}"
            except ClusterLostError:
                raise
            except ClusterError as e:
                failures[pod] = f"port {scrape.port}: {e.message}"

    tasks = [asyncio.create_task(one(pod, scrape)) for pod, scrape in scrapes.items()]
    try:
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    if forbidden and not texts:
        raise forbidden[0]
    return texts, failures
