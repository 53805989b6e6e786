"""Options that several commands share, and the reading of their values."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from whichpod.model.errors import UsageError

Json = Annotated[
    bool, typer.Option("--json", help="Print one JSON object (versioned schema) instead of text.")
]


def text_or_file(value: str, option: str) -> str:
    """The value, or the content of FILE where it is @FILE. Raises UsageError naming the option."""
    if not value.startswith("@"):
        return value
    try:
        return Path(value[1:]).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as e:
        why = e.strerror if isinstance(e, OSError) else "it is not UTF-8 text"
        raise UsageError(
            f"{option}: {value[1:]} can't be read: {why}.", fix="Name a readable file after @."
        ) from None


def metadata_pairs(values: list[str]) -> tuple[tuple[str, str], ...]:
    """`key: value` or `key=value` strings as pairs. Raises UsageError naming the one at fault."""
    pairs = []
    for value in values:
        cut = min((i for i in (value.find(":"), value.find("=")) if i > 0), default=-1)
        if cut < 0:
            raise UsageError(f"--metadata {value!r} has no key.", fix='Write it like -H "x-tenant: blue".')
        pairs.append((value[:cut].strip().lower(), value[cut + 1 :].strip()))
    return tuple(pairs)
