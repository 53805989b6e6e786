"""What Istio's custom resource definitions would say of an object."""

from __future__ import annotations

import importlib
from typing import Any

MODULES = {
    "networking.istio.io/v1": "cloudcoil.models.istio.networking.v1",
    "security.istio.io/v1": "cloudcoil.models.istio.security.v1",
}


class RefusedError(Exception):
    """The definition has no such object."""


def of_istio(document: dict[str, Any]) -> bool:
    return str(document["apiVersion"]).partition("/")[0].endswith(".istio.io")


def validate_istio(document: dict[str, Any]) -> None:
    """Raises RefusedError for what the API server would refuse with `fieldValidation: Strict`.

    The models are generated from the definitions of Istio 1.24 and pass over fields that they don't know, and
    read "10" as 10. So what they understood is written again: all that was said must be there. Of two fields
    that exclude one another (`oneOf`, CEL rules) the models know nothing.
    """
    module = MODULES.get(document["apiVersion"])
    model = getattr(importlib.import_module(module), document["kind"], None) if module else None
    if model is None:
        raise RefusedError(f"There is no {document['kind']} in {document['apiVersion']}.")
    try:
        understood = model.model_validate(document).model_dump(by_alias=True, exclude_unset=True, mode="json")
    except ValueError as e:
        raise RefusedError(str(e)) from None
    if understood != document:
        raise RefusedError(f"Of {document} no more than {understood} is understood.")
