"""Consoles: colour and width on a terminal, plain wide text in a pipe. rich obeys NO_COLOR by itself."""

from __future__ import annotations

import io
import os
import sys
from typing import NoReturn, TextIO

from rich.console import Console

PIPE_WIDTH = 160


class _Console(Console):
    def on_broken_pipe(self) -> NoReturn:
        """As `print` does it, where rich exits with the code that says that an expectation was not met."""
        raise BrokenPipeError


def out() -> Console:
    """Where results go."""
    return _console(sys.stdout)


def err() -> Console:
    """Where progress and remarks go, so that stdout holds results only."""
    return _console(sys.stderr)


def _console(file: TextIO) -> Console:
    if isinstance(file, io.TextIOWrapper) and not (file.encoding or "").lower().startswith("utf"):
        # What the encoding lacks, such as µ, is no reason to lose a report.
        file.reconfigure(errors="replace")
    width = None
    if not file.isatty() and "COLUMNS" not in os.environ:
        width = PIPE_WIDTH
    return _Console(file=file, width=width, highlight=False, soft_wrap=False, emoji=False, markup=False)


def block(console: Console) -> str:
    """The character that bars are made of: one that the console's encoding has."""
    return "#" if (console.encoding or "ascii").lower() in ("ascii", "us-ascii", "ansi_x3.4-1968") else "█"
