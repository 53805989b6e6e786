"""The run's side of a zygote: starts processes through it and hears of their ends."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import IO, Any

from whichpod.model.errors import LabError

_LONGEST_LINE = 256 << 20
"""Bytes of the longest event: the report of a client that had many thousand connections."""
_HELLO_S = 20.0
_END_S = 10.0
_LAST_LINES = 5
_TAIL = 8192


class Process:
    """A process of the lab."""

    def __init__(self, supervisor: Supervisor, name: str, title: str, log: Path) -> None:
        self._supervisor = supervisor
        self.name = name
        """Unique in the lab."""
        self.title = title
        """As a person calls it: `pod echo-0`."""
        self.log = log
        self.pid = 0
        """0 until it has started."""
        self.begun = asyncio.Event()
        """Set once it has started."""
        self.exited: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        """The exit status, negative for a signal. Cancelled when the lab ends first."""
        self.on_line: Callable[[str], None] | None = None

    def signal(self, number: int, *, all_of_it: bool = False) -> None:
        """Sends a signal; none where it has ended. `all_of_it`: to the processes that it has started too."""
        if not self.exited.done():
            self._supervisor.send(op="signal", name=self.name, signal=number, all=all_of_it)

    def last_lines(self, most: int = _LAST_LINES) -> str:
        """What it wrote last, at most that many lines; empty where it wrote nothing."""
        try:
            with self.log.open("rb") as file:
                file.seek(max(0, self.log.stat().st_size - _TAIL))
                text = file.read().decode(errors="replace")
        except OSError:
            return ""
        return "\n".join(text.strip().splitlines()[-most:])

    def how_it_ended(self) -> str:
        """`exited with status 1`, `was killed by SIGKILL`, or that it still runs."""
        if not self.exited.done() or self.exited.cancelled():
            return "is running"
        code = self.exited.result()
        if code >= 0:
            return f"exited with status {code}"
        with contextlib.suppress(ValueError):
            return f"was killed by {signal.Signals(-code).name}"
        return f"was killed by signal {-code}"

    def wrote(self) -> str:
        """Its last lines, introduced, for the end of an error message; empty where there are none."""
        lines = self.last_lines()
        return f" It wrote last:\n{lines}" if lines else " It wrote nothing."

    def told(self, event: Mapping[str, Any]) -> None:
        """Takes an event about this process."""
        if event["event"] == "started":
            self.pid = event["pid"]
            self.begun.set()
        elif event["event"] == "line" and self.on_line:
            self.on_line(event["line"])
        elif event["event"] == "exited" and not self.exited.done():
            self.exited.set_result(event["code"])


class Supervisor:
    """A zygote and the processes that it has started. Use `start`, and `close` when done."""

    def __init__(
        self,
        popen: subprocess.Popen[bytes],
        errors: IO[bytes],
        control: socket.socket,
        descriptors: socket.socket,
    ) -> None:
        self._popen = popen
        self._errors = errors
        self._control = control
        self._descriptors = descriptors
        self._writer: asyncio.StreamWriter | None = None
        self._reading: asyncio.Task[None] | None = None
        self._processes: dict[str, Process] = {}
        self._closing = False
        self.folder = Path()
        self.broken: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        """Fails with a LabError when the zygote ends before its time."""
        self.broken.add_done_callback(lambda f: f.cancelled() or f.exception())

    @property
    def pid(self) -> int:
        """The zygote's process id."""
        return self._popen.pid

    @classmethod
    async def start(
        cls, marker: str, module: str = "whichpod.cluster.local.zygote", extra: Sequence[socket.socket] = ()
    ) -> Supervisor:
        """Starts a zygote; `marker` goes on its command line, for people who look at a process list.

        `module` is what runs, and `extra` are sockets that it gets besides the one for commands, by number
        after the marker. Raises LabError.
        """
        ours, theirs = socket.socketpair()
        descriptors, their_descriptors = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        errors = tempfile.TemporaryFile()  # noqa: SIM115  # without a name, so it can't stay behind
        try:
            popen = subprocess.Popen(  # noqa: ASYNC220
                [
                    sys.executable,
                    "-P",
                    "-m",
                    module,
                    f"{theirs.fileno()},{their_descriptors.fileno()}",
                    marker,
                    *(str(e.fileno()) for e in extra),
                ],
                pass_fds=[s.fileno() for s in (theirs, their_descriptors, *extra)],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=errors,
                start_new_session=True,
                env=without_proxies(),
            )
        except OSError as e:
            for made in (ours, descriptors, errors):
                made.close()
            raise LabError(f"The lab's first process can't be started: {e.strerror}.") from None
        finally:
            theirs.close()
            their_descriptors.close()
        ours.setblocking(False)
        descriptors.setblocking(False)
        self = cls(popen, errors, ours, descriptors)
        try:
            async with asyncio.timeout(_HELLO_S):
                reader, self._writer = await asyncio.open_connection(sock=ours, limit=_LONGEST_LINE)
                hello = await reader.readline()
            if not hello:
                raise self._ended_early()
        except TimeoutError:
            await self.close()
            raise LabError(f"The lab's first process did not come up within {_HELLO_S:g} s.") from None
        except BaseException:
            await self.close()
            raise
        self.folder = Path(json.loads(hello)["folder"])
        self._reading = asyncio.create_task(self._read(reader))
        return self

    def exec(
        self,
        name: str,
        argv: Sequence[str],
        *,
        title: str,
        env: Mapping[str, str],
        cwd: Path | None = None,
        network: str = "",
        descriptors: Sequence[int] = (),
        terminal: bool = False,
    ) -> Process:
        """Starts a program: `argv[0]` is its absolute path. Its output goes to a log in the lab's folder.

        `network` names the network that it is to live in; empty: the zygote's own. `descriptors` are its
        stdin, stdout and stderr, where they are given; with `terminal` they are one that is to be its own.
        Raises LabError where they can't be handed over.
        """
        if descriptors:
            try:
                socket.send_fds(self._descriptors, [b"+"], list(descriptors))
            except OSError as e:
                raise LabError(f"The {title} can't be given its input and output: {e.strerror}.") from None
        return self._start(
            name, title, op="exec", argv=list(argv), env=env, cwd=str(cwd) if cwd else None, network=network,
            descriptors=bool(descriptors), terminal=terminal,
        )  # fmt: skip

    def fork(
        self,
        name: str,
        entry: str,
        payload: Mapping[str, Any],
        *,
        title: str,
        env: Mapping[str, str],
        network: str = "",
    ) -> Process:
        """Starts one of `children.ENTRIES` in a process forked from the zygote; `network` as for `exec`."""
        return self._start(name, title, op="fork", entry=entry, payload=payload, env=env, network=network)

    def _start(self, name: str, title: str, **command: object) -> Process:
        process = self._processes[name] = Process(self, name, title, self.folder / f"{name}.log")
        self.send(name=name, log=str(process.log), **command)
        return process

    def send(self, **command: object) -> None:
        """Sends a command to the zygote."""
        if self._writer and not self._writer.is_closing():
            self._writer.write(json.dumps(command).encode() + b"\n")

    async def _read(self, reader: asyncio.StreamReader) -> None:
        with contextlib.suppress(ConnectionError):
            while line := await reader.readline():
                event = json.loads(line)
                process = self._processes.get(event["name"])
                if process:
                    process.told(event)
                    if event["event"] == "exited":
                        del self._processes[event["name"]]
        if not self._closing:
            self.broken.set_exception(self._ended_early())
            for process in self._processes.values():
                if process.pid:
                    with contextlib.suppress(OSError):  # what it has started has nobody left to end it
                        os.killpg(process.pid, signal.SIGKILL)
                process.told({"event": "exited", "code": -signal.SIGKILL})  # PR_SET_PDEATHSIG

    def _ended_early(self) -> LabError:
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._popen.wait(1)
        code = self._popen.returncode
        how = "closed its pipe" if code is None else f"ended with {_status(code)}"
        self._errors.seek(0)
        said = self._errors.read().decode(errors="replace").strip().splitlines()[-_LAST_LINES:]
        return LabError(
            f"The process that all of the lab's processes descend from {how}, and they with it."
            + "".join(f"\n{line}" for line in said),
            fix="Run it again. Where something on this machine ends processes (a memory limit?), look there.",
        )

    async def close(self) -> None:
        """Ends every process and removes the folder. Safe to call twice, and after the zygote's own end."""
        self._closing = True
        self.send(op="quit")
        if self._reading:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_END_S):
                    await asyncio.shield(self._reading)
            self._reading.cancel()
        if self._writer:
            self._writer.close()
        self._control.close()
        self._descriptors.close()
        try:
            # It has closed its end already, or does so as soon as it has come up and sees that ours is.
            self._popen.wait(_END_S)
        except subprocess.TimeoutExpired:
            self._popen.kill()
            self._popen.wait()
        self._errors.close()
        if self.folder != Path():
            shutil.rmtree(self.folder, ignore_errors=True)
        self.broken.cancel()
        for process in self._processes.values():
            process.exited.cancel()
        self._processes.clear()


def _status(code: int) -> str:
    if code >= 0:
        return f"status {code}"
    return signal.Signals(-code).name if -code in set(signal.Signals) else f"signal {-code}"


def without_proxies() -> dict[str, str]:
    """Our environment without what would send the lab's traffic elsewhere: gRPC obeys proxy variables."""
    return {k: v for k, v in os.environ.items() if not k.lower().endswith("_proxy")}
