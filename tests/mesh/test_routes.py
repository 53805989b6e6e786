from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.mesh.http_routes import CLUSTER, HOST, ONLY_DEFAULT, RETRIES, ROWS, TO, action, route
from whichpod.mesh.caller import Caller
from whichpod.mesh.outbound import outbound
from whichpod.mesh.proxyless import proxyless
from whichpod.mesh.resources import ROUTE
from whichpod.mesh.xds import packed

if TYPE_CHECKING:
    from tests.mesh.conftest import Make

VIRTUAL = """---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: echo}
spec:
  hosts: [echo]
  http:
"""
CALLER = Caller(labels={"app": "shop"})


def routes(make: Make, virtual: str = "", policy: str = "", more: str = "") -> list[dict[str, Any]]:
    registry = make(policy, more=(VIRTUAL + virtual if virtual else "") + more)
    found = outbound(registry, lambda s, p: ("127.0.0.1", 1), caller=CALLER)
    name = f"{HOST}:80"
    packed(ROUTE, found.texts[ROUTE][name])
    (host,) = found.routes[name]["virtual_hosts"]
    assert host["domains"] == ["*"]
    result: list[dict[str, Any]] = host["routes"]
    return result


def indented(text: str) -> str:
    return "".join(f"  {line}\n" for line in text.splitlines())


def test_default_route(make: Make) -> None:
    assert routes(make) == ONLY_DEFAULT == [{"match": {"prefix": "/"}, "name": "default", "route": action()}]


@pytest.mark.parametrize(("virtual", "expected"), ROWS, ids=[virtual for virtual, _ in ROWS])
def test_virtual_services(make: Make, virtual: str, expected: list[Any]) -> None:
    assert routes(make, indented(virtual)) == expected


def hashed(key: str) -> str:
    return f"{{consistentHash: {{{key}}}}}"


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        ("httpHeaderName: x-user", {"header": {"header_name": "x-user"}}),
        ("useSourceIp: true", {"connection_properties": {"source_ip": True}}),
        ("httpQueryParameterName: q", {"query_parameter": {"name": "q"}}),
        ("httpCookie: {name: c, ttl: 1m, path: /}", {"cookie": {"name": "c", "ttl": "60s", "path": "/"}}),
        ("httpCookie: {name: c}", {"cookie": {"name": "c"}}),
    ],
)
def test_the_hash_key_sits_on_the_route(make: Make, key: str, expected: dict[str, Any]) -> None:
    (found,) = routes(make, policy=f"{{loadBalancer: {hashed(key)}}}")
    # Only where a VirtualService names the destination do retries stay with the host of the key.
    assert found["route"] == action(hash_policy=[expected])
    (found,) = routes(make, "  - route: [{destination: {host: echo}}]\n", f"{{loadBalancer: {hashed(key)}}}")
    stays = {k: v for k, v in RETRIES.items() if k != "retry_host_predicate"}
    assert found["route"] == action(hash_policy=[expected], retry_policy=stays)


LAYERS = f"""{{loadBalancer: {hashed("httpHeaderName: all")}, portLevelSettings: [
    {{port: {{number: 80}}, loadBalancer: {hashed("httpHeaderName: port")}}},
    {{port: {{number: 81}}, loadBalancer: {{simple: RANDOM}}}}]}}
  subsets:
  - {{name: plain}}
  - {{name: own, trafficPolicy: {{loadBalancer: {hashed("httpHeaderName: subset")}}}}}
"""


@pytest.mark.parametrize(
    ("destination", "key"),
    [
        (None, "port"),
        ("{host: echo}", "all"),
        ("{host: echo, port: {number: 80}}", "port"),
        ("{host: echo, port: {number: 81}}", "all"),
        ("{host: echo, subset: plain}", "all"),
        ("{host: echo, subset: own}", "subset"),
        ("{host: echo, subset: own, port: {number: 80}}", "subset"),
    ],
)
def test_which_hash_key(make: Make, destination: str | None, key: str) -> None:
    """As hashForService and hashForHTTPDestination choose: a port counts where the route names it."""
    virtual = f"  - route: [{{destination: {destination}}}]\n" if destination else ""
    (found,) = routes(make, virtual, LAYERS)
    assert found["route"]["hash_policy"] == [{"header": {"header_name": key}}]


