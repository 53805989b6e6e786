"""Reads VirtualServices of the mesh (istio.io, Reference, Virtual Service)."""

from __future__ import annotations

from collections.abc import Iterator

from whichpod.manifest.destination_rules import read_export
from whichpod.manifest.faults import read_fault, read_percent
from whichpod.manifest.fields import Fields
from whichpod.manifest.kinds import Where
from whichpod.manifest.meta import labels, read_meta
from whichpod.manifest.routing import (
    HeaderChange,
    Headers,
    HttpMatch,
    HttpRoute,
    Mirror,
    Retries,
    Rewrite,
    RouteDestination,
    StringMatch,
    VirtualService,
)

_MESH = "mesh"


def read_virtual_service(top: Fields) -> VirtualService | None:
    """Reads a VirtualService; None for one of gateways alone. TCP and TLS routes, redirects, direct responses
    and delegates are not supported."""
    meta = read_meta(top, "subdomain")
    spec = top.child("spec", required=True)
    top.silent("status")
    if spec is None:
        return VirtualService(meta, top.where, (), ())
    gateways = spec.texts("gateways")
    if gateways and _MESH not in gateways:
        spec.silent(*spec.node.items)
        spec.note("gateways", "are not in the lab: this VirtualService is left out. [mesh] is its sidecars.")
        return None
    if len(gateways) > 1:
        spec.note("gateways", "other than mesh are not in the lab.")
    hosts = spec.texts("hosts")
    if not hosts:
        spec.fail("hosts", "is missing.")
    spec.left_out("tcp", "tls", why="is not supported: of VirtualServices only http routes are.")
    required = "tcp" not in spec and "tls" not in spec
    routes = tuple(found for r in spec.children("http", required=required) if (found := _route(r)))
    export_to = read_export(spec)
    spec.done()
    return VirtualService(meta, top.where, hosts, routes, export_to)


def _route(r: Fields) -> HttpRoute | None:
    """A route; None for one that does something else than to pass on what it matches."""
    for other in ("redirect", "directResponse", "delegate"):
        if other in r:
            r.unsupported(other, "is not supported.", instead="Its route is left out.")
            r.silent(*r.node.items)
            return None
    destinations = tuple(read_destination(d) for d in r.children("route", required=True))
    if len(destinations) > 1 and not sum(d.weight for d in destinations):
        r.fail("route", "has several destinations, whose weights add up to 0.")
    r.without_effect("corsPolicy")
    found = HttpRoute(
        destinations=destinations,
        where=r.where,
        name=r.text("name"),
        matches=tuple(_match(m) for m in r.children("match")),
        timeout_s=r.duration("timeout"),
        retries=_retries(retries) if (retries := r.child("retries")) else None,
        mirrors=tuple(_mirrors(r)),
        fault=read_fault(fault) if (fault := r.child("fault")) else None,
        headers=_headers(headers) if (headers := r.child("headers")) else None,
        rewrite=_rewrite(rewrite) if (rewrite := r.child("rewrite")) else None,
    )
    r.done()
    return found


def read_destination(d: Fields) -> RouteDestination:
    """Reads an HTTPRouteDestination."""
    host, subset, number = "", "", 0
    if to := d.child("destination", required=True):
        host, subset, number = _destination(to)
    headers = _headers(h) if (h := d.child("headers")) else None
    found = RouteDestination(host, d.where, subset, number, d.whole("weight"), headers)
    d.done()
    return found


def _destination(to: Fields) -> tuple[str, str, int]:
    host, subset, number = to.text("host", required=True), to.text("subset"), 0
    if port := to.child("port"):
        number = port.whole("number", low=1, high=65535, required=True)
        port.done()
    to.done()
    return host, subset, number


