"""Processes forked from one that has whichpod imported: they start in hundredths of a second.

They run the `main` of the module that `python -m` would run, with arguments, environment, descriptors and
signals of their own. What differs: they have the name of the process that they are forked from, and no
end of an interpreter.
"""

from __future__ import annotations

import atexit
import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import IO, Any

from tests.forked import MAINS, MOST

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
PIPE, DEVNULL, STDOUT = subprocess.PIPE, subprocess.DEVNULL, subprocess.STDOUT


@dataclass(slots=True, eq=False)
class Forked:
    """One process, as subprocess.Popen has it as far as it is needed here."""

    stdin: IO[bytes] | None = None
    stdout: IO[bytes] | None = None
    stderr: IO[bytes] | None = None
    pid: int = 0
    returncode: int | None = None
    _started: threading.Event = field(default_factory=threading.Event)
    _ended: threading.Event = field(default_factory=threading.Event)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def poll(self) -> int | None:
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """Raises TimeoutExpired."""
        if not self._ended.wait(timeout):
            raise subprocess.TimeoutExpired("", timeout or 0)
        assert self.returncode is not None
        return self.returncode

    def send_signal(self, number: int) -> None:
        # Its number is its own until we are told that it ended.
        with self._lock:
            if self.returncode is None:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(self.pid, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


class Forks:
    """The process that they are forked from; it starts with the first of them."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._control: socket.socket | None = None
        self._parent: subprocess.Popen[bytes] | None = None
        self._starting: dict[int, Forked] = {}
        self._running: dict[int, Forked] = {}
        self._count = 0

    def start(
        self,
        module: str,
        arguments: Sequence[str],
        environment: Mapping[str, str],
        *,
        stdin: Any = DEVNULL,
        stdout: Any = PIPE,
        stderr: Any = STDOUT,
        pass_fds: Sequence[int] = (),
        session: bool = False,
        folder: str = ROOT,
    ) -> Forked:
        """As `python -m MODULE`."""
        process = Forked()
        with contextlib.ExitStack() as theirs:
            given: list[int] = []
            for name, what in (("stdin", stdin), ("stdout", stdout), ("stderr", stderr)):
                if what == PIPE:
                    read, write = os.pipe()
                    ours, fd = (write, read) if name == "stdin" else (read, write)
                    theirs.callback(os.close, fd)
                    setattr(process, name, os.fdopen(ours, "wb" if name == "stdin" else "rb"))
                elif what == DEVNULL:
                    fd = os.open(os.devnull, os.O_RDWR)
                    theirs.callback(os.close, fd)
                elif what == STDOUT:
                    fd = given[1]
                elif what is None:
                    fd = ("stdin", "stdout", "stderr").index(name)
                else:
                    fd = what if isinstance(what, int) else what.fileno()
                given.append(fd)
            self._send(
                process, [*given, *pass_fds], module=module, arguments=list(arguments),
                environment=dict(environment), numbers=list(pass_fds), session=session, folder=folder,
            )  # fmt: skip
        process._started.wait()
        return process

    def _send(self, process: Forked, descriptors: Sequence[int], **command: object) -> None:
        with self._lock:
            control = self._control or self._begin()
            self._count += 1
            self._starting[self._count] = process
            said = json.dumps({"number": self._count, **command}).encode()
            assert len(said) < MOST
            socket.send_fds(control, [said], descriptors)

    def close(self) -> None:
        with self._lock:
            control, parent = self._control, self._parent
            self._control = None
        if control and parent:
            control.shutdown(socket.SHUT_RDWR)
            parent.wait()
            control.close()

    def _begin(self) -> socket.socket:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            command = [sys.executable, "-m", "tests.forked", str(theirs.fileno())]
            self._parent = subprocess.Popen(command, pass_fds=[theirs.fileno()], cwd=ROOT)
        self._control = ours
        threading.Thread(target=self._hear, args=(ours,), daemon=True).start()
        atexit.register(self.close)
        return ours

    def _hear(self, control: socket.socket) -> None:
        while data := control.recv(MOST):
            said = json.loads(data)
            if "number" in said:
                with self._lock:
                    process = self._starting.pop(said["number"])
                    self._running[said["pid"]] = process
                process.pid = said["pid"]
                process._started.set()
                continue
            with self._lock:
                process = self._running.pop(said["pid"])
            with process._lock:
                process.returncode = said["code"]
            process._ended.set()


FORKS = Forks()
"""Of this run of the tests."""


def popen(
    argv: Sequence[str],
    *,
    stdin: Any = None,
    stdout: Any = None,
    stderr: Any = None,
    env: Mapping[str, str] | None = None,
    pass_fds: Sequence[int] = (),
    start_new_session: bool = False,
) -> Forked | subprocess.Popen[bytes]:
    """subprocess.Popen, which forks where the command is a module that it can fork."""
    own = argv[0] == sys.executable and "-m" in argv[1:3]
    module, arguments = (
        (argv[list(argv).index("-m") + 1], argv[list(argv).index("-m") + 2 :]) if own else ("", ())
    )
    if module not in MAINS:
        return subprocess.Popen(
            argv, stdin=stdin, stdout=stdout, stderr=stderr, env=env, pass_fds=pass_fds,
            start_new_session=start_new_session,
        )  # fmt: skip
    return FORKS.start(
        module, arguments, os.environ if env is None else env, stdin=stdin, stdout=stdout, stderr=stderr,
        pass_fds=pass_fds, session=start_new_session, folder=os.getcwd(),
    )  # fmt: skip


FORKING = SimpleNamespace(**vars(subprocess) | {"Popen": popen})
"""The module `subprocess`, with that."""
