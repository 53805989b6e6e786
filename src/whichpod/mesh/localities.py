"""Endpoints by where they are, with weights and priorities relative to the caller's place.

Source: Istio, pilot/pkg/networking/core/loadbalancer/loadbalancer.go, pilot/pkg/xds/endpoints.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from whichpod.manifest.kinds import Service
from whichpod.manifest.placement import HOSTNAME, REGION, ZONE, Locality
from whichpod.manifest.traffic import LocalityLb, TrafficPolicy
from whichpod.mesh.caller import Caller, known
from whichpod.mesh.registry import Endpoint

_NETWORK = "topology.istio.io/network"
_DISTRIBUTIONS = {
    "PreferSameZone": LocalityLb(failover_priority=(_NETWORK, REGION, ZONE)),
    "PreferSameNode": LocalityLb(
        failover_priority=(_NETWORK, REGION, ZONE, "topology.istio.io/subzone", HOSTNAME)
    ),
}
"""What a Service's trafficDistribution means."""


@dataclass(frozen=True, slots=True)
class Group:
    """Endpoints, with their ports, that a balancer treats as one place."""

    place: Locality
    members: tuple[tuple[Endpoint, int], ...]
    weight: int
    priority: int = 0


@dataclass(frozen=True, slots=True)
class Preference:
    """What holds for a cluster. `failover`: whether endpoints have priorities, which needs outlier detection
    (Envoy would not know that the near ones have failed), or a Service's trafficDistribution."""

    setting: LocalityLb | None = None
    failover: bool = False

    @property
    def weighted(self) -> bool:
        """Whether Envoy is to heed the weights of places: without, `least request` goes over all of them."""
        if self.setting is None:
            return False
        chosen = self.setting.failover or self.setting.failover_priority
        return bool(self.setting.distribute or (self.failover and chosen))


def preference(service: Service, policy: TrafficPolicy) -> Preference:
    """What holds for a Service's cluster: its DestinationRule's word, then its trafficDistribution, then the
    mesh's default, which is failover by place."""
    detects = policy.outlier_detection is not None
    own = policy.load_balancer.locality if policy.load_balancer else None
    if own:
        return Preference(own if own.enabled else None, detects)
    if service.distribution:
        return Preference(_DISTRIBUTIONS[service.distribution], failover=True)
    return Preference(LocalityLb(), detects)


def grouped(endpoints: Iterable[tuple[Endpoint, int]]) -> list[Group]:
    """Endpoints by place, each place as heavy as it has endpoints."""
    places: dict[Locality, list[tuple[Endpoint, int]]] = {}
    for pair in endpoints:
        places.setdefault(pair[0].locality, []).append(pair)
    return [Group(place, tuple(places[place]), len(places[place])) for place in sorted(places, key=str)]


def preferred(groups: Sequence[Group], caller: Caller, preference: Preference) -> list[Group]:
    """The groups with the weights and priorities that they have for a caller."""
    setting = preference.setting
    if setting is None:
        return list(groups)
    if setting.distribute:
        return _distributed(groups, caller, setting)
    if not preference.failover:
        return list(groups)
    found = list(groups)
    if setting.failover_priority:
        labels = caller.all_labels()
        if labels:
            found = _by_labels(found, labels, setting.failover_priority)
        if not setting.failover:
            return found
    return _by_place(found, caller.locality, setting.failover)


def _distributed(groups: Sequence[Group], caller: Caller, setting: LocalityLb) -> list[Group]:
    """Percentages for the first origin that the caller is at; places that none is given get nothing."""
    chosen = next((d for d in setting.distribute if _at(caller.locality, d.origin)), None)
    if chosen is None:
        return list(groups)
    left, found = list(groups), []
    for pattern, percent in chosen.to:
        met = [g for g in left if _at(g.place, pattern)]
        left = [g for g in left if g not in met]
        total = sum(g.weight for g in met)
        found += [replace(g, weight=math.ceil(g.weight * percent / total)) for g in met]
    return sorted(found, key=lambda g: str(g.place))


def _at(place: Locality, pattern: str) -> bool:
    """Whether a place is meant by `region/zone/subzone`, of which the end may be missing or `*`."""
    region, zone, subzone = (*pattern.split("/"), "", "")[:3]
    return region in ("*", place.region) and all(
        asked in ("", "*", has) for asked, has in ((zone, place.zone), (subzone, place.subzone))
    )


def _by_labels(groups: Sequence[Group], caller: dict[str, str], order: Sequence[str]) -> list[Group]:
    """Endpoints by how many of the labels they share with the caller, counted from the first on."""
    split: list[Group] = []
    wanted = [
        (k, v) if given else (k, caller.get(k, "")) for k, given, v in (o.partition("=") for o in order)
    ]
    for group in groups:
        by_priority: dict[int, list[tuple[Endpoint, int]]] = {}
        for endpoint, port in group.members:
            has = known(endpoint.labels, endpoint.locality, endpoint.node)
            differs = next((n for n, (k, v) in enumerate(wanted) if has.get(k, "") != v), None)
            priority = 0 if differs is None else len(wanted) - differs
            by_priority.setdefault(priority, []).append((endpoint, port))
        split += [
            Group(group.place, tuple(members), len(members), priority)
            for priority, members in sorted(by_priority.items())
        ]
    return _without_gaps(split)


def _by_place(groups: Sequence[Group], caller: Locality, failover: Sequence[tuple[str, str]]) -> list[Group]:
    """The same subzone first, then the same zone, the same region, the region that `failover` names for the
    caller's, all others; within what the groups have been given already."""
    return _without_gaps(
        [replace(g, priority=g.priority * 5 + _distance(g.place, caller, failover)) for g in groups]
    )


def _distance(place: Locality, caller: Locality, failover: Sequence[tuple[str, str]]) -> int:
    if place.region != caller.region:
        target = next((to for origin, to in failover if origin == caller.region), place.region)
        return 3 if target == place.region else 4
    if place.zone != caller.zone:
        return 2
    return 0 if place.subzone == caller.subzone else 1


def _without_gaps(groups: Sequence[Group]) -> list[Group]:
    """Priorities from 0 on, as Envoy wants them."""
    ranks = {priority: n for n, priority in enumerate(sorted({g.priority for g in groups}))}
    return [replace(g, priority=ranks[g.priority]) for g in groups]
