"""A proxy's own counters per endpoint, from its administration interface.

Source: Envoy, api/envoy/admin/v3/clusters.proto. Values are texts, and a zero leaves the value out.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping

from whichpod.model.lab import ClusterCounters, EndpointCounters

_INTERNAL = frozenset({"xds-grpc"})


def cluster_counters(clusters: bytes, stats: bytes, pods: Mapping[str, str]) -> tuple[ClusterCounters, ...]:
    """By cluster and endpoint, from /clusters?format=json; `stats` is /stats?format=json for the clusters.
    `pods` gives a pod's name by its address."""
    said = _per_cluster(stats)
    return tuple(
        ClusterCounters(name, tuple(endpoints), said.get(name, {}))
        for name, endpoints in _clusters(clusters, pods)
        if name not in _INTERNAL
    )


def requests_by_pod(clusters: bytes, pods: Mapping[str, str]) -> dict[str, int]:
    """All requests so far, by pod."""
    found: dict[str, int] = {}
    for name, endpoints in _clusters(clusters, pods):
        if name not in _INTERNAL:
            for e in endpoints:
                found[e.pod or e.address] = found.get(e.pod or e.address, 0) + e.requests
    return found


def _clusters(clusters: bytes, pods: Mapping[str, str]) -> Iterator[tuple[str, list[EndpointCounters]]]:
    for status in json.loads(clusters).get("cluster_statuses", ()):
        found = []
        for host in status.get("host_statuses", ()):
            at = host.get("address", {}).get("socket_address", {})
            values = {s["name"]: int(s.get("value", 0)) for s in host.get("stats", ()) if "name" in s}
            ip = at.get("address", "")
            found.append(
                EndpointCounters(
                    pod=host.get("hostname", "") or pods.get(ip, ""),
                    address=f"{ip}:{at.get('port_value', '')}" if ip else "",
                    requests=values.get("rq_total", 0),
                    successes=values.get("rq_success", 0),
                    errors=values.get("rq_error", 0),
                    active=values.get("rq_active", 0),
                    connections=values.get("cx_total", 0),
                    connect_failures=values.get("cx_connect_fail", 0),
                    ejected=bool(host.get("health_status", {}).get("failed_outlier_check")),
                )
            )
        yield status.get("name", ""), found


def _per_cluster(stats: bytes) -> dict[str, dict[str, int]]:
    """`upstream_rq_*` by cluster. A cluster's name has dots, so the counter's is told by its end."""
    found: dict[str, dict[str, int]] = {}
    for stat in json.loads(stats).get("stats", ()):
        name = stat.get("name", "")
        cluster, _, counter = name.removeprefix("cluster.").rpartition(".upstream_rq_")
        if (
            cluster
            and isinstance(stat.get("value"), int)
            and not cluster.endswith((".external", ".internal"))
        ):
            found.setdefault(cluster, {})[f"upstream_rq_{counter}"] = stat["value"]
    return found
