"""`python -m tests.forked FD`: forks processes of this package, which is imported already.

FD is one end of a socket pair (SOCK_SEQPACKET). A message is the module that is to run as a program, its
arguments, its environment and its folder as JSON, with its descriptors: stdin, stdout, stderr and those that
keep their numbers. What comes back is its number, and later how it ended. The end of file ends all of them.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import importlib
import json
import os
import selectors
import signal
import socket
import sys
import traceback
from typing import Any, NoReturn

MOST = 1 << 20
MOST_DESCRIPTORS = 16
_PR_SET_PDEATHSIG = 1
MAINS = {
    "whichpod": "whichpod.__main__",
    "whichpod.cluster.kubernetes.inside": "whichpod.cluster.kubernetes.inside",
    "whichpod.cluster.local.zygote": "whichpod.cluster.local.zygote",
    "whichpod.load.worker": "whichpod.load.worker",
}
"""What can be run, and where its `main` is."""
_BEFORE = (
    "whichpod.cli.main", "whichpod.cli.serve", "whichpod.echo.run", "whichpod.echo.server",
    "whichpod.echo.fast.server", "whichpod.probe.run", "whichpod.load.run",
    "whichpod.cluster.kubernetes.gate", "whichpod.cluster.kubernetes.result",
    "whichpod.cluster.kubernetes.task", *MAINS.values(),
)  # fmt: skip


def main() -> None:
    control = socket.socket(fileno=int(sys.argv[1]))
    for name in _BEFORE:
        importlib.import_module(name)
    gc.collect()
    gc.freeze()
    # Who is interrupted tells us so itself, by the end of file.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # What started us may have held signals back meanwhile, and those forked from us would inherit that.
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    wake, wake_in = os.pipe()
    os.set_blocking(wake_in, False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(wake_in, warn_on_full_buffer=False)
    selector = selectors.DefaultSelector()
    selector.register(control, selectors.EVENT_READ)
    selector.register(wake, selectors.EVENT_READ)
    while True:
        for key, _ in selector.select():
            if key.fd == wake:
                os.read(wake, 4096)
                _reap(control)
            elif not _obey(control):
                os._exit(0)


def _obey(control: socket.socket) -> bool:
    data, descriptors, *_ = socket.recv_fds(control, MOST, MOST_DESCRIPTORS)
    if not data:
        return False
    command = json.loads(data)
    parent = os.getpid()
    pid = os.fork()
    if pid == 0:
        _become(parent, descriptors, command)
    for descriptor in descriptors:
        os.close(descriptor)
    _tell(control, {"number": command["number"], "pid": pid})
    return True


def _reap(control: socket.socket) -> None:
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if pid == 0:
            return
        _tell(control, {"pid": pid, "code": os.waitstatus_to_exitcode(status)})


def _tell(control: socket.socket, what: object) -> None:
    try:
        control.send(json.dumps(what).encode())
    except OSError:
        os._exit(0)


def _become(parent: int, descriptors: list[int], command: dict[str, Any]) -> NoReturn:
    code = 70
    try:
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != parent:
            os._exit(0)
        if command["session"]:
            os.setsid()
        _place(descriptors, [0, 1, 2, *command["numbers"]])
        os.environ.clear()
        os.environ.update(command["environment"])
        os.chdir(command["folder"])
        sys.argv = [command["module"], *command["arguments"]]
        sys.stdin = os.fdopen(0, closefd=False)
        sys.stdout, sys.stderr = (os.fdopen(fd, "w", buffering=1, closefd=False) for fd in (1, 2))
        code = importlib.import_module(MAINS[command["module"]]).main() or 0
    except SystemExit as e:
        code = e.code if isinstance(e.code, int) else 1
    except BaseException:
        traceback.print_exc()
    finally:
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(OSError):
                stream.flush()
        os._exit(code)


def _place(descriptors: list[int], targets: list[int]) -> None:
    """Gives them these numbers, and closes all others."""
    above = max(*targets, *descriptors, 255) + 1
    for number, descriptor in enumerate(descriptors):
        os.dup2(descriptor, above + number)
    os.closerange(0, above)
    for number, target in enumerate(targets):
        os.dup2(above + number, target)
    os.closerange(above, above + len(targets))


if __name__ == "__main__":
    main()
