"""What a route does to requests on their way: header fields, paths, copies, faults, in Envoy's words.

Source: Istio, pilot/pkg/networking/core/route/route.go.
"""

from __future__ import annotations

from collections.abc import Mapping

from whichpod.manifest.routing import Fault, HeaderChange, Headers, Rewrite
from whichpod.mesh.pieces import JsonObject, duration, typed

FAULT = "envoy.filters.http.fault"
"""The HTTP filter that injects faults; it does nothing where a route says nothing."""


def header_changes(*all_of: Headers | None) -> JsonObject:
    """`request_headers_to_add` and the like: those of a route, then those of its destination."""
    found: JsonObject = {}
    for headers in all_of:
        for direction in ("request", "response") if headers else ():
            change: HeaderChange = getattr(headers, direction)
            _extend(found, f"{direction}_headers_to_add", [
                *_added(change.set, "OVERWRITE_IF_EXISTS_OR_ADD"),
                *_added(change.add, "APPEND_IF_EXISTS_OR_ADD"),
            ])  # fmt: skip
            removed = [name for name in change.remove if not _internal(name)]
            _extend(found, f"{direction}_headers_to_remove", removed)
    return found


def _extend(found: JsonObject, name: str, more: list[JsonObject] | list[str]) -> None:
    if more:
        found[name] = [*found.get(name, []), *more]


def _added(fields: Mapping[str, str], action: str) -> list[JsonObject]:
    return [
        {"header": {"key": key, "value": value}, "append_action": action}
        for key, value in sorted(fields.items())
        if not _internal(key)
    ]


def _internal(name: str) -> bool:
    """Whether Envoy doesn't let a header field be changed so."""
    return name.startswith(":") or name.lower() == "host"


def authority(headers: Headers | None) -> str:
    """The authority that header changes set; `set` beats `add`."""
    if headers is None:
        return ""
    for change in (headers.request.set, headers.request.add):
        for name, value in change.items():
            if name.lower() in (":authority", "host"):
                return value
    return ""


def rewritten(rewrite: Rewrite | None) -> JsonObject:
    """The RouteAction's rewrite of the path."""
    if rewrite is None:
        return {}
    if rewrite.regex:
        pattern, replacement = rewrite.regex
        return {"regex_rewrite": {"pattern": {"regex": pattern}, "substitution": replacement}}
    return {"prefix_rewrite": rewrite.uri} if rewrite.uri else {}


def fault_filter(fault: Fault | None) -> JsonObject:
    """The route's `typed_per_filter_config`; empty without a fault."""
    config: JsonObject = {}
    if fault and fault.delay:
        config["delay"] = {
            "fixed_delay": duration(fault.delay.seconds),
            "percentage": millionths(fault.delay.percent),
        }
    if fault and fault.abort:
        status: JsonObject = {"http_status": fault.abort.http_status}
        if fault.abort.grpc_status is not None:
            status = {"grpc_status": fault.abort.grpc_status}
        if fault.abort.percent is not None:
            status["percentage"] = millionths(fault.abort.percent)
        config["abort"] = status
    if not config:
        return {}
    return {"typed_per_filter_config": {FAULT: typed("filters.http.fault.v3.HTTPFault", **config)}}


def millionths(percent: float) -> JsonObject:
    """A FractionalPercent."""
    return {"numerator": int(percent * 10_000), "denominator": "MILLION"}
