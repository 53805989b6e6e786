from __future__ import annotations

import pytest

from whichpod.manifest.load import load_text
from whichpod.manifest.routing import (
    Abort,
    Delay,
    Fault,
    HeaderChange,
    Headers,
    HttpMatch,
    Retries,
    Rewrite,
    StringMatch,
    VirtualService,
)
from whichpod.model.errors import ManifestError

HEAD = """\
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: v}
spec:
  hosts: [echo]
"""
ROUTE = "  - route: [{destination: {host: echo}}]\n"


def virtual(spec: str) -> VirtualService:
    (found,) = load_text(HEAD + spec, "f").virtual_services
    return found


def test_routes() -> None:
    found = virtual("""\
  gateways: [mesh]
  http:
  - name: canary
    match:
    - uri: {prefix: /whichpod.echo.v1.EchoService/}
      headers: {x-user: {exact: amy}, X-Any: {}}
      withoutHeaders: {x-no: {regex: "a+"}}
      port: 50051
    - method: {exact: POST}
    route:
    - {destination: {host: echo, subset: v1, port: {number: 50051}}, weight: 90}
    - {destination: {host: other.shop.svc.cluster.local}, weight: 10}
    timeout: 1.5s
    retries: {attempts: 3, perTryTimeout: 250ms, retryOn: "503,reset", retryIgnorePreviousHosts: false}
  - route: [{destination: {host: echo}}]
""")
    canary, rest = found.routes
    assert (canary.name, canary.timeout_s, canary.where.line) == ("canary", 1.5, 8)
    assert canary.matches == (
        HttpMatch(
            uri=StringMatch("prefix", "/whichpod.echo.v1.EchoService/"),
            headers=(("x-user", StringMatch("exact", "amy")), ("x-any", StringMatch("present"))),
            without_headers=(("x-no", StringMatch("regex", "a+")),),
            port=50051,
        ),
        HttpMatch(method=StringMatch("exact", "POST")),
    )
    assert [(d.host, d.subset, d.port, d.weight) for d in canary.destinations] == [
        ("echo", "v1", 50051, 90),
        ("other.shop.svc.cluster.local", "", 0, 10),
    ]
    assert canary.retries == Retries(3, 0.25, "503,reset", False)
    assert (rest.matches, rest.timeout_s, rest.retries) == ((), None, None)


def test_what_a_route_does() -> None:
    (found,) = virtual("""\
  exportTo: [., shop]
  http:
  - route: [{destination: {host: echo}, headers: {request: {remove: [x]}}}]
    fault:
      delay: {fixedDelay: 2s, percentage: {value: 1.5}}
      abort: {grpcStatus: INTERNAL, percentage: {value: 100}}
    mirrors: [{destination: {host: copy, subset: v1, port: {number: 9}}, percentage: {value: 5}}]
    headers: {request: {set: {a: b}, add: {c: d}, remove: [e]}, response: {set: {f: g}}}
    rewrite: {authority: other}
    retries: {attempts: 2, retryRemoteLocalities: true, backoff: 25ms}
""").routes
    assert found.fault == Fault(Delay(2, 1.5), Abort(grpc_status=13, percent=100))
    (mirror,) = found.mirrors
    assert (mirror.to.host, mirror.to.subset, mirror.to.port, mirror.percent) == ("copy", "v1", 9, 5)
    assert found.headers == Headers(HeaderChange({"a": "b"}, {"c": "d"}, ("e",)), HeaderChange({"f": "g"}))
    assert found.destinations[0].headers == Headers(HeaderChange(remove=("x",)))
    assert found.rewrite == Rewrite(authority="other")
    assert found.retries == Retries(2, remote_localities=True, backoff_s=0.025)


def notes(spec: str, *, lenient: bool = False) -> list[str]:
    return [n.message for n in load_text(HEAD + spec, "f", lenient=lenient).notes]


def test_gateways_are_noted() -> None:
    found = load_text(HEAD + "  gateways: [edge]\n  http: [{anything: goes}]\n", "f")
    assert found.virtual_services == ()
    assert "this VirtualService is left out" in found.notes[0].message
    assert len(found.documents) == 1
    found = load_text(HEAD + "  gateways: [edge, mesh]\n  http:\n" + ROUTE, "f")
    assert len(found.virtual_services) == 1
    assert any("spec.gateways other than mesh are not in the lab" in n.message for n in found.notes)


def test_a_fault_without_a_percentage_is_noted() -> None:
    found = notes("  http:\n" + ROUTE + "    fault: {delay: {fixedDelay: 1s}, abort: {httpStatus: 503}}\n")
    assert any("so no request is delayed" in n for n in found)
    assert any("so no request is aborted" in n for n in found)


def test_a_route_that_is_not_supported_is_left_out_when_lenient() -> None:
    spec = "  http:\n  - redirect: {uri: /}\n    match: [{uri: {prefix: /x}}]\n" + ROUTE
    (found,) = load_text(HEAD + spec, "f", lenient=True).virtual_services
    assert [r.where.line for r in found.routes] == [9]
    said = notes(spec, lenient=True)
    assert "VirtualService v: spec.http[0].redirect is not supported. Its route is left out." in said


@pytest.mark.parametrize(
    ("spec", "says"),
    [
        ("", "spec.http is missing"),
        ("  http: []\n", "spec.http is empty"),
        ("  tcp: []\n  http:\n" + ROUTE, "spec.tcp is not supported"),
        ("  http:\n" + ROUTE + "    fault: {}\n", "http[0].fault must have delay or abort"),
        ("  http:\n" + ROUTE + "    mirror: {}\n", "http[0].mirror.host is missing"),
        ("  http:\n" + ROUTE + "    mirror: {host: a}\n    mirrors: []\n", "can't both be given"),
        ("  http:\n" + ROUTE + "    rewrite: {uri: /, uriRegexRewrite: {match: a}}\n", "can't both be given"),
        ("  http:\n" + ROUTE + "    fault: {delay: {percentage: {value: 1}}}\n", "fixedDelay is missing"),
        ("  http:\n" + ROUTE + "    fault: {abort: {percentage: {value: 1}}}\n", "one of httpStatus and"),
        ("  http:\n" + ROUTE + "    fault: {abort: {grpcStatus: BAD}}\n", "'BAD' is no gRPC status"),
        ("  http:\n" + ROUTE + "    fault: {abort: {httpStatus: 100}}\n", "from 200 to 599"),
        ("  http:\n  - delegate: {name: x}\n", "delegate is not supported"),
        ("  http:\n" + ROUTE + "    match: [{uri: {}}]\n", "must have one of exact, prefix and regex"),
        ("  http:\n" + ROUTE + "    match: [{claims: {}}]\n", "claims is not understood"),
        ("  http:\n" + ROUTE + "    timeout: soon\n", "'soon' is not a duration"),
        ("  http:\n  - route: [{destination: {host: a}}, {destination: {host: b}}]\n", "add up to 0"),
        ("  http:\n  - redirect: {}\n", "redirect is not supported"),
    ],
)
def test_what_is_refused(spec: str, says: str) -> None:
    with pytest.raises(ManifestError) as caught:
        virtual(spec)
    assert says in caught.value.message
