"""Reads the fields of one object and remembers which it has read: what is left over is not understood."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable
from dataclasses import dataclass, field

from whichpod.manifest.kinds import Note, Where
from whichpod.manifest.nodes import Mapping, Node, Scalar, Sequence
from whichpod.model.errors import ManifestError

_DURATION = re.compile(r"(\d+(\.\d*)?|\.\d+)(ns|us|µs|ms|s|m|h)")
_UNIT = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}


@dataclass(slots=True)
class Findings:
    """Errors and notes of a whole load. Reading goes on after an error, to find the others."""

    errors: list[ManifestError] = field(default_factory=list)
    notes: list[Note] = field(default_factory=list)
    lenient: bool = False
    """Whether what is not understood is noted and left out, instead of being an error."""

    def fail(self, where: Where, message: str, *, fix: str = "") -> None:
        """Records an error."""
        self.errors.append(where.error(message, fix=fix))

    def note(self, where: Where, message: str) -> None:
        """Records a note."""
        self.notes.append(Note(where.file, where.line, message))

    def unsupported(
        self, where: Where, message: str, *, fix: str = "", instead: str = "It is left out."
    ) -> None:
        """Records what a cluster would take and a lab can't: an error, or a note where that was asked for.

        `instead` says what happens then.
        """
        if self.lenient:
            self.note(where, " ".join(s for s in (message, fix, instead) if s))
        else:
            self.fail(where, message, fix=fix)

    def raise_first(self) -> None:
        """Raises the first error by place, saying how many more there are.

        Of several in a line what is not understood comes first: it is often why something is missing.
        """
        if not self.errors:
            return
        first, *more = sorted(self.errors, key=lambda e: (e.file, e.line, "not understood" not in e.message))
        if more:
            s = "s" if len(more) > 1 else ""
            fix = f"{first.fix} ({len(more)} more error{s} after it.)".strip()
            message = first.message.removeprefix(f"{first.file}:{first.line}: ")
            raise ManifestError(first.file, first.line, message, fix=fix)
        raise first


class Fields:
    """A cursor on an object. Every getter marks its field as read; `done` complains about the rest."""

    def __init__(self, node: Mapping, findings: Findings, subject: str, path: str = "") -> None:
        self.node = node
        self.where = node.where
        self.findings = findings
        self.subject = subject
        self.path = path
        self._read: set[str] = set()
        self._missing: dict[str, ManifestError] = {}

    def __contains__(self, name: str) -> bool:
        return self._peek(name) is not None

    def at(self, name: str) -> str:
        """A field's path from the top of the object."""
        return f"{self.path}.{name}" if self.path else name

    def place(self, name: str) -> Where:
        """Where a field stands; the object, when it isn't there."""
        return self.node.keys.get(name, self.where)

    def fail(self, name: str, problem: str, *, fix: str = "") -> None:
        """Records an error about a field: `problem` follows its path."""
        self.findings.fail(self.place(name), f"{self.subject}: {self.at(name)} {problem}", fix=fix)

    def unsupported(
        self, name: str, problem: str, *, fix: str = "", instead: str = "It is left out."
    ) -> None:
        """As `fail`, for a field that is right in itself; a note where the load is lenient."""
        message = f"{self.subject}: {self.at(name)} {problem}"
        self.findings.unsupported(self.place(name), message, fix=fix, instead=instead)

    def note(self, name: str, remark: str) -> None:
        """Records a note about a field."""
        self.findings.note(self.place(name), f"{self.subject}: {self.at(name)} {remark}")

    def _peek(self, name: str) -> Node | None:
        node = self.node.items.get(name)
        return None if isinstance(node, Scalar) and node.value is None else node

    def _get(self, name: str, required: bool = False) -> Node | None:
        self._read.add(name)
        node = self._peek(name)
        if node is None and required:
            self.fail(name, "is missing.")
            self._missing[name] = self.findings.errors[-1]
        return node

    def _wrong(self, name: str, wanted: str, node: Node) -> None:
        fix = "Put it in quotes." if wanted == "text" and isinstance(node, Scalar) else ""
        self.fail(name, f"must be {wanted}, not {node.kind}.", fix=fix)

    def text(self, name: str, default: str = "", *, required: bool = False) -> str:
        """Text."""
        node = self._get(name, required)
        if node is None:
            return default
        if isinstance(node, Scalar) and isinstance(node.value, str):
            if required and not node.value:
                self.fail(name, "is empty.")
            return node.value
        self._wrong(name, "text", node)
        return default

    def texts(self, name: str) -> tuple[str, ...]:
        """A list of texts."""
        node = self._get(name)
        if node is None:
            return ()
        if not isinstance(node, Sequence):
            self._wrong(name, "a list", node)
            return ()
        found = []
        for i, item in enumerate(node.items):
            if isinstance(item, Scalar) and isinstance(item.value, str):
                found.append(item.value)
            else:
                self._item(name, i, item, "text")
        return tuple(found)

    def _item(self, name: str, index: int | str, node: Node, wanted: str) -> None:
        key = f"[{index}]" if isinstance(index, int) else f".{index}"
        fix = "Put it in quotes." if wanted == "text" and isinstance(node, Scalar) else ""
        message = f"{self.subject}: {self.at(name)}{key} must be {wanted}, not {node.kind}."
        self.findings.fail(node.where, message, fix=fix)

    def whole(
        self, name: str, default: int = 0, *, low: int = 0, high: int = 2**31 - 1, required: bool = False
    ) -> int:
        """A whole number within bounds."""
        node = self._get(name, required)
        if node is None:
            return default
        if not isinstance(node, Scalar) or not isinstance(node.value, int) or isinstance(node.value, bool):
            self._wrong(name, "a whole number", node)
            return default
        if not low <= node.value <= high:
            self.fail(name, f"must be from {low} to {high}, not {node.value}.")
            return default
        return node.value

    def optional_whole(self, name: str, *, high: int = 2**31 - 1) -> int | None:
        """A whole number from 0, or None when it isn't given."""
        self._read.add(name)
        return None if self._peek(name) is None else self.whole(name, high=high)

    def number(self, name: str, default: float, *, low: float, high: float) -> float:
        """A number within bounds."""
        node = self._get(name)
        if node is None:
            return default
        if not isinstance(node, Scalar) or not isinstance(node.value, int | float) or node.value is True:
            self._wrong(name, "a number", node)
            return default
        if not low <= node.value <= high:
            self.fail(name, f"must be from {low:g} to {high:g}, not {node.value}.")
            return default
        return float(node.value)

    def flag(self, name: str, default: bool = False) -> bool:
        """A boolean."""
        node = self._get(name)
        if node is None:
            return default
        if isinstance(node, Scalar) and isinstance(node.value, bool):
            return node.value
        self._wrong(name, "true or false", node)
        return default

    def optional_flag(self, name: str) -> bool | None:
        """A boolean, or None when it isn't given."""
        self._read.add(name)
        return None if self._peek(name) is None else self.flag(name)

    def choice(self, name: str, options: Iterable[str], default: str, *, beyond: Iterable[str] = ()) -> str:
        """One of a few texts. Those of `beyond` are right as well, but a lab can't do them."""
        value = self.text(name, default)
        known = tuple(options)
        if value in known:
            return value
        fix = f"Known: {', '.join(o for o in known if o)}."
        if value in beyond:
            taken = f"It is taken as {default}." if default else "It is left out."
            self.unsupported(name, f"{value} is not supported.", fix=fix, instead=taken)
        else:
            self.fail(name, f"{value!r} is not understood.", fix=fix)
        return default

    def port(self, name: str, *, required: bool = True) -> int | str:
        """A port number or a port's name; 0 when it isn't given."""
        node = self._peek(name)
        if isinstance(node, Scalar) and isinstance(node.value, str):
            return self.text(name)
        return self.whole(name, low=1, high=65535, required=required)

    def duration(self, name: str, *, low: float = 0) -> float | None:
        """A duration as Go writes it (`1h30m`, `250ms`), in seconds; None when it isn't given."""
        if self._get(name) is None:
            return None
        text = self.text(name)
        parts = list(_DURATION.finditer(text))
        if not text or len(text) > 40 or "".join(p.group() for p in parts) != text:
            self.fail(name, f"{text!r} is not a duration.", fix="Write it like 500ms, 10s or 1m30s.")
            return None
        seconds = sum(float(p.group(1)) * _UNIT[p.group(3)] for p in parts)
        if not low <= seconds <= 3e8:
            self.fail(name, f"{text!r} is out of range; it must be at least {low:g}s.")
            return None
        return round(seconds, 9)

    def strings(self, name: str) -> dict[str, str]:
        """An object whose values are texts, as labels are."""
        node = self._get(name)
        if node is None:
            return {}
        if not isinstance(node, Mapping):
            self._wrong(name, "an object", node)
            return {}
        found = {}
        for key, item in node.items.items():
            if isinstance(item, Scalar) and isinstance(item.value, str):
                found[key] = item.value
            else:
                self._item(name, key, item, "text")
        return found

    def amount(self, name: str) -> str:
        """A quantity, which may be written as a number; empty when it isn't given."""
        node = self._get(name)
        if isinstance(node, Scalar) and isinstance(node.value, int | float) and node.value is not True:
            return str(node.value)
        return self.text(name)

    def amounts(self) -> dict[str, str]:
        """An object whose values are quantities."""
        return {name: self.amount(name) for name in self.node.items}

    def child(self, name: str, *, required: bool = False) -> Fields | None:
        """An object within this one."""
        node = self._get(name, required)
        if node is None:
            return None
        if not isinstance(node, Mapping):
            self._wrong(name, "an object", node)
            return None
        return Fields(node, self.findings, self.subject, self.at(name))

    def children(self, name: str, *, required: bool = False) -> list[Fields]:
        """A list of objects. Where it is required it must hold one at least."""
        node = self._get(name, required)
        if node is None:
            return []
        if not isinstance(node, Sequence):
            self._wrong(name, "a list", node)
            return []
        if required and not node.items:
            self.fail(name, "is empty.")
        found = []
        for i, item in enumerate(node.items):
            if isinstance(item, Mapping):
                found.append(Fields(item, self.findings, self.subject, f"{self.at(name)}[{i}]"))
            else:
                self._item(name, i, item, "an object")
        return found

    def without_effect(self, *names: str) -> None:
        """Fields that are accepted and noted as having no effect."""
        for name in names:
            if self._get(name) is not None:
                self.note(name, "has no effect in the lab.")

    def left_out(self, *names: str, why: str = "is not supported.") -> None:
        """Fields that are right, and that would change what happens, but that a lab can't do."""
        for name in names:
            if self._get(name) is not None:
                self.unsupported(name, why)

    def silent(self, *names: str) -> None:
        """Fields that are accepted without a word."""
        self._read.update(names)

    def done(self) -> None:
        """Complains about each field that nobody has read."""
        for name in self.node.items:
            if name in self._read:
                continue
            near = difflib.get_close_matches(name, self._read, n=1)
            self.unsupported(name, "is not understood.", fix=f"Is {near[0]} meant?" if near else "")
            if near and near[0] in self._missing and not self.findings.lenient:
                # Misspelt, not missing.
                self.findings.errors.remove(self._missing.pop(near[0]))
