"""Moves objects into another namespace, with the names in them that mean one another."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

Document = dict[str, Any]
DEFAULT = "default"

_LABELS = frozenset(
    {"labels", "selector", "matchLabels", "matchExpressions", "nodeSelector", "namespaceSelector",
     "podSelector", "labelSelector", "sourceLabels"}
)  # fmt: skip
"""Fields that hold labels. They stay as they are: what they select must not change."""
_AS_THEY_ARE = frozenset({"apiVersion", "kind", "metadata", "status"})


def namespace_of(document: Mapping[str, Any]) -> str:
    """The namespace that an object says it is in."""
    return str(document["metadata"].get("namespace") or DEFAULT)


class Move:
    """Documents on their way into `namespace`. Only names of objects among them are rewritten: a name such
    as kubernetes.default.svc means what it meant."""

    def __init__(self, documents: Iterable[Mapping[str, Any]], namespace: str) -> None:
        self._namespace = namespace
        self._objects: set[tuple[str, str]] = set()
        services: set[tuple[str, str]] = set()
        for document in documents:
            at = namespace_of(document), str(document["metadata"]["name"])
            self._objects.add(at)
            if document["kind"] == "Service":
                services.add(at)
        self._from = {at for at, _ in self._objects} - {namespace}
        names = [f"{re.escape(name)}\\.{re.escape(at)}" for at, name in sorted(services) if at in self._from]
        names += [f"\\*\\.{re.escape(at)}" for at in sorted(self._from)]
        # NAME.NAMESPACE.svc and what goes on after it, or NAME.NAMESPACE:PORT; also behind a pod's host name.
        self._pattern = re.compile(
            rf"(?<![A-Za-z0-9_-])({'|'.join(names)})(?=\.svc(?![A-Za-z0-9_-])|:\d)" if names else r"(?!)"
        )

    def moved(self, document: Mapping[str, Any]) -> Document:
        """The object in its new place. The given one is not changed."""
        found: Document = {}
        for key, value in document.items():
            if key in _AS_THEY_ARE:
                found[key] = _copy(value)
            elif document["kind"] == "ConfigMap" or (document["kind"] == "Secret" and key == "stringData"):
                found[key] = self._texts(value)
            else:
                found[key] = self._value(value)
        found["metadata"]["namespace"] = self._namespace
        return found

    def text(self, text: str) -> str:
        """A text with the Services' full names as they are from now on."""
        return self._pattern.sub(lambda m: f"{m[0].partition('.')[0]}.{self._namespace}", text)

    def _texts(self, value: Any) -> Any:
        if isinstance(value, Mapping):
            return {key: self.text(v) if isinstance(v, str) else _copy(v) for key, v in value.items()}
        return _copy(value)

    def _value(self, value: Any) -> Any:
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, list | tuple):
            return [self._value(item) for item in value]
        if not isinstance(value, Mapping):
            return value
        found = {key: _copy(v) if key in _LABELS else self._value(v) for key, v in value.items()}
        if (value.get("namespace"), value.get("name")) in self._objects:
            found["namespace"] = self._namespace
        if value.get("sourceNamespace") in self._from:
            found["sourceNamespace"] = self._namespace
        if isinstance(exported := value.get("exportTo"), list):
            found["exportTo"] = [self._namespace if at in self._from else at for at in exported]
        return found


def _copy(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _copy(item) for key, item in value.items()}
    return [_copy(item) for item in value] if isinstance(value, list | tuple) else value
