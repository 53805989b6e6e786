"""Which DestinationRule and VirtualService apply to a Service, and what a rule says of one port.

As istiod does it: pilot/pkg/model (destination_rule.go, virtualservice.go) and networking/util.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import TypeVar

from whichpod.manifest.bundle import ROOT_NAMESPACE, Bundle
from whichpod.manifest.hosts import full_host, matches
from whichpod.manifest.kinds import Service
from whichpod.manifest.traffic import DestinationRule, Simple, Subset, TrafficPolicy, VirtualService

T = TypeVar("T", DestinationRule, VirtualService)


def rule_for(bundle: Bundle, service: Service, namespace: str) -> DestinationRule | None:
    """The rule that a client in `namespace` obeys for a Service, or None.

    Looked for in the client's namespace, then the Service's, then the root namespace; there the most
    specific host wins. Rules of one namespace for one host are merged: the first traffic policy is kept,
    subsets are added.
    """
    for place in dict.fromkeys((namespace, service.meta.namespace, ROOT_NAMESPACE)):
        rules = [r for r in bundle.destination_rules if r.meta.namespace == place]
        found = _most_specific([(full_host(r.host, place), r) for r in rules], service.host)
        if found:
            return _merged(found)
    return None


def virtual_for(bundle: Bundle, service: Service, namespace: str) -> VirtualService | None:
    """The VirtualService that a client in `namespace` obeys for a Service: the most specific, then the
    first; those of the client's namespace before others."""
    named = sorted(bundle.virtual_services, key=lambda v: v.meta.namespace != namespace)
    hosts = [(full_host(h, v.meta.namespace), v) for v in named for h in v.hosts]
    found = _most_specific(hosts, service.host)
    return found[0] if found else None


def _most_specific(hosts: Iterable[tuple[str, T]], host: str) -> list[T]:
    """Those with the longest host that matches; a complete name beats every wildcard."""
    met = [(h, o) for h, o in hosts if matches(h, host)]
    if not met:
        return []
    best = max((not h.startswith("*"), len(h)) for h, _ in met)
    return [o for h, o in met if (not h.startswith("*"), len(h)) == best]


def _merged(rules: Sequence[DestinationRule]) -> DestinationRule:
    first = rules[0]
    policy = next((r.policy for r in rules if r.policy), None)
    subsets: dict[str, Subset] = {}
    for rule in rules:
        for subset in rule.subsets:
            subsets.setdefault(subset.name, subset)
    return replace(first, policy=policy, subsets=tuple(subsets.values()))


def policy_for(rule: DestinationRule | None, port: int, subset: Subset | None = None) -> TrafficPolicy:
    """What holds for one port of a destination, or of a subset of it.

    A subset inherits the destination's settings one by one and overrides them. Settings of a port replace
    the destination's as a whole: what they leave out is the default, not inherited.
    """
    base, _ = _of_port(rule.policy if rule else None, port)
    if subset is None or subset.policy is None:
        return base or TrafficPolicy()
    own, by_port = _of_port(subset.policy, port)
    own = own or TrafficPolicy()
    if base is None:
        return own
    if by_port:
        return own
    return TrafficPolicy(
        load_balancer=own.load_balancer or base.load_balancer,
        connection_pool=own.connection_pool or base.connection_pool,
        outlier_detection=own.outlier_detection or base.outlier_detection,
        tls=own.tls or base.tls,
    )


def _of_port(policy: TrafficPolicy | None, port: int) -> tuple[TrafficPolicy | None, bool]:
    if policy is None:
        return None, False
    for number, own in policy.ports:
        if number == port:
            return own, True
    return replace(policy, ports=()), False


def is_passthrough(policy: TrafficPolicy) -> bool:
    """Whether connections go to their original destination."""
    return bool(policy.load_balancer and policy.load_balancer.simple is Simple.PASSTHROUGH)
