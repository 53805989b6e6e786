"""What the published guide says of performance, to stand beside what was measured."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from functools import cache
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Guide:
    """The guide's own figures, in its words."""

    rows: dict[str, str]
    """By the row's name; a row that the guide gives no figure for is not in it."""
    caveat: str
    """What to know when comparing."""


@cache
def guide() -> Guide:
    """The file beside this one."""
    data = tomllib.loads(Path(__file__).with_name("guide.toml").read_text(encoding="utf-8"))
    return Guide(dict(data["rows"]), " ".join(data["caveat"].split()))
