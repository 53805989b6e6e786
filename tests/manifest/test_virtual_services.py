from __future__ import annotations

import pytest

from whichpod.manifest.load import load_text
from whichpod.manifest.traffic import HttpMatch, Retries, StringMatch, VirtualService
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


@pytest.mark.parametrize(
    ("spec", "says"),
    [
        ("", "spec.http is missing"),
        ("  http: []\n", "spec.http is empty"),
        ("  gateways: [edge]\n  http:\n" + ROUTE, "gateways is understood as [mesh]"),
        ("  tcp: []\n  http:\n" + ROUTE, "spec.tcp is not understood"),
        ("  http:\n" + ROUTE + "    fault: {}\n", "http[0].fault is not understood"),
        ("  http:\n" + ROUTE + "    mirror: {}\n", "http[0].mirror is not understood"),
        ("  http:\n" + ROUTE + "    match: [{uri: {}}]\n", "must have one of exact, prefix and regex"),
        ("  http:\n" + ROUTE + "    match: [{queryParams: {}}]\n", "queryParams is not understood"),
        ("  http:\n" + ROUTE + "    timeout: soon\n", "'soon' is not a duration"),
        ("  http:\n  - route: [{destination: {host: a}}, {destination: {host: b}}]\n", "add up to 0"),
        ("  http:\n  - redirect: {}\n", "redirect is not understood"),
    ],
)
def test_what_is_refused(spec: str, says: str) -> None:
    with pytest.raises(ManifestError) as caught:
        virtual(spec)
    assert says in caught.value.message
