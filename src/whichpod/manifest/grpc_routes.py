"""Reads GRPCRoutes (gateway-api.sigs.k8s.io, Reference, GRPCRoute) whose parents are Services (GAMMA), and
makes of them what istiod makes: VirtualServices.

Source: Istio, pilot/pkg/config/kube/gateway, route_collections.go and conversion.go.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

from whichpod.manifest.fields import Fields
from whichpod.manifest.kinds import Meta
from whichpod.manifest.meta import read_meta
from whichpod.manifest.routing import (
    GrpcRoute,
    HeaderChange,
    Headers,
    HttpMatch,
    HttpRoute,
    Mirror,
    ParentRef,
    RouteDestination,
    StringMatch,
    VirtualService,
)

_GROUP = "gateway.networking.k8s.io"
_FILTERS = ("RequestHeaderModifier", "ResponseHeaderModifier", "RequestMirror")


def read_grpc_route(top: Fields) -> GrpcRoute | None:
    """Reads a GRPCRoute; None for one of gateways alone."""
    meta = read_meta(top, "subdomain")
    spec = top.child("spec", required=True)
    top.silent("status")
    if spec is None:
        return GrpcRoute(meta, top.where, (), ())
    parents = tuple(found for p in spec.children("parentRefs") if (found := _parent(p, meta.namespace)))
    if not parents:
        spec.silent(*spec.node.items)
        spec.findings.note(top.where, f"{top.subject}: is left out: none of its parents is a Service.")
        return None
    spec.without_effect("hostnames", "useDefaultGateways")
    rules = spec.children("rules")
    routes = tuple(r for n, rule in enumerate(rules) for r in _rule(rule, meta, n))
    spec.done()
    return GrpcRoute(meta, top.where, parents, routes)


def _parent(p: Fields, namespace: str) -> ParentRef | None:
    group, kind = p.text("group", _GROUP), p.text("kind", "Gateway")
    found = ParentRef(
        p.text("name", required=True),
        p.text("namespace", namespace),
        p.whole("port", low=1, high=65535) if "port" in p else 0,
    )
    p.silent("port")
    p.without_effect("sectionName")
    p.done()
    if (group, kind) == (_GROUP, "Gateway"):
        p.findings.note(p.where, f"{p.subject}: {p.path} has no effect: the lab has no gateway.")
        return None
    if (group, kind) != ("", "Service"):
        problem = f"{kind} of the group {group!r} is not supported."
        p.unsupported("kind", problem, fix="Known: Service, Gateway.")
        return None
    return found


def _rule(r: Fields, meta: Meta, number: int) -> Iterator[HttpRoute]:
    """A route for each of a rule's matches, as istiod splits them."""
    matches = [_match(m) for m in r.children("matches")]
    headers, mirrors = Headers(), []
    for f in r.children("filters"):
        headers, mirror = _filter(f, headers, meta.namespace)
        mirrors += [mirror] if mirror else []
    backends = [_backend(b, meta.namespace) for b in r.children("backendRefs")]
    destinations = tuple(b for b in backends if b and b.weight)
    r.left_out("sessionPersistence")
    name = r.text("name", f"{meta.namespace}.{meta.name}.{number}")
    r.done()
    for match in matches or (None,):
        yield HttpRoute(
            destinations,
            r.where,
            name,
            () if match is None else (match,),
            mirrors=tuple(mirrors),
            headers=None if headers == Headers() else headers,
        )


def _match(m: Fields) -> HttpMatch:
    uri = _method(method) if (method := m.child("method")) else None
    headers: dict[str, StringMatch] = {}
    for h in m.children("headers"):
        # "Subsequent entries with an equivalent header name must be ignored."
        headers.setdefault(h.text("name", required=True).lower(), _value(h))
        h.done()
    m.done()
    return HttpMatch(uri=uri, headers=tuple(headers.items()))


def _value(h: Fields) -> StringMatch:
    regex = h.choice("type", ("Exact", "RegularExpression"), "Exact") == "RegularExpression"
    value = h.text("value", required=True)
    return StringMatch("regex" if regex else "exact", value)


