"""What the real API server would refuse: by its published schemas, and some rules beyond them."""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping
from typing import Any

from tests.kubernetes import gateway_api, istio
from tests.kubernetes.schemas import SCHEMAS
from tests.kubernetes.standin.requests import Place
from tests.kubernetes.standin.status import RefusedError

_CUSTOM = ("networking.istio.io", "security.istio.io", "gateway.networking.k8s.io")
_IMMUTABLE = {
    "Deployment": (("spec", "selector"),),
    "Job": (("spec", "template"), ("spec", "selector"), ("spec", "completions"), ("spec", "completionMode")),
    "Service": (("spec", "clusterIP"),),
}


def check(document: Mapping[str, Any], place: Place, version: str, *, strict: bool) -> None:
    """Raises RefusedError for an object that isn't one of its kind; with `strict`, for unknown fields too."""
    if not version:
        return
    if place.resource.group in _CUSTOM:
        _check_custom(document, place)
        return
    text = json.dumps({k: v for k, v in document.items() if k != "status"}, sort_keys=True)
    if found := _found(text, version, strict):
        name = (document.get("metadata") or {}).get("name", "")
        if "dditional properties" in found:
            message = f"{place.resource.kind} in version {place.version!r} cannot be handled: strict decoding error: {found}"
            raise RefusedError(400, "BadRequest", message)
        raise RefusedError(422, "Invalid", f'{place.resource.kind} "{name}" is invalid: {found}')
    _check_selector(document)


def _check_custom(document: Mapping[str, Any], place: Place) -> None:
    """By the models of custom resources' definitions, which are as strict as is asked here."""
    said = {k: v for k, v in document.items() if k != "status"}
    try:
        if place.resource.group == gateway_api.GROUP:
            if place.resource.kind != "GatewayClass":
                gateway_api.validate_gateway_api(said)
        elif place.version == "v1":
            istio.validate_istio(said | {"metadata": {"name": place.name or "x"}})
    except (gateway_api.RefusedError, istio.RefusedError) as e:
        name = (document.get("metadata") or {}).get("name", "")
        raise RefusedError(422, "Invalid", f'{place.resource.kind} "{name}" is invalid: {e}') from None


@functools.lru_cache(4096)
def _found(text: str, version: str, strict: bool) -> str:
    try:
        SCHEMAS.validate(json.loads(text), version, strict=strict)
    except (SCHEMAS.ValidationError, SCHEMAS.SchemaNotFoundError) as e:
        return str(e).splitlines()[0]
    return ""


def check_immutable(before: Mapping[str, Any], after: Mapping[str, Any]) -> None:
    for path in _IMMUTABLE.get(str(before["kind"]), ()):
        if _at(before, path) is not None and _at(before, path) != _at(after, path):
            raise RefusedError(
                422,
                "Invalid",
                f'{before["kind"]} "{before["metadata"]["name"]}" is invalid: {".".join(path)}: Invalid value: '
                "field is immutable",
            )


def _check_selector(document: Mapping[str, Any]) -> None:
    if document["kind"] != "Deployment":
        return
    spec = document["spec"]
    labels = (spec["template"].get("metadata") or {}).get("labels") or {}
    wanted = (spec.get("selector") or {}).get("matchLabels") or {}
    if not wanted.items() <= labels.items():
        name = document["metadata"]["name"]
        raise RefusedError(
            422,
            "Invalid",
            f'Deployment.apps "{name}" is invalid: spec.template.metadata.labels: Invalid value: `selector` does '
            "not match template `labels`",
        )


def _at(document: Any, path: tuple[str, ...]) -> Any:
    for name in path:
        document = (document or {}).get(name)
    return document
