"""Reads how callers prefer what is near (istio.io, Destination Rule, LocalityLoadBalancerSetting)."""

from __future__ import annotations

from whichpod.manifest.fields import Fields
from whichpod.manifest.traffic import Distribute, LocalityLb


def read_locality(s: Fields) -> LocalityLb:
    """Reads localityLbSetting. Refused is what Istio's validation refuses."""
    enabled = s.optional_flag("enabled")
    found = LocalityLb(
        enabled is not False,
        tuple(_distribute(d) for d in s.children("distribute")),
        tuple(_failover(f) for f in s.children("failover")),
        s.texts("failoverPriority"),
    )
    s.done()
    if found.distribute and (found.failover or found.failover_priority):
        other = "failover" if found.failover else "failoverPriority"
        s.fail(other, "and distribute can't both be given.")
    origins = [d.origin for d in found.distribute]
    for origin in sorted({o for o in origins if o and origins.count(o) > 1}):
        s.fail("distribute", f"has the origin {origin!r} twice.")
    keys = [k.partition("=")[0] for k in found.failover_priority]
    for key in sorted({k for k in keys if keys.count(k) > 1}):
        s.fail("failoverPriority", f"has the label {key!r} twice.")
    return found


def _distribute(d: Fields) -> Distribute:
    origin = d.text("from", required=True)
    _place(d, "from", origin)
    to: list[tuple[str, int]] = []
    if places := d.child("to", required=True):
        for place in places.node.items:
            to.append((place, places.whole(place, low=1, high=100)))
            _place(places, place, place)
        places.done()
    d.done()
    if to and sum(weight for _, weight in to) != 100:
        d.fail("to", f"has weights that add up to {sum(weight for _, weight in to)}, not 100.")
    return Distribute(origin, tuple(to))


def _failover(f: Fields) -> tuple[str, str]:
    found = f.text("from", required=True), f.text("to", required=True)
    f.done()
    for name, region in zip(("from", "to"), found, strict=True):
        if "/" in region or "*" in region:
            f.fail(name, f"must be a region, not {region!r}.")
    if found[0] and found[0] == found[1]:
        f.fail("to", "must be another region than `from`.")
    return found


def _place(fields: Fields, name: str, place: str) -> None:
    """`region/zone/subzone`, or a part of it from the left; `*` stands for all that follows."""
    parts = place.split("/")
    if place and (len(parts) > 3 or "" in parts or any("*" in p for p in parts[:-1])):
        fields.fail(name, f"{place!r} is no place.", fix="Write it like region/zone/* or region.")
