from __future__ import annotations

import asyncio
import fcntl
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tests.cluster.conftest import alive, eventually
from whichpod.cluster.local.supervisor import Process, Supervisor
from whichpod.cluster.local.zygote import PREFIX, sweep
from whichpod.model.errors import LabError

SLEEP = ["/bin/sleep", "60"]


@asynccontextmanager
async def supervised() -> AsyncIterator[Supervisor]:
    supervisor = await Supervisor.start("test")
    try:
        yield supervisor
    finally:
        await supervisor.close()


def sh(supervisor: Supervisor, script: str, name: str = "child") -> Process:
    return supervisor.exec(name, ["/bin/sh", "-c", script], title=f"process {name}", env={"PATH": "/bin"})


def test_a_child_is_started_heard_of_and_its_output_kept() -> None:
    async def run() -> None:
        async with supervised() as supervisor:
            child = sh(supervisor, "echo one; echo two >&2; exit 3")
            assert await child.exited == 3
            assert child.pid > 0
            assert child.last_lines() == "one\ntwo"
            assert child.last_lines(1) == "two"
            assert child.how_it_ended() == "exited with status 3"

    asyncio.run(run())


def test_a_child_that_was_killed_says_by_what() -> None:
    async def run() -> None:
        async with supervised() as supervisor:
            child = supervisor.exec("child", SLEEP, title="it", env={})
            assert child.how_it_ended() == "is running"
            child.signal(signal.SIGKILL)
            assert await child.exited == -signal.SIGKILL
            assert child.how_it_ended() == "was killed by SIGKILL"

    asyncio.run(run())


def test_a_program_that_is_not_there() -> None:
    async def run() -> None:
        async with supervised() as supervisor:
            child = supervisor.exec("child", ["/nowhere/x"], title="it", env={})
            assert await child.exited == 127
            assert "/nowhere/x can't be started: No such file" in child.last_lines()

    asyncio.run(run())


def test_the_child_has_the_given_environment_only_and_ordinary_signals() -> None:
    async def run() -> None:
        async with supervised() as supervisor:
            script = "import os, signal; print(sorted(os.environ)); print(signal.getsignal(signal.SIGINT))"
            child = supervisor.exec("c", [sys.executable, "-I", "-c", script], title="", env={"LC_ALL": "C"})
            assert await child.exited == 0
            assert "['LC_ALL']" in child.last_lines()
            assert "default_int_handler" in child.last_lines()

    asyncio.run(run())


def test_closing_ends_everything_and_removes_the_folder() -> None:
    async def run() -> None:
        supervisor = await Supervisor.start("test")
        child = supervisor.exec("child", SLEEP, title="it", env={})
        # A child's own child dies with its group.
        family = sh(supervisor, "sleep 61 & echo $!; wait", "family")
        await eventually(lambda: family.last_lines(), "the grandchild's pid")
        pids = [child.pid, family.pid, int(family.last_lines()), supervisor.pid]
        assert all(map(alive, pids))
        assert supervisor.folder.is_dir()
        await supervisor.close()
        # The grandchild was killed too, but it is for others to reap it.
        await eventually(lambda: not any(map(alive, pids)), "the end of all processes")
        assert not supervisor.folder.exists()
        assert child.exited.cancelled()
        await supervisor.close()

    asyncio.run(run())


def test_what_has_left_its_parent_ends_with_the_run() -> None:
    async def run() -> None:
        async with supervised() as supervisor:
            log = supervisor.folder / "child.log"
            script = f"setsid sh -c 'echo $$; exec sleep 62' & until [ -s {log} ]; do sleep 0.01; done"
            child = sh(supervisor, script)
            assert await child.exited == 0
            orphan = int(child.last_lines())
            assert alive(orphan), "it is in a session of its own"
        await eventually(lambda: not alive(orphan), "its end")

    asyncio.run(run())


def test_what_a_child_has_started_ends_with_it() -> None:
    async def run() -> None:
        async with supervised() as supervisor:
            child = sh(supervisor, "sleep 63 & echo $!; exit 4")
            assert await child.exited == 4
            await eventually(lambda: not alive(int(child.last_lines())), "its end")

    asyncio.run(run())


def test_a_signal_to_all_of_a_process() -> None:
    async def run() -> None:
        async with supervised() as supervisor:
            child = sh(supervisor, "trap 'echo I heard' TERM; sleep 64 & echo $!; wait; wait; echo done")
            await eventually(lambda: child.last_lines(), "the grandchild's pid")
            grandchild = int(child.last_lines())
            child.signal(signal.SIGTERM)
            await eventually(lambda: "I heard" in child.last_lines(), "the shell's word")
            assert alive(grandchild)
            child.signal(signal.SIGTERM, all_of_it=True)
            assert await child.exited == 0
            await eventually(lambda: not alive(grandchild), "the grandchild's end")

    asyncio.run(run())


