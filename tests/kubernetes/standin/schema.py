"""Kubernetes' published schemas: what is wrong with an object, and how its lists are merged."""

from __future__ import annotations

import functools
import importlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from tests.kubernetes.schemas import utils

_ENDS = {"string": "string", "integer": "number", "number": "number", "array": "array", "object": "object",
         "boolean": "bool", "null": "null"}  # fmt: skip
_GO = {"integer": "int32", "string": "string", "boolean": "bool", "object": "map[string]interface {}",
       "array": "[]interface {}", "number": "float64"}  # fmt: skip
Path = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class Wrong:
    """One thing that a schema has against an object."""

    what: Literal["unknown", "type", "required", "enum"]
    path: Path
    said: str = ""
    """Of a type: what was sent and what is wanted; of an enumeration: its values."""

    @property
    def field(self) -> str:
        """As the API server writes it: spec.containers[0].image."""
        return "".join(f"[{p}]" if isinstance(p, int) else f".{p}" for p in self.path).lstrip(".")


class Schema:
    """Of one kind in one version of Kubernetes."""

    def __init__(self, root: Mapping[str, Any], definitions: Mapping[str, Any], validator: Any) -> None:
        self._root = root
        self._definitions = definitions
        self._validator = validator

    def wrong(self, document: Mapping[str, Any]) -> list[Wrong]:
        """In the order of the object's fields. Unknown fields are among it."""
        found = [
            wrong
            for error in self._validator.iter_errors(document)
            for wrong in _wrong(error, tuple(error.absolute_path))
        ]
        return sorted(found, key=lambda w: [str(p) for p in w.path])

    def at(self, path: tuple[str, ...]) -> Mapping[str, Any]:
        """What the schema says of a field; empty where it knows none. Items of lists are `[...]`."""
        node = self._root
        for step in path:
            node = self._resolved(node)
            if step.startswith("["):
                node = node.get("items") or {}
            else:
                more = node.get("additionalProperties")
                known = (node.get("properties") or {}).get(step)
                node = known if known is not None else more if isinstance(more, Mapping) else {}
        return {**self._resolved(node), **{k: v for k, v in node.items() if k.startswith("x-")}}

    def _resolved(self, node: Mapping[str, Any]) -> Mapping[str, Any]:
        while "$ref" in node:
            node = self._definitions[str(node["$ref"]).rpartition("/")[2]]
        return node


def _wrong(error: Any, path: Path) -> Iterator[Wrong]:
    what, value = error.validator, error.instance
    if what == "additionalProperties":
        for name in value:
            if name not in (error.schema.get("properties") or {}):
                yield Wrong("unknown", (*path, name))
    elif what == "required":
        for name in error.validator_value:
            if name not in value:
                yield Wrong("required", (*path, name))
    elif what == "enum":
        yield Wrong("enum", path, ", ".join(json.dumps(v) for v in error.validator_value))
    elif what in ("type", "oneOf"):
        wanted = error.validator_value if what == "type" else "string"
        names = [wanted] if isinstance(wanted, str) else list(wanted)
        sent = _ENDS.get(_type(value), "object")
        yield Wrong("type", path, f"{sent} into Go struct field {{}} of type {_GO.get(names[0], names[0])}")


def _type(value: object) -> str:
    if value is None:
        return "null"
    return {bool: "boolean", str: "string", int: "integer", float: "number", list: "array"}.get(
        type(value), "object"
    )


@functools.cache
def schema_of(version: str, api_version: str, kind: str) -> Schema | None:
    """None for a kind that Kubernetes does not publish, such as a custom resource."""
    group, _, of_group = api_version.rpartition("/")
    short = f"{group.partition('.')[0]}-{of_group}" if group else of_group
    try:
        root = utils.schema_contents(f"{_folder(version)}/{kind.lower()}-{short}.json", version)
    except FileNotFoundError:
        return None
    referencing = importlib.import_module("referencing")
    definitions = _definitions(version)
    registry = referencing.Resource.from_contents(definitions) @ referencing.Registry()
    validators = importlib.import_module("jsonschema.validators")
    return Schema(root, definitions["$defs"], validators.Draft202012Validator(root, registry=registry))


@functools.cache
def _definitions(version: str) -> dict[str, Any]:
    found: dict[str, Any] = utils.schema_contents(f"{_folder(version)}/_definitions.json", version)
    return found


@functools.cache
def _folder(version: str) -> str:
    known = [v for v in utils.all_versions() if _number(v) <= _number(version)]
    return f"kubernetes-json-schema/v{known[-1]}-local-strict"


def _number(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".")[:2])
