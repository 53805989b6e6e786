"""Label and field selectors (kubernetes.io, Labels and Selectors; Field Selectors)."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from tests.kubernetes.standin.status import RefusedError

Predicate = Callable[[Mapping[str, Any]], bool]
_PART = re.compile(r"\s*((?:[^,(]|\([^)]*\))+)\s*(?:,|$)")
_IN = re.compile(r"^(\S+)\s+(in|notin)\s+\(([^)]*)\)$")
_FIELDS = {"metadata.name", "metadata.namespace", "status.phase", "spec.nodeName", "involvedObject.name",
           "involvedObject.kind", "involvedObject.namespace", "reason", "type"}  # fmt: skip


def by_labels(text: str) -> Predicate:
    tests = [_label(part) for part in _PART.findall(text) if part]

    def matches(document: Mapping[str, Any]) -> bool:
        labels = document["metadata"].get("labels") or {}
        return all(test(labels) for test in tests)

    return matches


def _label(part: str) -> Predicate:
    part = part.strip()
    if found := _IN.match(part):
        key, how, values = found[1], found[2], {v.strip() for v in found[3].split(",")}
        if how == "in":
            return lambda labels: labels.get(key) in values
        return lambda labels: labels.get(key) not in values
    for sign, equal in (("!=", False), ("==", True), ("=", True)):
        key, found_sign, value = part.partition(sign)
        if found_sign:
            key, value = key.strip(), value.strip()
            return lambda labels: (labels.get(key) == value) is equal
    if part.startswith("!"):
        return lambda labels: part[1:] not in labels
    return lambda labels: part in labels


def by_fields(text: str) -> Predicate:
    tests: list[tuple[str, str, bool]] = []
    for part in filter(None, text.split(",")):
        key, sign, value = re.split(r"(!=|==|=)", part, maxsplit=1)
        if key not in _FIELDS:
            raise RefusedError(400, "BadRequest", f'field label not supported: "{key}"')
        tests.append((key, value, sign != "!="))

    def matches(document: Mapping[str, Any]) -> bool:
        return all((_at(document, key) == value) is equal for key, value, equal in tests)

    return matches


def _at(document: Mapping[str, Any], path: str) -> str:
    found: Any = document
    for name in path.split("."):
        found = (found or {}).get(name)
    return str(found or "")
