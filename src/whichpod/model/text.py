"""Text that came over the wire: a terminal must not act on it."""

from __future__ import annotations


def printable(text: str, longest: int = 300) -> str:
    """The text on one line, without what isn't printable, cut where it is too long."""
    words = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return words if len(words) <= longest else words[: longest - 1] + "…"
