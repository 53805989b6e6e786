"""VirtualServices' HTTP routes by hand: what istiod's route.go makes of each field."""

from __future__ import annotations

from typing import Any

HOST = "echo.default.svc.cluster.local"
CLUSTER = f"outbound|80||{HOST}"
RETRY_ON = "connect-failure,refused-stream,unavailable,cancelled,retriable-status-codes"
ELSEWHERE = [
    {
        "name": "envoy.retry_host_predicates.previous_hosts",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.retry.host.previous_hosts.v3."
            "PreviousHostsPredicate"
        },
    }
]
RETRIES: dict[str, Any] = {
    "retry_on": RETRY_ON,
    "num_retries": 2,
    "host_selection_retry_max_attempts": 5,
    "retry_host_predicate": ELSEWHERE,
}
TO = "route: [{destination: {host: echo}}]"


def action(**changes: Any) -> dict[str, Any]:
    """A RouteAction without anything special, but for `changes`; None takes a field away."""
    found = {
        "cluster": CLUSTER,
        "timeout": "0s",
        "max_stream_duration": {"grpc_timeout_header_max": "0s"},
        "retry_policy": RETRIES,
        **changes,
    }
    return {k: v for k, v in found.items() if v is not None}


def route(match: dict[str, Any] | None = None, *, name: str = "", more: Any = None, **changes: Any) -> Any:
    found = {"match": match or {"prefix": "/"}, "route": action(**changes), **(more or {})}
    return found | ({"name": name} if name else {})


def fault(**config: Any) -> dict[str, Any]:
    kind = "type.googleapis.com/envoy.extensions.filters.http.fault.v3.HTTPFault"
    return {"typed_per_filter_config": {"envoy.filters.http.fault": {"@type": kind, **config}}}


def millionths(numerator: int) -> dict[str, Any]:
    return {"numerator": numerator, "denominator": "MILLION"}


def mirrored(cluster: str, numerator: int) -> dict[str, Any]:
    return {
        "cluster": cluster,
        "runtime_fraction": {"default_value": millionths(numerator)},
        "trace_sampled": False,
    }


def put(key: str, value: str, action: str = "OVERWRITE_IF_EXISTS_OR_ADD") -> dict[str, Any]:
    return {"header": {"key": key, "value": value}, "append_action": action}


ADD = "APPEND_IF_EXISTS_OR_ADD"
ONLY_DEFAULT = [route(name="default")]

