"""Server-side apply (kubernetes.io, Server-Side Apply): who owns which field, and what they conflict over."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, MutableMapping
from typing import Any

from tests.kubernetes.standin.status import RefusedError

Path = tuple[str, ...]
Owners = dict[str, set[Path]]
"""By manager."""
_KEYS = {"containers": ("name",), "initContainers": ("name",), "env": ("name",), "volumes": ("name",),
         "volumeMounts": ("mountPath",), "ports": ("containerPort", "port"), "conditions": ("type",)}  # fmt: skip
"""Lists of objects that are merged, and what tells their items apart."""
_NOT_OWNED = frozenset({"apiVersion", "kind"})
_NOT_OWNED_METADATA = frozenset({"name", "namespace", "managedFields", "resourceVersion", "uid",
                                 "creationTimestamp", "generation"})  # fmt: skip


def leaves(document: Mapping[str, Any], at: Path = ()) -> Iterator[tuple[Path, Any]]:
    """The fields that an applier owns."""
    for name, value in document.items():
        if (not at and name in _NOT_OWNED) or (at == ("metadata",) and name in _NOT_OWNED_METADATA):
            continue
        here = (*at, name)
        if isinstance(value, Mapping) and value:
            yield from leaves(value, here)
        elif _is_merged(name, value):
            for item in value:
                place = (*here, _item(name, item))
                yield place, None
                yield from leaves(item, place)
        else:
            yield here, value


def apply(
    current: dict[str, Any], given: Mapping[str, Any], owners: Owners, manager: str, *, force: bool
) -> dict[str, Any]:
    """`current` with what `manager` says. Changes `owners`; raises RefusedError for a conflict."""
    said = dict(leaves(given))
    have = dict(leaves(current))
    causes = []
    for path, value in said.items():
        if have.get(path) == value:
            continue
        for other, paths in owners.items():
            if other != manager and path in paths and path in have:
                causes.append((other, path))
    if causes and not force:
        raise _conflict(causes, given["apiVersion"])
    for other, path in causes:
        owners[other].discard(path)
    shared = set().union(*(paths for other, paths in owners.items() if other != manager), set())
    dropped = owners.get(manager, set()) - set(said) - shared
    merged: dict[str, Any] = _merged(current, given)
    for path in sorted(dropped, key=len, reverse=True):
        _remove(merged, path)
    owners[manager] = set(said)
    return merged


def own(document: Mapping[str, Any], before: Mapping[str, Any], owners: Owners, manager: str) -> None:
    """After an update that is no apply: who changed a field owns it."""
    now, then = dict(leaves(document)), dict(leaves(before))
    changed = {path for path, value in now.items() if then.get(path, ...) != value}
    for paths in owners.values():
        paths.difference_update(changed)
        paths.intersection_update(now)
    owners.setdefault(manager, set()).update(changed)


def managed_fields(owners: Owners, api_version: str) -> list[dict[str, Any]]:
    return [
        {"manager": name, "operation": "Apply", "apiVersion": api_version, "fieldsType": "FieldsV1",
         "fieldsV1": {f"f:{'.'.join(path)}": {} for path in sorted(paths)}}
        for name, paths in sorted(owners.items()) if paths
    ]  # fmt: skip


def _conflict(causes: list[tuple[str, Path]], api_version: str) -> RefusedError:
    said = [f'conflict with "{other}" using {api_version}: .{".".join(path)}' for other, path in causes]
    count = f"{len(said)} conflict" + ("s" if len(said) > 1 else "")
    return RefusedError(
        409,
        "Conflict",
        f"Apply failed with {count}: {'; '.join(said)}",
        causes=[
            {
                "reason": "FieldManagerConflict",
                "message": f'conflict with "{other}" using {api_version}',
                "field": "." + ".".join(path),
            }
            for other, path in causes
        ],
    )


def _is_merged(name: str, value: Any) -> bool:
    return (
        name in _KEYS
        and isinstance(value, list)
        and bool(value)
        and all(isinstance(i, Mapping) and any(k in i for k in _KEYS[name]) for i in value)
    )


def _item(name: str, item: Mapping[str, Any]) -> str:
    key = next(k for k in _KEYS[name] if k in item)
    return f'[{key}="{item[key]}"]'


def _merged(current: Any, given: Any, name: str = "") -> Any:
    if isinstance(given, Mapping) and isinstance(current, Mapping):
        found = dict(current)
        for key, value in given.items():
            found[key] = _merged(current.get(key), value, key)
        return found
    if _is_merged(name, given) and isinstance(current, list):
        known = {_item(name, item): item for item in current}
        for item in given:
            key = _item(name, item)
            known[key] = _merged(known.get(key), item)
        return list(known.values())
    return given


def _remove(document: MutableMapping[str, Any], path: Path) -> None:
    holder: Any = document
    for number, step in enumerate(path[:-1]):
        if step.startswith("["):
            holder = next((i for i in holder if _item(path[number - 1], i) == step), None)
        else:
            holder = holder.get(step)
        if holder is None:
            return
    last = path[-1]
    if last.startswith("["):
        holder[:] = [i for i in holder if _item(path[-2], i) != last]
    else:
        holder.pop(last, None)
