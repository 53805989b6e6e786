"""What a command is doing, on stderr: a line that changes on a terminal, lines in a pipe."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def saying(*, quiet: bool) -> Iterator[Callable[[str], None]]:
    """A callback for what is being done; `quiet` says nothing in a pipe."""
    from whichpod.report.console import err

    console = err()
    if console.is_terminal:
        with console.status("") as status:
            yield status.update
        return
    last = ""

    def say(text: str) -> None:
        nonlocal last
        # How many were sent changes too often to be a line each.
        if not quiet and text != last and not text.startswith("sending"):
            console.print(f"whichpod: {text}")
        last = text

    yield say
