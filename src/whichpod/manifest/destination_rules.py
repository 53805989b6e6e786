"""Reads DestinationRules (istio.io, Reference, Destination Rule)."""

from __future__ import annotations

from whichpod.manifest.fields import Fields
from whichpod.manifest.meta import check_name, labels, read_meta, well_formed
from whichpod.manifest.traffic import DestinationRule, Subset
from whichpod.manifest.traffic_policies import read_policy


def read_destination_rule(top: Fields) -> DestinationRule:
    """Reads a DestinationRule."""
    meta = read_meta(top, "subdomain")
    spec = top.child("spec", required=True)
    top.silent("status")
    if spec is None:
        return DestinationRule(meta, top.where, "")
    host = spec.text("host", required=True)
    policy = read_policy(p) if (p := spec.child("trafficPolicy")) else None
    subsets = tuple(_subset(s) for s in spec.children("subsets"))
    export_to = read_export(spec)
    selector = None
    if s := spec.child("workloadSelector"):
        selector = labels(s, "matchLabels")
        s.done()
    spec.done()
    names = [s.name for s in subsets]
    for name in sorted({n for n in names if n and names.count(n) > 1}):
        spec.fail("subsets", f"has the name {name!r} twice.")
    return DestinationRule(meta, top.where, host, policy, subsets, export_to, selector)


def read_export(spec: Fields) -> tuple[str, ...]:
    """Reads `exportTo`: namespaces, "." or "*"."""
    found = spec.texts("exportTo")
    for name in found:
        if name not in (".", "*", "~") and not well_formed(name, "label"):
            spec.fail("exportTo", f"{name!r} is no namespace.", fix='Write a name, "." or "*".')
    if len(found) > 1 and {"*", "~"} & set(found):
        spec.fail("exportTo", 'has another namespace beside "*" or "~", which Istio refuses.')
    return found


def _subset(s: Fields) -> Subset:
    name = s.text("name", required=True)
    check_name(s, "name", name, "label")
    policy = read_policy(p) if (p := s.child("trafficPolicy")) else None
    found = Subset(name, s.where, labels(s, "labels"), policy)
    s.done()
    return found
