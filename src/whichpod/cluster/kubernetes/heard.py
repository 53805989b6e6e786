"""What clients said on their way, which is all that is left where they, or the cluster, are lost."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, TypeVar

from whichpod.model.errors import WhichpodError

_NAMED = 8

E = TypeVar("E", bound=WhichpodError)


def so_far(said: Iterable[Mapping[str, Any]]) -> str:
    """What clients had done, by the last that each of them said (`result.progress_line`); empty where that is
    nothing."""
    ended, counts = 0, dict[str, int]()
    for one in said:
        ended += _number(one.get("done")) + _number(one.get("failed"))
        by_server = one.get("counts")
        for label, count in by_server.items() if isinstance(by_server, Mapping) else ():
            counts[label] = counts.get(label, 0) + _number(count)
    if not ended:
        return ""
    most = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    named = ", ".join(f"{label} {count:,}" for label, count in most[:_NAMED])
    more = f" and {len(most) - _NAMED} more" if len(most) > _NAMED else ""
    return f"When last heard of, {ended:,} RPC{'s' * (ended != 1)} had ended" + (
        f": {named}{more}." if named else "."
    )


def told(error: E, said: Iterable[Mapping[str, Any]]) -> E:
    """The error, which says now what had been done before it."""
    if done := so_far(said):
        error.message = f"{error.message.rstrip('.')}. {done}"
    return error


def _number(value: object) -> int:
    # An image of another version may say it differently.
    return value if isinstance(value, int) else 0
