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
AT_ONCE = 16
"""Pods that are read at a time."""
WITHIN_S = 5.0
"""How long a pod may take."""
_PATIENCE_S = 1.0
_PORTS = range(1, 65_536)


@dataclass(frozen=True, slots=True)
class Scrape:
    """Where a pod's metrics are."""

    port: int
    path: str = PATH
    https: bool = False
    sidecar: bool = False


def scrape_of(pod: Mapping[str, Any], port: int = 0, path: str = "") -> Scrape | None:
    """Where a pod's metrics are; None where nothing says. `port` and `path` come before what the pod says."""
    annotations = pod["metadata"].get("annotations") or {}
    if port:
        return Scrape(port, path or PATH, annotations.get(f"{ANNOTATION}scheme") == "https")
    if has_sidecar(pod):
        return Scrape(SIDECAR_PORT, SIDECAR_PATH, sidecar=True)
    said = str(annotations.get(f"{ANNOTATION}port", ""))
    if not said.isdecimal() or int(said) not in _PORTS:
        return None
    https = annotations.get(f"{ANNOTATION}scheme") == "https"
    return Scrape(int(said), path or str(annotations.get(f"{ANNOTATION}path") or PATH), https)


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
                        name, namespace, scrape.port, scrape.path, patience_s=_PATIENCE_S
                    )
                texts[pod] = relevant(body)
            except TimeoutError:
                failures[pod] = f"no answer from port {scrape.port} within {WITHIN_S:g} s"
            except ForbiddenError as e:
                forbidden.append(e)
                failures[pod] = e.message
            except ClusterLostError:
                raise
            except ClusterError as e:
                failures[pod] = e.message

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