def test_weighted_destinations_add_their_keys(make: Make) -> None:
    virtual = "  - route: [{destination: {host: echo, subset: own}, weight: 1}, "
    virtual += "{destination: {host: echo}, weight: 1}]\n"
    (found,) = routes(make, virtual, LAYERS)
    keys = [{"header": {"header_name": key}} for key in ("subset", "all")]
    assert found["route"]["hash_policy"] == keys
    assert found["route"]["retry_policy"] == RETRIES


def test_a_services_only_port_is_meant_where_none_is_named(make: Make) -> None:
    other = "---\napiVersion: v1\nkind: Service\nmetadata: {name: other}\nspec: {ports: [{port: 7000}]}\n"
    (found,) = routes(make, "  - route: [{destination: {host: other}}]\n", more=other)
    assert found["route"]["cluster"] == "outbound|7000||other.default.svc.cluster.local"


def test_timeouts_of_proxyless_clients(make: Make) -> None:
    virtual = "  - route: [{destination: {host: echo}}]\n    timeout: 1500ms\n"
    found = proxyless(make(more=VIRTUAL + virtual)).routes[CLUSTER]
    assert found["virtual_hosts"][0]["routes"][0]["route"]["max_stream_duration"] == {
        "max_stream_duration": "1.5s"
    }


def test_the_first_that_has_a_route_for_the_port_holds(make: Make) -> None:
    other = VIRTUAL.replace("{name: echo}", "{name: later}") + "  - {name: later, " + f"{TO}}}\n"
    first = f"  - {{match: [{{port: 81}}], {TO}}}\n"
    assert [r["name"] for r in routes(make, first, more=other)] == ["later"]


GRPC_ROUTE = """---
apiVersion: gateway.networking.k8s.io/v1
kind: GRPCRoute
metadata: {name: echo}
spec:
  parentRefs: [{group: "", kind: Service, name: echo}]
  rules:
"""


def by_gateway_api(match: dict[str, Any] | None = None, rule: int = 0, **changes: Any) -> Any:
    changes = {"cluster_not_found_response_code": "INTERNAL_SERVER_ERROR", **changes}
    more = changes.pop("more", None)
    return route(match, name=f"default.echo.{rule}", more=more, **changes)


BACKEND = "backendRefs: [{name: echo, port: 80}]"


