"""Folders that kustomize builds: through `kubectl kustomize`, or kustomize itself."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
from pathlib import Path

from whichpod.model.errors import MissingToolError, UsageError

NAMES = ("kustomization.yaml", "kustomization.yml", "Kustomization")
ORIGIN = "config.kubernetes.io/origin"
"""The annotation that says which file an object came from, where `buildMetadata` asks for it."""
TIMEOUT_S = 60.0
"""How long a build may take. A base that is fetched from elsewhere takes most of it."""


def is_kustomization(folder: Path) -> bool:
    """Whether kustomize builds a folder."""
    return any((folder / name).is_file() for name in NAMES)


def build(folder: Path, *, timeout_s: float = TIMEOUT_S) -> str:
    """What kustomize makes of a folder, as YAML text.

    Raises MissingToolError without a program that builds it, UsageError with the builder's own words.
    """
    command = _command(folder)
    try:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            start_new_session=True,
        )  # fmt: skip
    except OSError as e:
        raise UsageError(f"{command[0]} can't be started: {e.strerror or e}.") from None
    try:
        out, err = process.communicate(timeout=timeout_s)
    except subprocess.TimeoutExpired:
        raise UsageError(
            f"{folder}: {' '.join(command)} has not ended within {timeout_s:g} s.",
            fix="Does it fetch a base from elsewhere? Build it once, and give what comes out.",
        ) from None
    finally:
        # What it has started goes too: git, while it fetches.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
    if process.returncode:
        said = err.decode(errors="replace").strip().removeprefix("error: ").removeprefix("Error: ")
        raise UsageError(
            f"{folder}: kustomize can't build it: {said or f'exit status {process.returncode}'}."
        )
    return out.decode(errors="replace")


def _command(folder: Path) -> list[str]:
    if tool := shutil.which("kubectl"):
        return [tool, "kustomize", str(folder)]
    if tool := shutil.which("kustomize"):
        return [tool, "build", str(folder)]
    raise MissingToolError(
        f"{folder} has a kustomization, whose build",
        "kubectl",
        "Install kubectl or kustomize, or give the files.",
    )
