from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from whichpod.mesh.outbound import outbound
from whichpod.mesh.proxyless import proxyless
from whichpod.mesh.resources import ROUTE
from whichpod.mesh.xds import packed

if TYPE_CHECKING:
    from tests.mesh.conftest import Make

HOST = "echo.default.svc.cluster.local"
ANYWHERE = {"prefix": "/"}
RETRY_ON = "connect-failure,refused-stream,unavailable,cancelled,retriable-status-codes"
VIRTUAL = """---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: echo}
spec:
  hosts: [echo]
  http:
"""


def routes(make: Make, virtual: str = "", policy: str = "") -> list[dict[str, Any]]:
    found = outbound(make(policy, more=VIRTUAL + virtual if virtual else ""), lambda s, p: ("127.0.0.1", 1))
    name = f"{HOST}:80"
    packed(ROUTE, found.texts[ROUTE][name])
    (host,) = found.routes[name]["virtual_hosts"]
    assert host["domains"] == ["*"]
    result: list[dict[str, Any]] = host["routes"]
    return result


def test_default_route(make: Make) -> None:
    (route,) = routes(make)
    assert route["match"] == ANYWHERE
    action = route["route"]
    assert action["cluster"] == f"outbound|80||{HOST}"
    assert action["timeout"] == "0s"
    retry = action["retry_policy"]
    assert (retry["retry_on"], retry["num_retries"], retry["host_selection_retry_max_attempts"]) == (
        RETRY_ON,
        2,
        5,
    )
    assert retry["retry_host_predicate"][0]["name"] == "envoy.retry_host_predicates.previous_hosts"
    assert "retriable_status_codes" not in retry
    assert "hash_policy" not in action


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        ("httpHeaderName: x-user", {"header": {"header_name": "x-user"}}),
        ("useSourceIp: true", {"connection_properties": {"source_ip": True}}),
        ("httpQueryParameterName: q", {"query_parameter": {"name": "q"}}),
        ("httpCookie: {name: c, ttl: 1m, path: /}", {"cookie": {"name": "c", "ttl": "60s", "path": "/"}}),
    ],
)
def test_the_hash_key_sits_on_the_route(make: Make, key: str, expected: dict[str, Any]) -> None:
    (route,) = routes(make, policy=f"{{loadBalancer: {{consistentHash: {{{key}}}}}}}")
    assert route["route"]["hash_policy"] == [expected]
    assert "retry_host_predicate" not in route["route"]["retry_policy"]


def test_matches(make: Make) -> None:
    found = routes(
        make,
        """\
  - name: first
    match:
    - uri: {exact: /a/B}
      headers: {x-a: {exact: "1"}, x-b: {prefix: p}, x-c: {regex: r+}, x-d: {}}
      withoutHeaders: {x-e: {}}
    - uri: {prefix: /a}
      method: {exact: POST}
      authority: {exact: echo}
    - {uri: {regex: "/.*"}, port: 80}
    - {port: 81}
    route: [{destination: {host: echo}}]
  - match: [{port: 81}]
    route: [{destination: {host: echo}}]
  - route: [{destination: {host: echo}}]
""",
    )
    assert [r["match"] for r in found] == [
        {
            "path": "/a/B",
            "headers": [
                {"name": "x-a", "string_match": {"exact": "1"}},
                {"name": "x-b", "string_match": {"prefix": "p"}},
                {"name": "x-c", "string_match": {"safe_regex": {"regex": "r+"}}},
                {"name": "x-d", "present_match": True},
                {"name": "x-e", "present_match": True, "invert_match": True},
            ],
        },
        {
            "prefix": "/a",
            "headers": [
                {"name": ":method", "string_match": {"exact": "POST"}},
                {"name": ":authority", "string_match": {"exact": "echo"}},
            ],
        },
        {"safe_regex": {"regex": "/.*"}},
        ANYWHERE,
    ]
    assert [r.get("name") for r in found] == ["first", "first", "first", None]


def test_destinations_and_weights(make: Make) -> None:
    (route,) = routes(
        make,
        """\
  - route:
    - {destination: {host: echo, subset: a}, weight: 90}
    - {destination: {host: other, port: {number: 9}}, weight: 10}
    - {destination: {host: x.shop.svc.cluster.local}, weight: 0}
""",
    )
    assert route["route"]["weighted_clusters"] == {
        "clusters": [
            {"name": f"outbound|80|a|{HOST}", "weight": 90},
            {"name": "outbound|9||other.default.svc.cluster.local", "weight": 10},
        ]
    }


def test_a_services_only_port_is_meant_where_none_is_named(make: Make) -> None:
    other = "---\napiVersion: v1\nkind: Service\nmetadata: {name: other}\nspec: {ports: [{port: 7000}]}\n"
    registry = make(more=VIRTUAL + "  - route: [{destination: {host: other}}]\n" + other)
    found = outbound(registry, lambda s, p: ("127.0.0.1", p.port))
    action = found.routes[f"{HOST}:80"]["virtual_hosts"][0]["routes"][0]["route"]
    assert action["cluster"] == "outbound|7000||other.default.svc.cluster.local"


@pytest.mark.parametrize(
    ("retries", "expected"),
    [
        ("{attempts: 5}", {"num_retries": 5, "retry_on": RETRY_ON}),
        ("{attempts: 1, perTryTimeout: 2s}", {"num_retries": 1, "per_try_timeout": "2s"}),
        ("{attempts: 1, retryOn: 'reset, 5xx'}", {"retry_on": "reset,5xx"}),
        (
            "{attempts: 1, retryOn: '503,reset,429'}",
            {"retry_on": "reset,retriable-status-codes", "retriable_status_codes": [503, 429]},
        ),
    ],
)
def test_retries(make: Make, retries: str, expected: dict[str, Any]) -> None:
    (route,) = routes(make, f"  - route: [{{destination: {{host: echo}}}}]\n    retries: {retries}\n")
    policy = route["route"]["retry_policy"]
    assert policy | expected == policy
    assert "retry_host_predicate" in policy


def test_no_retries_and_the_same_host(make: Make) -> None:
    base = "  - route: [{destination: {host: echo}}]\n    retries: "
    (route,) = routes(make, base + "{attempts: 0}\n")
    assert "retry_policy" not in route["route"]
    (route,) = routes(make, base + "{attempts: 1, retryIgnorePreviousHosts: false}\n")
    assert "retry_host_predicate" not in route["route"]["retry_policy"]


def test_timeouts(make: Make) -> None:
    virtual = "  - route: [{destination: {host: echo}}]\n    timeout: 1500ms\n"
    (route,) = routes(make, virtual)
    assert route["route"]["timeout"] == "1.5s"
    assert route["route"]["max_stream_duration"] == {"grpc_timeout_header_max": "1.5s"}
    found = proxyless(make(more=VIRTUAL + virtual)).routes[f"outbound|80||{HOST}"]
    assert found["virtual_hosts"][0]["routes"][0]["route"]["max_stream_duration"] == {
        "max_stream_duration": "1.5s"
    }