@pytest.mark.parametrize(
    ("rules", "expected"),
    [
        (f"- {{{BACKEND}}}", [by_gateway_api()]),
        (
            f"- {{matches: [{{method: {{service: a.B, method: C}}}}], {BACKEND}}}",
            [by_gateway_api({"path": "/a.B/C"})],
        ),
        (
            f"- {{matches: [{{method: {{service: a.B}}}}], {BACKEND}}}",
            [by_gateway_api({"path_separated_prefix": "/a.B"})],
        ),
        (
            f"- {{matches: [{{method: {{method: C}}}}], {BACKEND}}}",
            [by_gateway_api({"safe_regex": {"regex": "/[^/]+/C"}})],
        ),
        (
            f"- {{matches: [{{method: {{type: RegularExpression, service: 'a[.]B'}}}}], {BACKEND}}}",
            [by_gateway_api({"safe_regex": {"regex": "/a[.]B/.+"}})],
        ),
        (
            f"- {{matches: [{{headers: [{{name: X-A, value: '1'}}, "
            f"{{name: x-b, type: RegularExpression, value: 'b+'}}]}}], {BACKEND}}}",
            [
                by_gateway_api(
                    {
                        "prefix": "/",
                        "headers": [
                            {"name": "x-a", "string_match": {"exact": "1"}},
                            {"name": "x-b", "string_match": {"safe_regex": {"regex": "b+"}}},
                        ],
                    }
                )
            ],
        ),
        # The most specific comes first, whatever the order of writing (sortHTTPRoutes).
        (
            f"- {{{BACKEND}}}\n- {{matches: [{{method: {{service: a.B}}}}, "
            f"{{method: {{service: a.B, method: C}}}}], {BACKEND}}}",
            [
                by_gateway_api({"path": "/a.B/C"}, 1),
                by_gateway_api({"path_separated_prefix": "/a.B"}, 1),
                by_gateway_api(),
            ],
        ),
        (
            "- backendRefs: [{name: echo, port: 80, weight: 9}, {name: v2, port: 81, namespace: shop}, "
            "{name: v3, port: 82, weight: 0}]",
            [
                by_gateway_api(
                    cluster=None,
                    weighted_clusters={
                        "clusters": [
                            {"name": CLUSTER, "weight": 9},
                            {"name": "outbound|81||v2.shop.svc.cluster.local", "weight": 1},
                        ]
                    },
                )
            ],
        ),
        (
            "- backendRefs: [{name: echo, port: 80, weight: 0}]",
            [
                {
                    "match": {"prefix": "/"},
                    "name": "default.echo.0",
                    "direct_response": {"status": 500},
                }
            ],
        ),
        (
            f"""\
- filters:
  - {{type: RequestHeaderModifier, requestHeaderModifier: {{set: [{{name: A, value: '1'}}], remove: [b]}}}}
  - {{type: ResponseHeaderModifier, responseHeaderModifier: {{add: [{{name: c, value: '2'}}]}}}}
  - {{type: RequestMirror, requestMirror: {{backendRef: {{name: m, port: 9}}, percent: 5}}}}
  {BACKEND}
""",
            [
                by_gateway_api(
                    request_mirror_policies=[
                        {
                            "cluster": "outbound|9||m.default.svc.cluster.local",
                            "runtime_fraction": {
                                "default_value": {"numerator": 50_000, "denominator": "MILLION"}
                            },
                            "trace_sampled": False,
                        }
                    ],
                    more={
                        "request_headers_to_add": [
                            {
                                "header": {"key": "a", "value": "1"},
                                "append_action": "OVERWRITE_IF_EXISTS_OR_ADD",
                            }
                        ],
                        "request_headers_to_remove": ["b"],
                        "response_headers_to_add": [
                            {
                                "header": {"key": "c", "value": "2"},
                                "append_action": "APPEND_IF_EXISTS_OR_ADD",
                            }
                        ],
                    },
                )
            ],
        ),
    ],
)
def test_grpc_routes(make: Make, rules: str, expected: list[Any]) -> None:
    """As istiod converts them: pilot/pkg/config/kube/gateway, conversion.go."""
    assert routes(make, more=GRPC_ROUTE + indented(rules)) == expected


def test_the_port_of_a_grpc_routes_parent(make: Make) -> None:
    for port, expected in ((80, [by_gateway_api()]), (81, ONLY_DEFAULT)):
        parent = GRPC_ROUTE.replace("name: echo}]", f"name: echo, port: {port}}}]")
        assert routes(make, more=parent + indented(f"- {{{BACKEND}}}")) == expected


def test_two_grpc_routes_for_a_service_are_one(make: Make) -> None:
    first = GRPC_ROUTE + indented(f"- {{name: all, {BACKEND}}}")
    second = GRPC_ROUTE.replace("{name: echo}", "{name: more}", 1) + indented(
        f"- {{name: one, matches: [{{method: {{service: a, method: b}}}}], {BACKEND}}}"
    )
    assert [r["name"] for r in routes(make, more=first + second)] == ["one", "all"]