ROWS: list[tuple[str, list[Any]]] = [
    # Matches (TranslateRouteMatch); header fields are sorted, pseudo fields come after them.
    (f"- {{match: [{{uri: {{exact: /a/B}}}}], {TO}}}", [route({"path": "/a/B"})]),
    (f"- {{match: [{{uri: {{prefix: /a}}}}], {TO}}}", [route({"prefix": "/a"})]),
    (f"- {{match: [{{uri: {{regex: '/.*'}}}}], {TO}}}", [route({"safe_regex": {"regex": "/.*"}})]),
    (
        f"- {{match: [{{uri: {{prefix: /a}}, ignoreUriCase: true}}], {TO}}}",
        [route({"prefix": "/a", "case_sensitive": False})],
    ),
    (
        f"""\
- match:
  - headers: {{x-d: {{}}, X-C: {{regex: r+}}, x-b: {{prefix: p}}, x-a: {{exact: "1"}}, x-e: {{regex: '*'}}}}
    withoutHeaders: {{x-aa: {{exact: "2"}}, x-f: {{}}}}
    method: {{exact: POST}}
    authority: {{prefix: echo}}
    scheme: {{exact: http}}
    queryParams: {{q: {{exact: a}}, r: {{}}}}
  {TO}
""",
        [
            route(
                {
                    "prefix": "/",
                    "headers": [
                        {"name": "x-a", "string_match": {"exact": "1"}},
                        {
                            "name": "x-aa",
                            "string_match": {"exact": "2"},
                            "invert_match": True,
                            "treat_missing_header_as_empty": True,
                        },
                        {"name": "x-b", "string_match": {"prefix": "p"}},
                        {"name": "x-c", "string_match": {"safe_regex": {"regex": "r+"}}},
                        {"name": "x-d", "present_match": True},
                        {"name": "x-e", "present_match": True},
                        {"name": "x-f", "present_match": True, "invert_match": True},
                        {"name": ":method", "string_match": {"exact": "POST"}},
                        {"name": ":authority", "string_match": {"prefix": "echo"}},
                        {"name": ":scheme", "string_match": {"exact": "http"}},
                    ],
                    "query_parameters": [
                        {"name": "q", "string_match": {"exact": "a"}},
                        {"name": "r", "present_match": True},
                    ],
                }
            )
        ],
    ),
    # Several matches, and names.
    (
        f"- {{name: r, match: [{{uri: {{exact: /a}}, name: one}}, {{uri: {{exact: /b}}}}], {TO}}}",
        [route({"path": "/a"}, name="r.one"), route({"path": "/b"}, name="r")],
    ),
    # Nothing comes after what matches everything.
    (
        f"- {{match: [{{uri: {{prefix: /}}}}, {{uri: {{exact: /a}}}}], {TO}}}\n- {{name: late, {TO}}}",
        [route()],
    ),
    # What is not for this port, this caller or the mesh is left out; with nothing left it is the default.
    (f"- {{match: [{{port: 81}}, {{port: 80}}], {TO}}}", [route()]),
    (f"- {{match: [{{port: 81}}], {TO}}}", ONLY_DEFAULT),
    (f"- {{match: [{{sourceLabels: {{app: shop}}}}], {TO}}}", [route()]),
    (f"- {{match: [{{sourceLabels: {{app: other}}}}], {TO}}}", ONLY_DEFAULT),
    (f"- {{match: [{{sourceNamespace: default}}], {TO}}}", [route()]),
    (f"- {{match: [{{sourceNamespace: other}}], {TO}}}", ONLY_DEFAULT),
    (f"- {{match: [{{gateways: [edge]}}], {TO}}}", ONLY_DEFAULT),
    (f"- {{match: [{{gateways: [edge, mesh], sourceNamespace: default}}], {TO}}}", [route()]),
    # Destinations (processDestination, processWeightedDestination).
    (
        "- {route: [{destination: {host: echo, subset: a}}]}",
        [route(cluster=CLUSTER.replace("||", "|a|"))],
    ),
    (
        "- {route: [{destination: {host: other.shop.svc.cluster.local, port: {number: 9}}}]}",
        [route(cluster="outbound|9||other.shop.svc.cluster.local")],
    ),
    (
        """\
- route:
  - {destination: {host: echo, subset: a}, weight: 90, headers: {request: {set: {x: a, host: h}}}}
  - {destination: {host: other, port: {number: 9}}, weight: 10}
  - {destination: {host: x.shop.svc.cluster.local}, weight: 0}
""",
        [
            route(
                cluster=None,
                weighted_clusters={
                    "clusters": [
                        {
                            "name": CLUSTER.replace("||", "|a|"),
                            "weight": 90,
                            "request_headers_to_add": [put("x", "a")],
                            "host_rewrite_literal": "h",
                        },
                        {"name": "outbound|9||other.default.svc.cluster.local", "weight": 10},
                    ]
                },
            )
        ],
    ),
    # Retries (retry.go, ConvertPolicy).
    (f"- {{retries: {{attempts: 5}}, {TO}}}", [route(retry_policy=RETRIES | {"num_retries": 5})]),
    (f"- {{retries: {{attempts: 0}}, {TO}}}", [route(retry_policy=None)]),
    (
        f"- {{retries: {{attempts: 1, perTryTimeout: 2s, backoff: 30ms}}, {TO}}}",
        [
            route(
                retry_policy=RETRIES
                | {
                    "num_retries": 1,
                    "per_try_timeout": "2s",
                    "retry_back_off": {"base_interval": "0.03s"},
                }
            )
        ],
    ),
    (
        f"- {{retries: {{attempts: 1, retryOn: 'reset, 5xx'}}, {TO}}}",
        [route(retry_policy=RETRIES | {"num_retries": 1, "retry_on": "reset,5xx"})],
    ),
    (
        f"- {{retries: {{attempts: 1, retryOn: '503,reset,429'}}, {TO}}}",
        [
            route(
                retry_policy=RETRIES
                | {
                    "num_retries": 1,
                    "retry_on": "reset,retriable-status-codes",
                    "retriable_status_codes": [503, 429],
                }
            )
        ],
    ),
    (
        f"- {{retries: {{attempts: 2, retryIgnorePreviousHosts: false}}, {TO}}}",
        [route(retry_policy={k: v for k, v in RETRIES.items() if k != "retry_host_predicate"})],
    ),
    (
        f"- {{retries: {{attempts: 2, retryRemoteLocalities: true}}, {TO}}}",
        [
            route(
                retry_policy=RETRIES
                | {
                    "retry_priority": {
                        "name": "envoy.retry_priorities.previous_priorities",
                        "typed_config": {
                            "@type": "type.googleapis.com/envoy.extensions.retry.priority."
                            "previous_priorities.v3.PreviousPrioritiesConfig",
                            "update_frequency": 2,
                        },
                    }
                }
            )
        ],
    ),
    # Timeouts (setTimeout).
    (
        f"- {{timeout: 1500ms, {TO}}}",
        [route(timeout="1.5s", max_stream_duration={"grpc_timeout_header_max": "1.5s"})],
    ),
    # Faults (TranslateFault). Percentages count in millionths; without one nothing happens.
    (
        f"- {{fault: {{delay: {{fixedDelay: 5s, percentage: {{value: 0.5}}}}}}, {TO}}}",
        [route(more=fault(delay={"fixed_delay": "5s", "percentage": millionths(5000)}))],
    ),
    (
        f"- {{fault: {{delay: {{fixedDelay: 100ms, percent: 50}}}}, {TO}}}",
        [route(more=fault(delay={"fixed_delay": "0.1s", "percentage": millionths(500_000)}))],
    ),
    (
        f"- {{fault: {{delay: {{fixedDelay: 5s}}}}, {TO}}}",
        [route(more=fault(delay={"fixed_delay": "5s", "percentage": millionths(0)}))],
    ),
    (
        f"- {{fault: {{abort: {{grpcStatus: UNAVAILABLE, percentage: {{value: 100}}}}}}, {TO}}}",
        [route(more=fault(abort={"grpc_status": 14, "percentage": millionths(1_000_000)}))],
    ),
    (
        f"- {{fault: {{abort: {{httpStatus: 503}}}}, {TO}}}",
        [route(more=fault(abort={"http_status": 503}))],
    ),
    # Mirrors (MirrorPercent, TranslateRequestMirrorPolicy).
    (
        f"- {{mirror: {{host: echo, subset: a}}, {TO}}}",
        [route(request_mirror_policies=[mirrored(CLUSTER.replace("||", "|a|"), 1_000_000)])],
    ),
    (
        f"- {{mirror: {{host: echo}}, mirrorPercentage: {{value: 12.5}}, {TO}}}",
        [route(request_mirror_policies=[mirrored(CLUSTER, 125_000)])],
    ),
    (
        f"- {{mirror: {{host: echo}}, mirrorPercent: 10, {TO}}}",
        [route(request_mirror_policies=[mirrored(CLUSTER, 100_000)])],
    ),
    (f"- {{mirror: {{host: echo}}, mirrorPercentage: {{value: 0}}, {TO}}}", [route()]),
    (
        "- {mirrors: [{destination: {host: echo}, percentage: {value: 1}}, {destination: {host: b}}], "
        f"{TO}}}",
        [
            route(
                request_mirror_policies=[
                    mirrored(CLUSTER, 10_000),
                    mirrored("outbound|80||b.default.svc.cluster.local", 1_000_000),
                ]
            )
        ],
    ),
    # Rewrites (applyHTTPRouteDestination).
    (
        f"- {{match: [{{uri: {{prefix: /old.}}}}], rewrite: {{uri: /new., authority: x}}, {TO}}}",
        [route({"prefix": "/old."}, prefix_rewrite="/new.", host_rewrite_literal="x")],
    ),
    (
        f"- {{rewrite: {{uriRegexRewrite: {{match: '/v1/(.*)', rewrite: '/v2/\\1'}}}}, {TO}}}",
        [route(regex_rewrite={"pattern": {"regex": "/v1/(.*)"}, "substitution": "/v2/\\1"})],
    ),
    # Header fields (TranslateHeadersOperations): sorted; Envoy's own stay; the authority is rewritten.
    (
        f"""\
- headers:
    request: {{set: {{b: "2", a: "1", ":authority": w}}, add: {{c: "3"}}, remove: [d, ":path"]}}
    response: {{set: {{e: "5"}}, add: {{f: "6"}}, remove: [g]}}
  {TO}
""",
        [
            route(
                host_rewrite_literal="w",
                more={
                    "request_headers_to_add": [put("a", "1"), put("b", "2"), put("c", "3", ADD)],
                    "request_headers_to_remove": ["d"],
                    "response_headers_to_add": [put("e", "5"), put("f", "6", ADD)],
                    "response_headers_to_remove": ["g"],
                },
            )
        ],
    ),
    (
        """\
- headers: {request: {set: {a: "1"}}}
  route: [{destination: {host: echo}, headers: {request: {set: {b: "2", host: v}}}}]
""",
        [
            route(
                host_rewrite_literal="v",
                more={"request_headers_to_add": [put("a", "1"), put("b", "2")]},
            )
        ],
    ),
]
