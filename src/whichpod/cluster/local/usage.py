"""CPU time of processes, from the kernel's own counters."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from whichpod.model.errors import LabError
from whichpod.model.plan import Plan
from whichpod.model.report import Report
from whichpod.model.usage import ProcessUsage, Role, Usage

CLIENT = "client"
_PROC = Path("/proc")
_CPUCLOCK_SCHED = 2
_BUSY = (0, 1, 2, 5, 6)
"""Columns of a line of /proc/stat (proc_stat(5)) that are work: user, nice, system, irq, softirq."""


@dataclass(frozen=True, slots=True)
class Watched:
    """A process to be measured."""

    name: str
    role: Role
    pid: int


def cpu_seconds(pid: int) -> float:
    """User and system time of a process with all its threads, in ns precision, and of the children that it
    has waited for, in clock ticks.

    The clock is what clock_getcpuclockid(3) gives for a process; /proc/PID/stat has its counters in ticks.
    Raises ProcessLookupError where there is no such process.
    """
    try:
        own = time.clock_gettime((~pid << 3) | _CPUCLOCK_SCHED)
        fields = _fields(_PROC / str(pid) / "stat")
    except OSError as e:
        raise ProcessLookupError(pid) from e
    return own + (int(fields[13]) + int(fields[14])) / os.sysconf("SC_CLK_TCK")


def thread_seconds(pid: int) -> dict[int, float]:
    """User and system time of each thread of a process, in clock ticks; {} where there is no such process."""
    found = {}
    with contextlib.suppress(OSError):
        for task in (_PROC / str(pid) / "task").iterdir():
            with contextlib.suppress(OSError):
                fields = _fields(task / "stat")
                found[int(task.name)] = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    return found


def families(pids: Iterable[int]) -> dict[int, list[int]]:
    """Each process with its children, their children and so on."""
    below: dict[int, list[int]] = {}
    for pid, parent in _parents():
        below.setdefault(parent, []).append(pid)
    found = {}
    for pid in pids:
        family = [pid]
        for member in family:  # grows while it is walked
            family += below.get(member, ())
        found[pid] = family
    return found


class Meter:
    """Measures what a lab's processes use while the calling process, or its children, runs a client."""

    def __init__(self, watched: Iterable[Watched]) -> None:
        self._watched = list(watched)
        self._before: dict[int, float] = {}
        self._threads: dict[int, dict[int, float]] = {}
        self._mine = self._machine = self._began = 0.0

    def start(self) -> None:
        """Reads all counters. Raises LabError where a process has ended."""
        members = families(w.pid for w in self._watched)
        self._before = {w.pid: self._read(w, members[w.pid]) for w in self._watched}
        self._threads = {w.pid: thread_seconds(w.pid) for w in self._watched}
        self._mine, self._machine, self._began = cpu_seconds(os.getpid()), _machine_s(), time.monotonic()

    def stop(self, report: Report, plan: Plan) -> Usage:
        """What was used since `start`, by `report` for the client: it excludes its own starting and ending.

        Raises LabError where a process has ended meanwhile.
        """
        wall, machine = time.monotonic() - self._began, _machine_s() - self._machine
        mine = cpu_seconds(os.getpid()) - self._mine
        members = families(w.pid for w in self._watched)
        used = tuple(
            ProcessUsage(
                w.name, w.role, self._read(w, members[w.pid]) - self._before[w.pid], self._busiest(w.pid)
            )
            for w in self._watched
        )
        elsewhere = machine - mine - sum(p.cpu_s for p in used)
        load = report.saturation
        client = ProcessUsage(
            CLIENT, Role.CLIENT, load.cpu_s, max((w.cpu_s for w in load.workers), default=load.cpu_s)
        )
        return Usage(
            wall_s=report.duration_s + plan.warmup_s,
            processes=(client, *used),
            elsewhere_cores=max(elsewhere, 0.0) / wall,
            cpus=len(os.sched_getaffinity(0)),
        )

    def _busiest(self, pid: int) -> float:
        before = self._threads[pid]
        used = (s - before.get(thread, 0.0) for thread, s in thread_seconds(pid).items())
        return max(used, default=0.0)

    def _read(self, watched: Watched, members: list[int]) -> float:
        total = 0.0
        for pid in members:
            try:
                total += cpu_seconds(pid)
            except ProcessLookupError:
                if pid == watched.pid:
                    raise LabError(f"The {watched.name} ended while it was being measured.") from None
        return total


def _fields(stat: Path) -> list[str]:
    """The fields of /proc/PID/stat from the state on, which is number 3 in proc_pid_stat(5)."""
    return stat.read_text().rpartition(")")[2].split()


def _parents() -> Iterator[tuple[int, int]]:
    for entry in _PROC.iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                yield int(entry.name), int(_fields(entry / "stat")[1])


def _machine_s() -> float:
    """CPU seconds that the cores we may run on have worked since they started."""
    ours = {f"cpu{n}" for n in os.sched_getaffinity(0)}
    ticks = 0
    for line in (_PROC / "stat").read_text().splitlines():
        name, *columns = line.split()
        if name in ours:
            ticks += sum(int(columns[i]) for i in _BUSY)
    return ticks / os.sysconf("SC_CLK_TCK")