def test_a_child_with_the_descriptors_that_it_is_given() -> None:
    async def run() -> None:
        async with supervised() as supervisor:
            (stdin, to), (out, stdout) = os.pipe(), os.pipe()
            argv = ["/bin/sh", "-c", "read x; echo got $x; echo err $x >&2"]
            child = supervisor.exec("c", argv, title="c", env={}, descriptors=(stdin, stdout, stdout))
            for fd in (stdin, stdout):
                os.close(fd)
            os.write(to, b"this\n")
            assert await child.exited == 0
            assert os.read(out, 100) == b"got this\nerr this\n"
            assert os.read(out, 1) == b"", "nobody else holds the other end"
            for fd in (to, out):
                os.close(fd)
            assert not child.log.exists()

    asyncio.run(run())


def test_a_child_with_a_terminal_of_its_own() -> None:
    async def run() -> None:
        async with supervised() as supervisor:
            ours, theirs = os.openpty()
            argv = ["/bin/sh", "-c", "echo hello >/dev/tty; read x; echo not reached"]
            child = supervisor.exec("c", argv, title="c", env={}, descriptors=[theirs] * 3, terminal=True)
            os.close(theirs)
            assert os.read(ours, 100) == b"hello\r\n"
            os.write(ours, b"\x03")  # Ctrl-C
            assert await child.exited == -signal.SIGINT
            os.close(ours)

    asyncio.run(run())


def test_killing_the_zygote_ends_its_children_and_is_noticed() -> None:
    async def run() -> None:
        async with supervised() as supervisor:
            child = supervisor.exec("child", SLEEP, title="it", env={})
            await eventually(lambda: child.pid, "its start")
            os.kill(supervisor.pid, signal.SIGKILL)
            with pytest.raises(LabError, match="ended with SIGKILL"):
                await asyncio.wait_for(asyncio.shield(supervisor.broken), 10)
            await eventually(lambda: not alive(child.pid), "its end")
        assert not supervisor.folder.exists()

    asyncio.run(run())


RUN = """
import asyncio, sys
from whichpod.cluster.local.supervisor import Supervisor
async def main():
    s = await Supervisor.start("test")
    c = s.exec("child", ["/bin/sleep", "60"], title="", env={})
    while not c.pid:
        await asyncio.sleep(0.01)
    print(s.pid, c.pid, s.folder, flush=True)
    await asyncio.sleep(60)
asyncio.run(main())
"""


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_killing_the_run_leaves_nothing(number: int) -> None:
    run = subprocess.Popen([sys.executable, "-c", RUN], stdout=subprocess.PIPE, text=True)
    with run:
        assert run.stdout
        zygote, child, folder = run.stdout.readline().split()
        assert alive(int(child))
        run.send_signal(number)

    async def gone() -> None:
        await eventually(lambda: not alive(int(zygote)) and not alive(int(child)), "the processes' end")
        await eventually(lambda: not Path(folder).exists(), "the folder's end")

    asyncio.run(gone())


def test_ctrl_c_reaches_the_run_alone() -> None:
    async def run() -> None:
        async with supervised() as supervisor:
            child = supervisor.exec("child", SLEEP, title="it", env={})
            await eventually(lambda: child.pid, "its start")
            assert os.getpgid(supervisor.pid) != os.getpgid(0)
            assert os.getpgid(child.pid) != os.getpgid(0)
            os.kill(supervisor.pid, signal.SIGINT)
            other = sh(supervisor, "exit 0", "other")
            assert await other.exited == 0, "the zygote goes on"
            assert alive(child.pid)

    asyncio.run(run())


def test_folders_of_labs_that_nobody_could_remove_are_swept(tmp_path: Path) -> None:
    old, young, other = (tmp_path / n for n in (f"{PREFIX}old", f"{PREFIX}young", "other"))
    used = tmp_path / f"{PREFIX}used"
    for folder in (old, young, other, used):
        folder.mkdir()
        if folder is not young:
            os.utime(folder, (0, 0))
    lock = os.open(used, os.O_RDONLY)
    fcntl.flock(lock, fcntl.LOCK_EX)
    sweep(tmp_path)
    os.close(lock)
    assert {f for f in (old, young, other, used) if f.exists()} == {young, other, used}
