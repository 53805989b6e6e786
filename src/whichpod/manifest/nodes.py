"""YAML text to a tree of nodes that know their line.

Built from PyYAML's events, without recursion and without sharing PyYAML's own construction: duplicate keys
are errors, and depth, size and what aliases unfold to are bounded, so that no text can exhaust the machine.
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from whichpod.manifest.kinds import Where
from whichpod.model.errors import ManifestError, MissingExtraError

MOST_CHARACTERS = 4_000_000
"""Longest text that is read; the API server takes 3 MiB."""
MOST_NODES = 200_000
"""Most nodes of a document, aliases unfolded."""
MOST_DEPTH = 100

_NULL = frozenset({"", "~", "null", "Null", "NULL"})
_TRUE = frozenset({"true", "True", "TRUE", "yes", "Yes", "YES", "on", "On", "ON"})
_FALSE = frozenset({"false", "False", "FALSE", "no", "No", "NO", "off", "Off", "OFF"})
_INT = re.compile(r"[-+]?(0|[1-9][0-9_]*)")
_BASED = re.compile(r"[-+]?(0x[0-9a-fA-F_]+|0o?[0-7_]+|0b[01_]+)")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_TAG = "tag:yaml.org,2002:"


@dataclass(slots=True)
class Scalar:
    """A single value: None, a boolean, a number or text."""

    where: Where
    value: bool | int | float | str | None
    size: int = 1

    @property
    def kind(self) -> str:
        """What it is, for a message."""
        names = {"NoneType": "null", "bool": "a boolean", "int": "a number", "float": "a number"}
        return names.get(type(self.value).__name__, "text")


@dataclass(slots=True)
class Sequence:
    """A list."""

    where: Where
    items: list[Node] = field(default_factory=list)
    size: int = 1
    kind = "a list"


@dataclass(slots=True)
class Mapping:
    """An object. `keys` says where each key stands."""

    where: Where
    items: dict[str, Node] = field(default_factory=dict)
    keys: dict[str, Where] = field(default_factory=dict)
    size: int = 1
    kind = "an object"


Node = Scalar | Sequence | Mapping


def plain(node: Node) -> Any:
    """A node as dictionaries, lists and values. Its depth is bounded, as `compose` made it."""
    if isinstance(node, Mapping):
        return {key: plain(item) for key, item in node.items.items()}
    if isinstance(node, Sequence):
        return [plain(item) for item in node.items]
    return node.value


def compose(text: str, file: str) -> list[Node]:
    """The documents of a YAML text; empty ones are left out. Raises ManifestError, MissingExtraError."""
    yaml = _yaml()
    if len(text) > MOST_CHARACTERS:
        raise ManifestError(file, 1, f"the text is longer than {MOST_CHARACTERS:,} characters.")
    if yaml.__with_libyaml__:
        # Five times as fast, and what Kubernetes' own reader was made after.
        try:
            return _Composer(file).taken(yaml.parse(text, Loader=yaml.CSafeLoader))
        except (yaml.YAMLError, ValueError):
            pass  # PyYAML's own parser has better words for it
    composer = _Composer(file)
    try:
        return composer.taken(yaml.parse(text, Loader=yaml.SafeLoader))
    except yaml.MarkedYAMLError as e:
        mark = e.problem_mark or e.context_mark
        line = mark.line + 1 if mark else 1
        said = ", ".join(s for s in (e.context, e.problem) if s)
        raise ManifestError(file, line, f"broken YAML: {said}.") from None
    except yaml.reader.ReaderError as e:
        line = text.count("\n", 0, e.position) + 1
        raise ManifestError(file, line, f"broken YAML: {e.reason} (character {e.character!r}).") from None
    except (yaml.YAMLError, ValueError, OverflowError, IndexError) as e:
        # PyYAML lets a few errors of its own through, such as chr() of an escape beyond Unicode.
        raise ManifestError(file, composer.line, f"broken YAML: {e}.") from None


def _yaml() -> Any:
    try:
        return importlib.import_module("yaml")
    except ImportError:
        raise MissingExtraError("The YAML reader", "lab") from None


@dataclass(slots=True)
class _Open:
    """A list or object whose end has not come yet."""

    node: Sequence | Mapping
    anchor: str | None
    key: str | None = None
    key_where: Where | None = None
    merged: list[tuple[Where, Node]] = field(default_factory=list)


class _Composer:
    """Takes parser events, yields documents."""

    def __init__(self, file: str) -> None:
        self.file = file
        self.documents: list[Node] = []
        self.line = 1
        self._stack: list[_Open] = []
        self._anchors: dict[str, Node] = {}

    def taken(self, events: Iterable[Any]) -> list[Node]:
        """Handles all events, and returns the documents that say something."""
        for event in events:
            self.take(event)
        return [d for d in self.documents if not (isinstance(d, Scalar) and d.value is None)]

    def take(self, event: Any) -> None:
        """Handles one event."""
        self.line = event.start_mark.line + 1
        name = type(event).__name__
        where = Where(self.file, self.line)
        if name == "DocumentStartEvent":
            self._anchors = {}
        elif name == "ScalarEvent":
            node = Scalar(where, self._scalar(event, where))
            self._name(event.anchor, node)
            self._add(node)
        elif name in ("SequenceStartEvent", "MappingStartEvent"):
            kind: type[Sequence | Mapping] = Sequence if name.startswith("Seq") else Mapping
            if event.tag not in (None, "!", _TAG + ("seq" if kind is Sequence else "map")):
                raise where.error(f"the YAML tag {event.tag} is not understood.")
            if len(self._stack) >= MOST_DEPTH:
                raise where.error(f"nested more than {MOST_DEPTH} deep.")
            self._stack.append(_Open(kind(where), event.anchor))
        elif name in ("SequenceEndEvent", "MappingEndEvent"):
            closed = self._stack.pop()
            self._merge(closed)
            self._name(closed.anchor, closed.node)
            self._add(closed.node)
        elif name == "AliasEvent":
            target = self._anchors.get(event.anchor)
            if target is None:
                raise where.error(f"broken YAML: there is no anchor &{event.anchor} before *{event.anchor}.")
            self._add(target)

    def _name(self, anchor: str | None, node: Node) -> None:
        if anchor:
            self._anchors[anchor] = node

    def _add(self, node: Node) -> None:
        if not self._stack:
            self.documents.append(node)
            return
        top = self._stack[-1]
        if isinstance(top.node, Sequence):
            top.node.items.append(node)
        elif top.key is None:
            top.key, top.key_where = self._key(node, top.node), Where(self.file, self.line)
            return
        else:
            assert top.key_where is not None
            if top.key == "<<":
                top.merged.append((top.key_where, node))
            else:
                top.node.items[top.key] = node
                top.node.keys[top.key] = top.key_where
            top.key = None
        top.node.size += node.size
        if top.node.size > MOST_NODES:
            raise Where(self.file, self.line).error(
                f"holds more than {MOST_NODES:,} values, aliases unfolded."
            )

    def _key(self, node: Node, into: Mapping) -> str:
        where = Where(self.file, self.line)
        if not isinstance(node, Scalar):
            raise where.error(f"a key must be text, not {node.kind}.")
        key = node.value if isinstance(node.value, str) else _plain(node.value)
        if key in into.items:
            raise where.error(f"the key {key!r} stands twice (first in line {into.keys[key].line}).")
        return key

    def _merge(self, closed: _Open) -> None:
        """Merge keys (`<<`): what is written in the object itself wins."""
        into = closed.node
        for where, node in closed.merged:
            assert isinstance(into, Mapping)
            for source in node.items if isinstance(node, Sequence) else [node]:
                if not isinstance(source, Mapping):
                    raise where.error("`<<` must name an object.")
                for key, value in source.items.items():
                    if key not in into.items:
                        into.items[key], into.keys[key] = value, source.keys[key]

    def _scalar(self, event: Any, where: Where) -> bool | int | float | str | None:
        text: str = event.value
        tag = event.tag
        if tag in ("!", _TAG + "str") or (tag is None and not event.implicit[0]):
            return text
        if tag not in (None, *(_TAG + t for t in ("null", "bool", "int", "float"))):
            raise where.error(f"the YAML tag {tag} is not understood.")
        value = _resolve(text)
        if tag is not None:
            kinds = {"null": type(None), "bool": bool, "int": int, "float": float}
            wanted = kinds[tag.removeprefix(_TAG)]
            if wanted is float and type(value) is int:
                value = float(value)
            if type(value) is not wanted:
                raise where.error(f"{text!r} does not fit its tag !!{tag.removeprefix(_TAG)}.")
        return value


def _resolve(text: str) -> bool | int | float | str | None:
    """A plain scalar's value, as Kubernetes' YAML reader takes it: YAML 1.1 without dates and base 60."""
    if text in _NULL:
        return None
    if text in _TRUE or text in _FALSE:
        return text in _TRUE
    if len(text) > 64:
        return text
    if _INT.fullmatch(text):
        return int(text.replace("_", ""))
    if _BASED.fullmatch(text):
        return _based(text)
    if _FLOAT.fullmatch(text):
        return float(text)
    return text


def _based(text: str) -> int | str:
    digits = text.lower().replace("_", "")
    sign = -1 if digits.startswith("-") else 1
    digits = digits.lstrip("+-")
    base = {"0x": 16, "0o": 8, "0b": 2}.get(digits[:2])
    try:
        return sign * (int(digits[2:], base) if base else int(digits, 8))
    except ValueError:
        return text


def _plain(value: object) -> str:
    if value is None:
        return "null"
    return str(value).lower() if isinstance(value, bool) else str(value)
