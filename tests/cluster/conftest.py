"""Helpers for tests of clusters."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from pathlib import Path

import pytest


async def eventually(holds: Callable[[], object], what: str = "the condition", within_s: float = 10) -> None:
    """Polls until `holds()` is true; fails naming `what` when it never is."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + within_s
    while not holds():
        if loop.time() > deadline:
            pytest.fail(f"{what}: not within {within_s:g} s")
        await asyncio.sleep(0.01)


def alive(pid: int) -> bool:
    """Whether a process is there and is no zombie."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False
    return stat.rpartition(")")[2].split()[0] not in "ZX"


def with_marker(marker: str) -> list[int]:
    """The processes that have `marker` in their command line or environment, this one excepted."""
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        for name in ("cmdline", "environ"):
            try:
                text = (entry / name).read_bytes()
            except OSError:
                continue
            if marker.encode() in text and alive(int(entry.name)):
                found.append(int(entry.name))
                break
    return found