def _method(m: Fields) -> StringMatch | None:
    regex = m.choice("type", ("Exact", "RegularExpression"), "Exact") == "RegularExpression"
    service, method = m.text("service"), m.text("method")
    m.done()
    if not service and not method:
        m.findings.fail(m.where, f"{m.subject}: {m.path} must have service or method.")
        return None
    if regex:
        return StringMatch("regex", f"/{service or '[^/]+'}/{method or '.+'}")
    if not method:
        return StringMatch("prefix", f"/{service}/")
    if not service:
        return StringMatch("regex", f"/[^/]+/{method}")
    return StringMatch("exact", f"/{service}/{method}")


def _filter(f: Fields, headers: Headers, namespace: str) -> tuple[Headers, Mirror | None]:
    mirror = None
    kind = f.choice("type", _FILTERS, "", beyond=("ExtensionRef",))
    if change := f.child("requestHeaderModifier"):
        headers = replace(headers, request=_change(change))
    if change := f.child("responseHeaderModifier"):
        headers = replace(headers, response=_change(change))
    if m := f.child("requestMirror"):
        percent = float(m.whole("percent", 100, high=100))
        if fraction := m.child("fraction"):
            of = fraction.whole("denominator", 100, low=1)
            percent = min(100.0, 100 * fraction.whole("numerator", required=True) / of)
            fraction.done()
        if b := m.child("backendRef", required=True):
            to = _backend(b, namespace)
            mirror = Mirror(to, percent) if to else None
        m.done()
    f.silent("extensionRef")
    f.done()
    given = kind[:1].lower() + kind[1:]
    if given and given not in f:
        f.fail(given, "is missing.")
    return headers, mirror


def _change(c: Fields) -> HeaderChange:
    def fields(name: str) -> dict[str, str]:
        found: dict[str, str] = {}
        for h in c.children(name):
            found.setdefault(h.text("name", required=True).lower(), h.text("value", required=True))
            h.done()
        return found

    change = HeaderChange(fields("set"), fields("add"), c.texts("remove"))
    c.done()
    return change


def _backend(b: Fields, namespace: str) -> RouteDestination | None:
    group, kind = b.text("group"), b.text("kind", "Service")
    name, own = b.text("name", required=True), b.text("namespace", namespace)
    number = b.whole("port", low=1, high=65535, required=True)
    weight = b.whole("weight", 1, high=1_000_000)
    if b.children("filters"):
        b.unsupported("filters", "is not supported: Istio's is neither for GRPCRoutes' backends.")
    b.done()
    if (group, kind) != ("", "Service"):
        b.unsupported("kind", f"{kind} of the group {group!r} is not supported.", fix="Known: Service.")
        return None
    return RouteDestination(f"{name}.{own}.svc.cluster.local", b.where, port=number, weight=weight)


def virtual_services(routes: Iterable[GrpcRoute]) -> tuple[VirtualService, ...]:
    """The VirtualServices that GRPCRoutes stand for: one for each namespace, Service and port of theirs, with
    the rules of all routes for it, the most specific first."""
    found: dict[tuple[str, str, int], VirtualService] = {}
    for route in routes:
        for n, parent in enumerate(route.parents):
            host = f"{parent.name}.{parent.namespace}.svc.cluster.local"
            rules = tuple(_at(rule, parent.port) for rule in route.rules)
            key = route.meta.namespace, host, parent.port
            if key in found:
                found[key] = replace(found[key], routes=(*found[key].routes, *rules))
                continue
            meta = replace(route.meta, name=f"{route.meta.name}~{n}")
            found[key] = VirtualService(meta, route.where, (host,), rules, gateway_api=True)
    return tuple(replace(v, routes=tuple(sorted(v.routes, key=_rank))) for v in found.values())


def _at(rule: HttpRoute, port: int) -> HttpRoute:
    """A rule for one port of its parent."""
    if not port:
        return rule
    return replace(rule, matches=tuple(replace(m, port=port) for m in rule.matches or (HttpMatch(),)))


def _rank(rule: HttpRoute) -> tuple[int, int, int]:
    """Exact paths come first, then prefixes, then patterns; of them the longest, then those with most header
    fields. What matches everything comes last."""
    if not rule.matches:
        return (1, 0, 0)
    (match,) = rule.matches
    kinds = {"exact": -3, "prefix": -2, "regex": -1}
    kind = kinds.get(match.uri.kind, 0) if match.uri else 0
    return (kind, -len(match.uri.value) if match.uri else 0, -len(match.headers))
