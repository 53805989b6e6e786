"""Dataclasses to plain JSON values and back, by their type hints.

Everything that crosses a process border goes through here, so that there is one place where a
field's JSON form is decided. Unknown keys are ignored (a newer sender may have more fields);
missing ones take the field's default, and without one raise `ValueError`.
"""

from __future__ import annotations

import dataclasses
import types
import typing
from collections.abc import Mapping
from enum import Enum
from functools import cache
from typing import Any, TypeVar, Union, cast

T = TypeVar("T")


def to_json(value: object) -> Any:
    """A value made of dicts, lists, strings, numbers, booleans and None only.

    A class with a `to_json` method decides its own form (Histogram does).
    """
    if isinstance(value, Enum):
        return value.value
    own = getattr(value, "to_json", None)
    if own is not None:
        return own()
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: to_json(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {str(k): to_json(v) for k, v in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [to_json(v) for v in value]
    if value is None or isinstance(value, str | int | float | bool):
        return value
    raise TypeError(f"{type(value).__name__} has no JSON form")


def from_json(kind: type[T], data: object) -> T:
    """Builds a `kind` from what `to_json` made of one. Raises ValueError naming the field at fault."""
    return cast(T, _decode(kind, data, kind.__name__))


@cache
def _hints(kind: type) -> dict[str, Any]:
    return typing.get_type_hints(kind)


def _decode(hint: Any, data: Any, where: str) -> Any:
    origin = typing.get_origin(hint)
    if hint is Any or hint is object:
        return data
    if origin in (Union, types.UnionType):
        return _decode_union(typing.get_args(hint), data, where)
    if origin is typing.Literal:
        if data not in typing.get_args(hint):
            raise ValueError(f"{where}: {data!r} is not one of {typing.get_args(hint)}")
        return data
    if origin in (tuple, list, frozenset, set):
        return _decode_sequence(origin, typing.get_args(hint), data, where)
    if origin is not None and issubclass(origin, Mapping):
        key, item = typing.get_args(hint)
        if not isinstance(data, Mapping):
            raise ValueError(f"{where}: expected an object")
        return {(int(k) if key is int else k): _decode(item, v, f"{where}.{k}") for k, v in data.items()}
    if isinstance(hint, type):
        return _decode_class(hint, data, where)
    raise ValueError(f"{where}: no decoder for {hint}")


def _decode_union(options: tuple[Any, ...], data: Any, where: str) -> Any:
    if data is None and type(None) in options:
        return None
    error: ValueError | None = None
    for option in options:
        if option is type(None):
            continue
        try:
            return _decode(option, data, where)
        except ValueError as e:
            error = e
    raise error or ValueError(f"{where}: null is not allowed")


def _decode_sequence(origin: Any, args: tuple[Any, ...], data: Any, where: str) -> Any:
    if not isinstance(data, list | tuple):
        raise ValueError(f"{where}: expected a list")
    if origin is tuple and args[-1] is not Ellipsis:
        if len(data) != len(args):
            raise ValueError(f"{where}: expected {len(args)} items")
        return tuple(_decode(a, d, f"{where}[{i}]") for i, (a, d) in enumerate(zip(args, data, strict=True)))
    return origin(_decode(args[0], d, f"{where}[{i}]") for i, d in enumerate(data))


def _decode_class(kind: type, data: Any, where: str) -> Any:
    if issubclass(kind, Enum):
        try:
            return kind(data)
        except ValueError:
            raise ValueError(f"{where}: {data!r} is not a {kind.__name__}") from None
    own = getattr(kind, "from_json", None)
    if own is not None:
        return own(data)
    if dataclasses.is_dataclass(kind):
        return _decode_dataclass(kind, data, where)
    if kind is float and isinstance(data, int) and not isinstance(data, bool):
        return float(data)
    if not isinstance(data, kind) or (kind is int and isinstance(data, bool)):
        raise ValueError(f"{where}: expected {kind.__name__}, got {type(data).__name__}")
    return data


def _decode_dataclass(kind: Any, data: Any, where: str) -> Any:
    if not isinstance(data, Mapping):
        raise ValueError(f"{where}: expected an object")
    hints = _hints(kind)
    given = {
        f.name: _decode(hints[f.name], data[f.name], f"{where}.{f.name}")
        for f in dataclasses.fields(kind)
        if f.init and f.name in data
    }
    try:
        return kind(**given)
    except TypeError as e:
        raise ValueError(f"{where}: {e}") from None
