"""What the Gateway API's custom resource definitions would say of an object.

No package for Python has them, so this is a model of what manifests here use, after the reference of v1
(gateway-api.sigs.k8s.io, API Specification): as strict as `fieldValidation: Strict`, and stricter where it
lacks a field that exists.
"""

from __future__ import annotations

import importlib
from typing import Any

GROUP = "gateway.networking.k8s.io"
_NAME = {"type": "string", "minLength": 1, "maxLength": 253}
_GROUP = {
    "type": "string",
    "maxLength": 253,
    "pattern": r"^$|^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$",
}
_KIND = {"type": "string", "pattern": "^[a-zA-Z]([-a-zA-Z0-9]*[a-zA-Z0-9])?$", "maxLength": 63}
_PORT = {"type": "integer", "minimum": 1, "maximum": 65535}
_SECTION = {
    "type": "string",
    "maxLength": 253,
    "pattern": r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$",
}
_HEADER = {
    "type": "string",
    "minLength": 1,
    "maxLength": 256,
    "pattern": "^[A-Za-z0-9!#$%&'*+\\-.^_\\x60|~]+$",
}


def _object(required: Any = (), **properties: Any) -> dict[str, Any]:
    return {
        "type": "object",
        "required": list(required),
        "properties": properties,
        "additionalProperties": False,
    }


def _some(items: dict[str, Any], most: int, least: int = 0) -> dict[str, Any]:
    return {"type": "array", "items": items, "maxItems": most, "minItems": least}


_REFERENCE = {"group": _GROUP, "kind": _KIND, "name": _NAME, "namespace": _NAME}
_CHANGE = _object(
    set=_some(_object(("name", "value"), name=_HEADER, value={"type": "string"}), 16),
    add=_some(_object(("name", "value"), name=_HEADER, value={"type": "string"}), 16),
    remove=_some({"type": "string"}, 16),
)
_BACKEND = _object(("name",), **_REFERENCE, port=_PORT)
_FILTER = _object(
    ("type",),
    type={"enum": ["RequestHeaderModifier", "ResponseHeaderModifier", "RequestMirror", "ExtensionRef"]},
    requestHeaderModifier=_CHANGE,
    responseHeaderModifier=_CHANGE,
    requestMirror=_object(("backendRef",), backendRef=_BACKEND, percent={"type": "integer"}),
)
_MATCHES = {"type": {"enum": ["Exact", "RegularExpression"]}}
_MATCH = _object(
    method=_object(
        **_MATCHES,
        service={"type": "string", "maxLength": 1024},
        method={"type": "string", "maxLength": 1024},
    ),
    headers=_some(_object(("name", "value"), **_MATCHES, name=_HEADER, value={"type": "string"}), 16),
)
_RULE = _object(
    name=_SECTION,
    matches=_some(_MATCH, 64),
    filters=_some(_FILTER, 16),
    backendRefs=_some(
        _object(
            ("name",),
            **_REFERENCE,
            port=_PORT,
            weight={"type": "integer", "minimum": 0, "maximum": 1_000_000},
            filters=_some(_FILTER, 16),
        ),
        16,
    ),
)
_SPECS: dict[str, dict[str, Any]] = {
    "GRPCRoute": _object(
        hostnames=_some(_NAME, 16),
        parentRefs=_some(_object(("name",), **_REFERENCE, sectionName=_SECTION, port=_PORT), 32),
        rules=_some(_RULE, 16),
    ),
    "Gateway": _object(
        ("gatewayClassName", "listeners"),
        gatewayClassName=_NAME,
        listeners=_some(
            _object(
                ("name", "port", "protocol"),
                name=_SECTION,
                hostname=_NAME,
                port=_PORT,
                protocol={"type": "string", "minLength": 1, "maxLength": 255},
                allowedRoutes=_object(
                    namespaces=_object(
                        **{"from": {"enum": ["All", "Selector", "Same"]}}, selector={"type": "object"}
                    ),
                    kinds=_some(_object(("kind",), group=_GROUP, kind=_KIND), 8),
                ),
            ),
            64,
            1,
        ),
        infrastructure=_object(
            labels={"type": "object", "maxProperties": 8}, annotations={"type": "object", "maxProperties": 8}
        ),
    ),
}


class RefusedError(Exception):
    """The definition has no such object."""


def of_gateway_api(document: dict[str, Any]) -> bool:
    return str(document["apiVersion"]).partition("/")[0] == GROUP


def validate_gateway_api(document: dict[str, Any]) -> None:
    """Raises RefusedError for what the API server would refuse."""
    jsonschema = importlib.import_module("jsonschema")
    spec = _SPECS.get(str(document["kind"]))
    if spec is None or document["apiVersion"] != f"{GROUP}/v1":
        raise RefusedError(f"There is no {document['kind']} in {document['apiVersion']}.")
    schema = _object(
        ("spec",),
        apiVersion={},
        kind={},
        metadata={"type": "object"},
        spec=spec,
        status={"type": "object"},
    )
    try:
        jsonschema.validate(document, schema)
    except jsonschema.ValidationError as e:
        raise RefusedError(f"{'.'.join(map(str, e.absolute_path))}: {e.message}") from None
    for rule in document["spec"].get("rules") or ():
        _check_rule(rule)


def _check_rule(rule: dict[str, Any]) -> None:
    """What the definition says in CEL."""
    for match in rule.get("matches") or ():
        method = match.get("method")
        if method is not None and not (method.get("service") or method.get("method")):
            raise RefusedError("One or both of 'service' or 'method' must be specified")
    for backend in rule.get("backendRefs") or ():
        ours = (backend.get("group", ""), backend.get("kind", "Service")) == ("", "Service")
        if ours and "port" not in backend:
            raise RefusedError("Must have port for Service reference")
