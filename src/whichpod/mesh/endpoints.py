"""The endpoints of a cluster as Envoy takes them.

Source: Istio, pilot/pkg/xds/endpoints/endpoint_builder.go.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from functools import lru_cache

from whichpod.manifest.placement import Locality
from whichpod.mesh.caller import Caller
from whichpod.mesh.localities import Group, Preference, grouped, preferred
from whichpod.mesh.pieces import JsonObject, Written, socket
from whichpod.mesh.registry import Endpoint

Metadata = Callable[[Endpoint, int], JsonObject | None]


def load_assignment(
    name: str,
    endpoints: Iterable[tuple[Endpoint, int]],
    metadata: Metadata = lambda _pod, _port: None,
    *,
    caller: Caller | None = None,
    preference: Preference | None = None,
) -> JsonObject:
    """The endpoints of a cluster, a locality for each place and priority, with their `metadata`.

    gRPC ignores a locality without a weight; istiod gives it the sum of its endpoints' weights. With a
    `preference` weights and priorities are those for the `caller`.
    """
    groups = grouped(endpoints)
    if preference:
        groups = preferred(groups, caller or Caller(), preference)
    written: dict[int, str] = {}  # Metadata is the same object for most.
    localities = [_locality(group, metadata, written) for group in groups]
    text = f'{{"cluster_name": {json.dumps(name)}, "endpoints": [{", ".join(x.text for x in localities)}]}}'
    return Written({"cluster_name": name, "endpoints": localities}, text)


def _locality(group: Group, metadata: Metadata, written: dict[int, str]) -> Written:
    members = [_endpoint(e, port, metadata(e, port), written) for e, port in group.members]
    found: JsonObject = {"locality": _place(group.place), "load_balancing_weight": group.weight}
    if group.priority:
        found["priority"] = group.priority
    head = json.dumps(found, sort_keys=True)[:-1]
    text = f'{head}, "lb_endpoints": [{", ".join(m.text for m in members)}]}}'
    return Written({**found, "lb_endpoints": members}, text)


def _place(place: Locality) -> JsonObject:
    named = zip(("region", "zone", "sub_zone"), place, strict=True)
    return {name: value for name, value in named if value}


def _endpoint(endpoint: Endpoint, port: int, metadata: JsonObject | None, written: dict[int, str]) -> Written:
    more = ""
    if metadata:
        more = written.get(id(metadata)) or json.dumps(metadata, sort_keys=True)
        written[id(metadata)] = more
    return _written(endpoint.address, port, endpoint.pod, more)


@lru_cache(maxsize=16_384)
def _written(address: str, port: int, pod: str, metadata: str) -> Written:
    """The same object for the same endpoint: what changes from one push to the next is few of them."""
    found: JsonObject = {
        "endpoint": {"address": socket(address, port), "hostname": pod},
        "load_balancing_weight": 1,
    }
    return Written(found | {"metadata": json.loads(metadata)} if metadata else found)
