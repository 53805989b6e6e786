"""Reads PeerAuthentications (istio.io, Reference, PeerAuthentication)."""

from __future__ import annotations

from typing import cast

from whichpod.manifest.bundle import ROOT_NAMESPACE
from whichpod.manifest.fields import Fields
from whichpod.manifest.meta import labels, read_meta
from whichpod.manifest.traffic import MutualTls, PeerAuthentication

_MODES = ("UNSET", "DISABLE", "PERMISSIVE", "STRICT")


def read_peer_authentication(top: Fields) -> PeerAuthentication:
    """Reads a PeerAuthentication.

    Refused is what Istio's validation refuses: ports of a policy that selects no workload. Noted is what it
    takes and ignores: a selector in the root namespace.
    """
    meta = read_meta(top, "subdomain")
    mode: MutualTls = "UNSET"
    selector: dict[str, str] = {}
    ports: tuple[tuple[int, MutualTls], ...] = ()
    top.silent("status")
    if spec := top.child("spec"):
        mode = _mode(spec, "mtls")
        if s := spec.child("selector"):
            selector = labels(s, "matchLabels")
            s.done()
        ports = _ports(spec)
        if ports and not selector:
            spec.fail("portLevelMtls", "needs a selector: Istio refuses ports of a whole namespace or mesh.")
        spec.done()
        if selector and meta.namespace == ROOT_NAMESPACE:
            spec.note("selector", f"makes Istio ignore this policy, as it stands in {ROOT_NAMESPACE}.")
    return PeerAuthentication(meta, top.where, mode, selector, ports)


def _mode(fields: Fields, name: str) -> MutualTls:
    found = "UNSET"
    if mtls := fields.child(name):
        found = mtls.choice("mode", _MODES, found)
        mtls.done()
    return cast(MutualTls, found)


def _ports(spec: Fields) -> tuple[tuple[int, MutualTls], ...]:
    """Ports are those of the workload, not of a Service."""
    level = spec.child("portLevelMtls")
    if level is None:
        return ()
    if not level.node.items:
        spec.fail("portLevelMtls", "is empty.", fix="Leave it out, or name a port.")
    found: list[tuple[int, MutualTls]] = []
    for text in level.node.items:
        mode = _mode(level, text)
        if not text.isdecimal() or not 1 <= int(text) <= 65535:
            level.fail(text, "is no port number.")
        else:
            found.append((int(text), mode))
    return tuple(found)
