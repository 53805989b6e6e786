"""CPU time by the kernel's counters, held against what a process knows of itself."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator

import pytest

from whichpod.cluster.local.usage import Meter, Watched, cpu_seconds, families
from whichpod.model.errors import LabError
from whichpod.model.plan import Plan
from whichpod.model.report import Report, Saturation
from whichpod.model.tally import Tally
from whichpod.model.target import Target
from whichpod.model.usage import Role

BURNER = """
import os, sys, time
def burn(s):
    end = time.process_time() + s
    while time.process_time() < end: pass
for line in sys.stdin:
    what, _, seconds = line.strip().partition(" ")
    if what == "burn": burn(float(seconds))
    if what == "child":
        if os.fork() == 0:
            burn(float(seconds))
            os._exit(0)
        os.wait()
    if what == "keep":
        if os.fork() == 0:
            os.close(1)
            time.sleep(60)
            os._exit(0)
    t = os.times()
    print(time.process_time(), t.children_user + t.children_system, flush=True)
"""


class Burner:
    """A process that uses CPU time when told, and tells how much it has used."""

    def __init__(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", BURNER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self.pid = self.process.pid

    def tell(self, what: str = "nothing") -> float:
        """Its own CPU seconds and those of children that it has waited for, after it has done `what`."""
        assert self.process.stdin
        assert self.process.stdout
        self.process.stdin.write(f"{what}\n")
        self.process.stdin.flush()
        return sum(map(float, self.process.stdout.readline().split()))

    def end(self) -> None:
        for family in families([self.pid]).values():
            for pid in family:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        self.process.communicate()


@pytest.fixture
def burner() -> Iterator[Burner]:
    made = Burner()
    yield made
    made.end()


@pytest.mark.parametrize("what", ["burn 0.2", "child 0.2"])
def test_a_process_has_used_what_it_says_itself(burner: Burner, what: str) -> None:
    before = burner.tell(what)
    assert before >= 0.19
    read = cpu_seconds(burner.pid)
    assert before <= read <= burner.tell()


def test_a_process_that_is_not_there() -> None:
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    with pytest.raises(ProcessLookupError):
        cpu_seconds(gone.pid)


def test_families_have_children_of_children(burner: Burner) -> None:
    burner.tell("keep")
    both = families([os.getpid(), burner.pid])
    assert len(both[burner.pid]) == 2
    assert set(both[burner.pid]) < set(both[os.getpid()])


def report(cpu_s: float) -> Report:
    return Report(Target("127.0.0.1:1"), Plan(), Tally(), saturation=Saturation(cpu_s=cpu_s), duration_s=2.0)


def test_a_meter_tells_what_was_used_in_between_and_no_more(burner: Burner) -> None:
    burner.tell("burn 0.1")
    burner.tell("keep")
    meter = Meter([Watched("a pod", Role.SERVER, burner.pid)])
    most = -burner.tell()
    meter.start()
    least = -burner.tell()
    least_used = least + burner.tell("burn 0.2")
    usage = meter.stop(report(0.5), Plan(warmup_s=1))
    most += burner.tell()
    client, pod = usage.processes
    assert (client.name, client.role, client.cpu_s) == ("client", Role.CLIENT, 0.5)
    assert (pod.name, pod.role) == ("a pod", Role.SERVER)
    # The child that it keeps has used next to nothing; its account begins with it.
    assert least_used <= pod.cpu_s <= most + 0.02
    assert usage.wall_s == 3.0
    assert usage.cores(3.0) == 1.0
    assert usage.cpus == len(os.sched_getaffinity(0))
    assert usage.cpu_s(Role.SERVER) == pod.cpu_s
    assert usage.cpu_s(Role.PROXY) == 0


def test_what_others_use_is_told_apart(burner: Burner) -> None:
    meter = Meter([])
    meter.start()
    burner.tell("burn 0.5")
    busy = meter.stop(report(0.0), Plan())
    assert busy.elsewhere_cores > 0
    assert [p.name for p in busy.processes] == ["client"]


def test_a_process_that_ends_meanwhile_is_an_error(burner: Burner) -> None:
    meter = Meter([Watched("a pod", Role.SERVER, burner.pid)])
    meter.start()
    burner.end()
    with pytest.raises(LabError, match="The a pod ended while"):
        meter.stop(report(0.0), Plan())
