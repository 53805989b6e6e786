"""The process that all of a lab's processes descend from.

    python -m whichpod.cluster.local.zygote CONTROL,DESCRIPTORS

It has one thread and never uses gRPC, so a pod can be forked from it in a millisecond with everything
imported. It owns the lab's temporary folder and watches over its children:

- CONTROL is one end of a socket pair with the run. Its end of file means that the run is over, however that
  came about: the children are killed, the folder is removed.
- Every child dies with the zygote (PR_SET_PDEATHSIG), so nothing is left when it is killed itself. What a
  child has started goes with that child; what has left its process group comes back to the zygote as an
  orphan (PR_SET_CHILD_SUBREAPER) and ends with it.

Both directions speak JSON, an object per line. Commands are `exec`, `fork`, `signal` and `quit`; events are
`hello` (the folder), `started`, `exited` and `line` (something that a forked child reports). DESCRIPTORS is a
SOCK_SEQPACKET pair: a message with three descriptors comes before an `exec` that says it has `descriptors`,
which are to be its stdin, stdout and stderr.
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import gc
import json
import os
import resource
import selectors
import shutil
import signal
import socket
import sys
import tempfile
import termios
import time
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER = 1, 36
KILL_DEADLINE_S = 5.0
PREFIX = "whichpod-lab-"
_YOUNG_S = 60.0
"""A folder may be without its lock for a moment after it was made."""
_CANNOT_START = 127


@dataclass(slots=True)
class _Child:
    name: str
    pid: int
    report: int | None = None
    """Our end of the pipe on which a forked child reports."""
    pending: bytes = b""


class Zygote:
    """The loop that obeys commands and tells events."""

    descriptors: socket.socket
    """Set before it runs."""

    def __init__(self, control: socket.socket, folder: Path) -> None:
        self._control = control
        self._folder = folder
        self._children: dict[int, _Child] = {}
        self.selector = selectors.DefaultSelector()
        self._buffer = b""
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._pid = os.getpid()
        self._wake, self._wake_in = os.pipe()
        os.set_blocking(self._wake_in, False)

    def run(self) -> None:
        """Serves until `quit` or the end of the run, then leaves nothing behind."""
        # Ctrl-C reaches all of the terminal's foreground group; the run alone decides what it means.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        self._libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
        signal.set_wakeup_fd(self._wake_in, warn_on_full_buffer=False)
        self.selector.register(self._control, selectors.EVENT_READ, self._obey)
        self.selector.register(self._wake, selectors.EVENT_READ, self._reap)
        try:
            self._tell(event="hello", folder=str(self._folder))
            while True:
                for key, _ in self.selector.select():
                    if key.fileobj in self.selector.get_map():  # an earlier one may have closed it
                        key.data()
        except RunIsOver:
            pass
        finally:
            self._leave_nothing()

    # Commands

    def _obey(self) -> None:
        try:
            data = self._control.recv(1 << 20)
        except ConnectionError:
            data = b""
        if not data:
            raise RunIsOver
        *lines, self._buffer = (self._buffer + data).split(b"\n")
        for line in lines:
            command = json.loads(line)
            match command["op"]:
                case "exec":
                    self._start(command)
                case "fork":
                    _prepare()
                    self._start(command, os.pipe())
                case "signal":
                    self._signal(command["name"], command["signal"], os.killpg if command["all"] else os.kill)
                case "quit":
                    raise RunIsOver

    def _start(self, command: dict[str, Any], report: tuple[int, int] | None = None) -> None:
        name = command["name"]
        ours, theirs = report or (None, None)
        given = socket.recv_fds(self.descriptors, 1, 3)[1] if command.get("descriptors") else []
        pid = os.fork()
        if pid == 0:
            self._become(command, ours, theirs, given)
        for fd in (*given, *([] if theirs is None else [theirs])):
            os.close(fd)
        child = self._children[pid] = _Child(name, pid, ours)
        if ours is not None:
            self.selector.register(ours, selectors.EVENT_READ, lambda: self._relay(child))
        self._tell(event="started", name=name, pid=pid)

    def _signal(self, name: str, number: int, kill: Callable[[int, int], None]) -> None:
        for child in self._children.values():
            if child.name == name:
                with contextlib.suppress(ProcessLookupError):
                    kill(child.pid, number)

    # In the child

    def _become(
        self, command: dict[str, Any], read: int | None, report: int | None, given: list[int]
    ) -> NoReturn:
        code = _CANNOT_START
        try:
            self._libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
            if os.getppid() != self._pid:  # it died before the line above took effect
                os._exit(_CANNOT_START)
            os.setsid() if command.get("terminal") else os.setpgid(0, 0)
            signal.set_wakeup_fd(-1)
            for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGCHLD, signal.SIGPIPE):
                signal.signal(number, signal.SIG_DFL)
            _redirect(given or _logged(command["log"]))
            if command.get("terminal"):
                fcntl.ioctl(0, termios.TIOCSCTTY, 0)
            self._close_ours(read)
            self.settle(command)
            os.environ.clear()
            os.environ.update(command["env"])
            if command.get("cwd"):
                os.chdir(command["cwd"])
            code = self._exec(command) if report is None else self._fork(command, report)
        except SystemExit as e:
            code = e.code if isinstance(e.code, int) else 1
        except BaseException:
            traceback.print_exc()
        finally:
            with contextlib.suppress(Exception):
                sys.stdout.flush()
                sys.stderr.flush()
            os._exit(code)

    def settle(self, command: Mapping[str, Any]) -> None:
        """In a child, before it becomes what the command says: moves where that is to run."""

    def _close_ours(self, read: int | None) -> None:
        # The control socket in a child's hands would hide the zygote's end from the run.
        self.selector.close()
        self._control.close()
        self.descriptors.close()
        for fd in (self._wake, self._wake_in, read, *(c.report for c in self._children.values())):
            if fd is not None:
                os.close(fd)

    @staticmethod
    def _exec(command: dict[str, Any]) -> int:
        argv = command["argv"]
        try:
            os.execve(argv[0], argv, command["env"])  # noqa: S606
        except OSError as e:
            print(f"{argv[0]} can't be started: {e.strerror}", file=sys.stderr)
        return _CANNOT_START

    @staticmethod
    def _fork(command: dict[str, Any], report: int) -> int:
        from whichpod.cluster.local.children import ENTRIES

        # As any Python: a peer that is gone is an error of the write, not the end of the server.
        signal.signal(signal.SIGPIPE, signal.SIG_IGN)
        return ENTRIES[command["entry"]](command["payload"], report)

    # Events

    def _tell(self, **event: object) -> None:
        try:
            self._control.sendall(json.dumps(event).encode() + b"\n")
        except OSError:
            raise RunIsOver from None

    def _relay(self, child: _Child) -> None:
        if child.report is None:
            return
        data = os.read(child.report, 1 << 20)
        *lines, child.pending = (child.pending + data).split(b"\n")
        for line in lines:
            self._tell(event="line", name=child.name, line=line.decode())
        if not data:
            self.selector.unregister(child.report)
            os.close(child.report)
            child.report = None

    def _reap(self) -> None:
        os.read(self._wake, 1 << 16)
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            child = self._children.pop(pid, None)
            if child is None:  # an orphan's end is nobody's news
                continue
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(pid, signal.SIGKILL)  # as a container's processes go with its first one
            while child.report is not None:  # what it said last comes before its end
                self._relay(child)
            self._tell(event="exited", name=child.name, code=os.waitstatus_to_exitcode(status))

    # The end

    def _leave_nothing(self) -> None:
        deadline, killed = time.monotonic() + KILL_DEADLINE_S, set[int]()
        while time.monotonic() < deadline:
            # Those whose parents end first become ours meanwhile.
            for pid in {*self._children, *_own_children()} - killed:
                killed.add(pid)
                for kill in (os.killpg, os.kill):  # its group has the children that it may have started
                    with contextlib.suppress(ProcessLookupError, PermissionError):
                        kill(pid, signal.SIGKILL)
            try:
                os.waitpid(-1, 0)
            except ChildProcessError:
                break
        shutil.rmtree(self._folder, ignore_errors=True)
        self._control.close()


def _logged(log: str) -> list[int]:
    """Descriptors for a process whose output goes to a file."""
    nothing = os.open(os.devnull, os.O_RDONLY)
    written = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    return [nothing, written, os.dup(written)]


def _redirect(descriptors: list[int]) -> None:
    for target, fd in enumerate(descriptors):
        os.dup2(fd, target)
        os.close(fd)


def _own_children() -> set[int]:
    """Our children's ids, orphans that became ours included; none where the kernel doesn't list them."""
    with contextlib.suppress(OSError):
        return set(map(int, Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()))
    return set()


class RunIsOver(Exception):  # noqa: N818
    """The run asked for the end, or is gone."""


_prepared = False


def _prepare() -> None:
    """Imports what forked children need, once."""
    global _prepared
    if _prepared:
        return
    from whichpod.cluster.local import children

    children.prepare()
    # What is here now is shared with every child; a collection in a child would copy it.
    gc.collect()
    gc.freeze()
    _prepared = True


def new_folder() -> Path:
    """A folder for a lab, locked for as long as this process or a child of it lives."""
    sweep(Path(tempfile.gettempdir()))
    folder = Path(tempfile.mkdtemp(prefix=PREFIX))
    fcntl.flock(os.open(folder, os.O_RDONLY), fcntl.LOCK_EX)
    return folder


def sweep(where: Path) -> None:
    """Removes the folders of labs that were killed together with their run, so that nobody could."""
    for folder in where.glob(f"{PREFIX}*"):
        with contextlib.suppress(OSError):
            status = folder.stat()
            if status.st_uid != os.geteuid() or time.time() - status.st_mtime < _YOUNG_S:
                continue
            fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(folder, ignore_errors=True)
            finally:
                os.close(fd)


def main(make: Callable[[socket.socket, Path], Zygote] = Zygote) -> None:
    """Runs a zygote on the sockets whose numbers are the first argument."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    control, descriptors = (socket.socket(fileno=int(number)) for number in sys.argv[1].split(","))
    for own in (control, descriptors):
        own.set_inheritable(False)
    zygote = make(control, new_folder())
    zygote.descriptors = descriptors
    zygote.run()
    os._exit(0)  # what Python would tidy up now, the kernel does faster


if __name__ == "__main__":
    main()
