"""Reads VirtualServices of the mesh (istio.io, Reference, Virtual Service)."""

from __future__ import annotations

from collections.abc import Iterator

from whichpod.manifest.destination_rules import check_export
from whichpod.manifest.fields import Fields
from whichpod.manifest.meta import read_meta
from whichpod.manifest.traffic import (
    HttpMatch,
    HttpRoute,
    Retries,
    RouteDestination,
    StringMatch,
    VirtualService,
)


def read_virtual_service(top: Fields) -> VirtualService:
    """Reads a VirtualService; gateways, TCP and TLS routes, redirects, mirrors and faults are refused."""
    meta = read_meta(top, "subdomain")
    spec = top.child("spec", required=True)
    top.silent("status")
    if spec is None:
        return VirtualService(meta, top.where, (), ())
    hosts = spec.texts("hosts")
    if not hosts:
        spec.fail("hosts", "is missing.")
    if any(g != "mesh" for g in spec.texts("gateways")):
        spec.fail("gateways", "is understood as [mesh] only: the lab has no Istio gateway.")
    routes = tuple(_route(r) for r in spec.children("http", required=True))
    check_export(spec)
    spec.done()
    return VirtualService(meta, top.where, hosts, routes)


def _route(r: Fields) -> HttpRoute:
    destinations = tuple(_destination(d) for d in r.children("route", required=True))
    if len(destinations) > 1 and not sum(d.weight for d in destinations):
        r.fail("route", "has several destinations, whose weights add up to 0.")
    found = HttpRoute(
        destinations=destinations,
        where=r.where,
        name=r.text("name"),
        matches=tuple(_match(m) for m in r.children("match")),
        timeout_s=r.duration("timeout"),
        retries=_retries(retries) if (retries := r.child("retries")) else None,
    )
    r.done()
    return found


def _destination(d: Fields) -> RouteDestination:
    host, subset, number = "", "", 0
    if to := d.child("destination", required=True):
        host, subset = to.text("host", required=True), to.text("subset")
        if port := to.child("port"):
            number = port.whole("number", low=1, high=65535, required=True)
            port.done()
        to.done()
    found = RouteDestination(host, d.where, subset, number, d.whole("weight"))
    d.done()
    return found


def _match(m: Fields) -> HttpMatch:
    found = HttpMatch(
        uri=_text_match(t) if (t := m.child("uri")) else None,
        method=_text_match(t) if (t := m.child("method")) else None,
        authority=_text_match(t) if (t := m.child("authority")) else None,
        headers=tuple(_headers(m, "headers")),
        without_headers=tuple(_headers(m, "withoutHeaders")),
        port=m.whole("port", low=1, high=65535) if "port" in m else 0,
    )
    m.silent("name", "port")
    m.done()
    return found


def _headers(m: Fields, name: str) -> Iterator[tuple[str, StringMatch]]:
    headers = m.child(name)
    if headers is None:
        return
    for header in headers.node.items:
        # `{}` and null both say that the header must be there.
        value = headers.child(header)
        yield header.lower(), _text_match(value) if value and value.node.items else StringMatch("present")


def _text_match(t: Fields) -> StringMatch:
    exact, prefix, regex = t.text("exact"), t.text("prefix"), t.text("regex")
    t.done()
    given = [k for k in ("exact", "prefix", "regex") if k in t]
    if len(given) != 1:
        t.findings.fail(t.where, f"{t.subject}: {t.path} must have one of exact, prefix and regex.")
    if regex:
        return StringMatch("regex", regex)
    return StringMatch("prefix", prefix) if prefix else StringMatch("exact", exact)


def _retries(r: Fields) -> Retries:
    found = Retries(
        r.whole("attempts", high=100),
        r.duration("perTryTimeout", low=0.001),
        r.text("retryOn"),
        r.optional_flag("retryIgnorePreviousHosts"),
    )
    r.done()
    return found
