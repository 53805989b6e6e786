"""Processes forked from one that has whichpod imported: a pod starts in hundredths of a second."""

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
from typing import IO

from tests.kubernetes.standin.forked import MOST


@dataclass(slots=True, eq=False)
class Forked:
    """One process. As subprocess.Popen, as far as a kubelet needs it."""

    stdout: IO[str]
    pid: int = 0
    returncode: int | None = None
    _started: threading.Event = field(default_factory=threading.Event)
    _ended: threading.Event = field(default_factory=threading.Event)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def poll(self) -> int | None:
        return self.returncode

    def wait(self, timeout_s: float | None = None) -> int:
        """Raises TimeoutError."""
        if not self._ended.wait(timeout_s):
            raise TimeoutError
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

    def start(self, module: str, arguments: Sequence[str], environment: Mapping[str, str]) -> Forked:
        read, write = os.pipe()
        process = Forked(os.fdopen(read, encoding="utf-8", errors="replace"))
        try:
            with self._lock:
                control = self._control or self._begin()
                self._count += 1
                self._starting[self._count] = process
                said = json.dumps([self._count, module, list(arguments), dict(environment)]).encode()
                assert len(said) < MOST
                socket.send_fds(control, [said], [write])
        finally:
            os.close(write)
        process._started.wait()
        return process

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
            command = [sys.executable, "-m", "tests.kubernetes.standin.forked", str(theirs.fileno())]
            self._parent = subprocess.Popen(command, pass_fds=[theirs.fileno()], cwd=_ROOT)
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


_ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))
FORKS = Forks()
"""Of this run of the tests."""
