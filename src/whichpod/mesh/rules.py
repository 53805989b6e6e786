"""Which DestinationRule and VirtualService apply to a Service, and what a rule says of one port.

As istiod does it: pilot/pkg/model (push_context.go, destination_rule.go, sidecar.go, virtualservice.go) and
networking/util. Where age decides, objects without a creationTimestamp count as made at the same time, as by
one `kubectl apply`: then istiod goes by name.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TypeVar

from whichpod.manifest.bundle import ROOT_NAMESPACE, Bundle
from whichpod.manifest.hosts import full_host, matches
from whichpod.manifest.kinds import Service
from whichpod.manifest.routing import VirtualService
from whichpod.manifest.traffic import DestinationRule, Simple, Subset, TrafficPolicy

T = TypeVar("T", DestinationRule, VirtualService)


def rule_for(
    bundle: Bundle, service: Service, namespace: str, labels: Mapping[str, str] | None = None
) -> DestinationRule | None:
    """The rule that a client in `namespace` with these pod labels obeys for a Service, or None.

    Looked for in the client's namespace, then the Service's, then the root namespace, among those that are
    exported to it; there the most specific host wins. Rules of one namespace for one host are merged: the
    first traffic policy is kept, subsets are added. One with a workloadSelector is for the clients of its own
    namespace whom it selects, and beats those without. No labels: such rules don't count, as for what comes
    into a pod.
    """
    first = () if namespace == ROOT_NAMESPACE else (namespace,)
    for place in dict.fromkeys((*first, service.meta.namespace, ROOT_NAMESPACE)):
        rules = [r for r in bundle.destination_rules if r.meta.namespace == place and visible(r, namespace)]
        found = _most_specific([(full_host(r.host, place), r) for r in rules], service.host)
        if found:
            return _selected(_consolidated(oldest_first(found)), namespace, labels)
    return None


def virtuals_for(bundle: Bundle, service: Service, namespace: str) -> list[VirtualService]:
    """The VirtualServices for a Service and a client in `namespace`; the first that has a route for the port
    holds. Those that name the Service come first, then those with the most specific wildcard; of them those
    for this namespace alone, then GRPCRoutes of the client's namespace, then the oldest. GRPCRoutes of other
    namespaces count for Services of their own."""
    usable = [
        v
        for v in oldest_first(bundle.virtual_services)
        if visible(v, namespace)
        and not (v.gateway_api and v.meta.namespace not in (namespace, service.meta.namespace))
    ]
    usable.sort(key=lambda v: _reach(v, namespace))
    hosts = [(full_host(h, v.meta.namespace), v) for v in usable for h in v.hosts]
    named = [v for h, v in hosts if h == service.host]
    return named + _most_specific([(h, v) for h, v in hosts if h.startswith("*")], service.host)


def _reach(virtual: VirtualService, namespace: str) -> int:
    if virtual.export_to == (".",):
        return 0
    if virtual.export_to not in ((), ("*",)):
        return 1
    return 2 if virtual.gateway_api and virtual.meta.namespace == namespace else 3


def visible(of: DestinationRule | VirtualService, namespace: str) -> bool:
    """Whether clients in a namespace see an object, by its `exportTo`."""
    if not of.export_to or "*" in of.export_to:
        return True
    return namespace in of.export_to or ("." in of.export_to and namespace == of.meta.namespace)


def oldest_first(objects: Iterable[T]) -> list[T]:
    """As istiod sorts them: by age, then by name and namespace."""
    return sorted(objects, key=lambda o: (o.meta.created or "~", f"{o.meta.name}.{o.meta.namespace}"))


def _most_specific(hosts: Iterable[tuple[str, T]], host: str) -> list[T]:
    """Those with the longest host that matches; a complete name beats every wildcard."""
    met = [(h, o) for h, o in hosts if matches(h, host)]
    if not met:
        return []
    best = max((not h.startswith("*"), len(h)) for h, _ in met)
    return [o for h, o in met if (not h.startswith("*"), len(h)) == best]


def _consolidated(rules: Sequence[DestinationRule]) -> list[DestinationRule]:
    """Rules for one host as istiod keeps them: those with the same selector become one, and those with one
    also add to the rule without."""
    found: list[DestinationRule] = []
    for rule in rules:
        alone = True
        for i, other in enumerate(found):
            same = (rule.workload_selector or {}) == (other.workload_selector or {})
            if rule.workload_selector is not None and other.workload_selector is not None and not same:
                continue
            both_without = rule.workload_selector is None and other.workload_selector is None
            if both_without or (rule.workload_selector is not None and same):
                alone = False
            found[i] = _merged(other, rule)
        if alone:
            found.append(rule)
    return found


def _merged(first: DestinationRule, second: DestinationRule) -> DestinationRule:
    subsets = {s.name: s for s in (*second.subsets, *first.subsets)}
    names = dict.fromkeys(s.name for s in (*first.subsets, *second.subsets))
    return replace(
        first, policy=first.policy or second.policy, subsets=tuple(subsets[name] for name in names)
    )


def _selected(
    rules: Sequence[DestinationRule], namespace: str, labels: Mapping[str, str] | None
) -> DestinationRule | None:
    common = None
    for rule in rules:
        if rule.workload_selector is None:
            common = rule
        elif (
            labels is not None
            and rule.meta.namespace == namespace
            and all(labels.get(k) == v for k, v in rule.workload_selector.items())
        ):
            return rule
    return common


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
    if base is None or by_port:
        return own
    return TrafficPolicy(
        load_balancer=own.load_balancer or base.load_balancer,
        connection_pool=own.connection_pool or base.connection_pool,
        outlier_detection=own.outlier_detection or base.outlier_detection,
        tls=own.tls or base.tls,
        retry_budget=own.retry_budget or base.retry_budget,
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
