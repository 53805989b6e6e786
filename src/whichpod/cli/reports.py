"""The folder that --report names: checked before anything starts, written at the end."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from whichpod.model.errors import ExitCode, UsageError, WhichpodError


class OutputError(WhichpodError):
    """A result can't be written."""

    exit_code = ExitCode.FAILED


def check_folder(folder: Path | None) -> None:
    """Raises UsageError for what is no folder, or can't be made or written to."""
    if folder is None:
        return
    there = next(p for p in (folder, *folder.absolute().parents) if os.path.lexists(p))
    if not there.is_dir():
        raise UsageError(f"--report {there} is not a folder.", fix="Name a folder; it is made if need be.")
    if not os.access(there, os.W_OK | os.X_OK):
        raise UsageError(
            f"--report {folder} can't be written: permission denied for {there}.", fix="Name another folder."
        )


def write_all(folder: Path, files: dict[str, str]) -> None:
    """Writes a report's files into a folder, which is made if need be, and says so on stderr. A name with a
    slash is of a file in a folder in there, and only that folder is told.

    Raises OutputError for one that can't be written.
    """
    for name, text in files.items():
        write_file(folder / name, text)
    told = dict.fromkeys("".join(name.partition("/")[:2]) for name in files)
    print(f"Reports are in {folder}: {', '.join(told)}", file=sys.stderr)


def write_file(path: Path, text: str) -> None:
    """Writes one file, and makes its folder. Raises OutputError."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise OutputError(
            f"{path} can't be written: {error.strerror}.", fix="The run itself went through."
        ) from None
