"""Rounds, ratios, and how they are printed."""

from __future__ import annotations

import os
import platform
import re
import shutil
import statistics
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from whichpod.version import __version__

Sample = Callable[[], float]
TICK_S = 1 / os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Settings:
    """How much is run."""

    rounds: int
    requests: int


def machine() -> str:
    """What it ran on."""
    parts = [
        f"whichpod {__version__}",
        f"Python {platform.python_version()}",
        f"grpcio {version('grpcio')}",
        f"{platform.system()} {platform.release()} {platform.machine()}",
        f"{len(os.sched_getaffinity(0))} CPUs",
    ]
    for tool in ("h2load", "nghttpd"):
        found = shutil.which(tool)
        if found:
            said = subprocess.run([found, "--version"], capture_output=True, text=True).stdout
            parts.append(said.strip().replace(" nghttp2/", " "))
    return ", ".join(parts)


def interleaved(sides: Mapping[str, Sample], rounds: int) -> dict[str, list[float]]:
    """Each side's samples, a round of all after a round of all. The first round only warms up."""
    found: dict[str, list[float]] = {name: [] for name in sides}
    for i in range(rounds + 1):
        for name, sample in sides.items():
            value = sample()
            if i:
                found[name].append(value)
    return found


def show(found: Mapping[str, list[float]], unit: str = "us CPU per RPC") -> None:
    """Median and range of each side."""
    width = max(map(len, found))
    for name, values in found.items():
        print(
            f"  {name:<{width}}  {statistics.median(values):9.2f} {unit}"
            f"  ({min(values):.2f} to {max(values):.2f})",
            flush=True,
        )


def ratio(what: str, ours: list[float], theirs: list[float], most: float | None = None) -> bool:
    """Prints ours by theirs: the ratio of the medians, and the range over the rounds; whether it is at most
    what is asked for."""
    by_round = [a / b for a, b in zip(ours, theirs, strict=True)]
    value = statistics.median(ours) / statistics.median(theirs)
    asked = "" if most is None else f", asked at most {most:g}{'' if value <= most else ': FAR'}"
    print(f"  {what}: {value:.2f} ({min(by_round):.2f} to {max(by_round):.2f}){asked}", flush=True)
    return most is None or value <= most


def held(what: str, value: float, *, most: float | None = None, least: float | None = None) -> bool:
    """Prints a figure and what is asked of it; whether it is met."""
    met = (most is None or value <= most) and (least is None or value >= least)
    asked = f"at most {most:,g}" if most is not None else f"at least {least:,g}"
    print(f"  {what}: {value:,.2f}, asked {asked}{'' if met else ': FAR'}", flush=True)
    return met


def cpu_of(pid: int) -> float:
    """CPU seconds that a process has used so far, its threads included (proc(5), stat)."""
    text = Path(f"/proc/{pid}/stat").read_text()
    fields = text.rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) * TICK_S


def rss_of(pid: int) -> int:
    """Resident bytes of a process (proc(5), status)."""
    found = re.search(r"VmRSS:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    assert found
    return int(found[1]) * 1024
