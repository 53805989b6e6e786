"""What a route matches, in Envoy's words.

Source: Istio, pilot/pkg/networking/core/route/route.go (TranslateRouteMatch).
"""

from __future__ import annotations

from whichpod.manifest.routing import HttpMatch, StringMatch
from whichpod.mesh.caller import Caller
from whichpod.mesh.pieces import JsonObject

ANYTHING: JsonObject = {"prefix": "/"}


def applies(match: HttpMatch, port: int, caller: Caller) -> bool:
    """Whether a caller's proxy is given a match at all, for requests to this port of a Service."""
    if match.port not in (0, port) or not match.mesh:
        return False
    if any(caller.labels.get(k) != v for k, v in match.source_labels.items()):
        return False
    return match.source_namespace in ("", caller.namespace)


def route_match(match: HttpMatch | None, *, gateway_api: bool = False) -> JsonObject:
    """A RouteMatch. Prefixes of the Gateway API end where a part of the path ends."""
    if match is None:
        return dict(ANYTHING)
    found = _path(match.uri, gateway_api)
    if match.ignore_case:
        found["case_sensitive"] = False
    headers = [_header(name, text) for name, text in match.headers]
    headers += [_without(name, text) for name, text in match.without_headers]
    headers.sort(key=lambda h: str(h["name"]))
    for name in ("method", "authority", "scheme"):
        text: StringMatch | None = getattr(match, name)
        if text:
            headers.append(_header(f":{name}", text))
    if headers:
        found["headers"] = headers
    if match.query:
        found["query_parameters"] = [_header(name, text) for name, text in match.query]
    return found


def catches_all(match: JsonObject) -> bool:
    """Whether nothing goes past a match; istiod writes no routes after it."""
    anywhere = (
        match.get("prefix") == "/"
        or match.get("path_separated_prefix") == "/"
        or match.get("safe_regex", {}).get("regex") == ".*"
    )
    return anywhere and not match.get("headers") and not match.get("query_parameters")


def _path(uri: StringMatch | None, gateway_api: bool) -> JsonObject:
    if uri is None or uri.kind == "present":
        return dict(ANYTHING)
    if uri.kind == "regex":
        return {"safe_regex": {"regex": uri.value}}
    if uri.kind == "exact":
        return {"path": uri.value}
    if gateway_api and uri.value != "/":
        return {"path_separated_prefix": uri.value.removesuffix("/")}
    return {"prefix": uri.value}


def _without(name: str, text: StringMatch) -> JsonObject:
    found = _header(name, text) | {"invert_match": True}
    # A field that isn't there has no such value.
    return found if "present_match" in found else found | {"treat_missing_header_as_empty": True}


def _header(name: str, text: StringMatch) -> JsonObject:
    if text.kind == "present":
        return {"name": name, "present_match": True}
    if text.kind == "regex":
        return {"name": name, "string_match": {"safe_regex": {"regex": text.value}}}
    return {"name": name, "string_match": {text.kind: text.value}}