def _match(m: Fields) -> HttpMatch:
    gateways = m.texts("gateways")
    sources = labels(m, "sourceLabels")
    found = HttpMatch(
        uri=read_text_match(t) if (t := m.child("uri")) else None,
        method=read_text_match(t) if (t := m.child("method")) else None,
        authority=read_text_match(t) if (t := m.child("authority")) else None,
        headers=tuple(_named_matches(m, "headers")),
        without_headers=tuple(_named_matches(m, "withoutHeaders")),
        port=m.whole("port", low=1, high=65535) if "port" in m else 0,
        name=m.text("name"),
        scheme=read_text_match(t) if (t := m.child("scheme")) else None,
        query=tuple(_named_matches(m, "queryParams")),
        ignore_case=m.flag("ignoreUriCase"),
        source_labels=sources,
        source_namespace=m.text("sourceNamespace"),
        mesh=not gateways or _MESH in gateways,
    )
    m.silent("port", "statPrefix")
    m.done()
    return found


def _named_matches(m: Fields, name: str) -> Iterator[tuple[str, StringMatch]]:
    fields = m.child(name)
    if fields is None:
        return
    for key in fields.node.items:
        # `{}` and null both say that it must be there.
        value = fields.child(key)
        match = read_text_match(value) if value and value.node.items else StringMatch("present")
        yield key if name == "queryParams" else key.lower(), match


def read_text_match(t: Fields) -> StringMatch:
    """Reads a StringMatch. `*` as a regex means that there is a value, as Istio takes it."""
    exact, prefix, regex = t.text("exact"), t.text("prefix"), t.text("regex")
    t.done()
    given = [k for k in ("exact", "prefix", "regex") if k in t]
    if len(given) != 1:
        t.findings.fail(t.where, f"{t.subject}: {t.path} must have one of exact, prefix and regex.")
    if regex:
        return StringMatch("present") if regex == "*" else StringMatch("regex", regex)
    return StringMatch("prefix", prefix) if prefix else StringMatch("exact", exact)


def _retries(r: Fields) -> Retries:
    found = Retries(
        r.whole("attempts", high=100),
        r.duration("perTryTimeout", low=0.001),
        r.text("retryOn"),
        r.optional_flag("retryIgnorePreviousHosts"),
        r.flag("retryRemoteLocalities"),
        r.duration("backoff", low=0.001),
    )
    r.done()
    return found


def _mirrors(r: Fields) -> Iterator[Mirror]:
    if "mirror" in r and "mirrors" in r:
        r.fail("mirrors", "and mirror can't both be given.")
    if to := r.child("mirror"):
        percent = 100.0
        if "mirrorPercentage" in r:
            percent = read_percent(r, "mirrorPercentage")
        elif "mirrorPercent" in r:
            r.note("mirrorPercent", "is deprecated; Istio still reads it. Write mirrorPercentage.")
            percent = float(r.whole("mirrorPercent", high=100))
        yield Mirror(_mirrored(to, to.where), percent)
    r.silent("mirrorPercentage", "mirrorPercent")
    for m in r.children("mirrors"):
        percent = read_percent(m, "percentage") if "percentage" in m else 100.0
        m.silent("percentage")
        if to := m.child("destination", required=True):
            yield Mirror(_mirrored(to, m.where), percent)
        m.done()


def _mirrored(to: Fields, where: Where) -> RouteDestination:
    host, subset, number = _destination(to)
    return RouteDestination(host, where, subset, number)


def _headers(h: Fields) -> Headers:
    found = Headers(_change(h, "request"), _change(h, "response"))
    h.done()
    return found


def _change(h: Fields, name: str) -> HeaderChange:
    c = h.child(name)
    if c is None:
        return HeaderChange()
    found = HeaderChange(c.strings("set"), c.strings("add"), c.texts("remove"))
    c.done()
    return found


def _rewrite(r: Fields) -> Rewrite:
    regex = None
    if pattern := r.child("uriRegexRewrite"):
        regex = pattern.text("match", required=True), pattern.text("rewrite")
        pattern.done()
    found = Rewrite(r.text("uri"), r.text("authority"), regex)
    r.done()
    if found.uri and regex:
        r.fail("uriRegexRewrite", "and uri can't both be given.")
    return found
