"""`python -m tests.kubernetes.standin.forked FD`: forks pods' processes, with whichpod imported already.

FD is one end of a socket pair (SOCK_SEQPACKET). A message is the command, its arguments and its environment as
JSON, with the descriptor that becomes its output; what comes back is its number, and later how it ended. The end
of file ends all of them.
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
from typing import NoReturn

MOST = 1 << 20
_PR_SET_PDEATHSIG = 1
_MAINS = {
    "whichpod": "whichpod.__main__",
    "whichpod.cluster.kubernetes.inside": "whichpod.cluster.kubernetes.inside",
}
_BEFORE = (
    "whichpod.cli.main", "whichpod.cli.serve", "whichpod.echo.run", "whichpod.echo.server",
    "whichpod.echo.fast.server", "whichpod.probe.run", "whichpod.load.run", "whichpod.cluster.kubernetes.gate",
    "whichpod.cluster.kubernetes.result", "whichpod.cluster.kubernetes.task", *_MAINS.values(),
)  # fmt: skip


def main() -> None:
    control = socket.socket(fileno=int(sys.argv[1]))
    for name in _BEFORE:
        importlib.import_module(name)
    gc.collect()
    gc.freeze()
    # Who is interrupted tells us so itself, by the end of file.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
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
    data, descriptors, *_ = socket.recv_fds(control, MOST, 1)
    if not data:
        return False
    number, module, arguments, environment = json.loads(data)
    [output] = descriptors
    parent = os.getpid()
    pid = os.fork()
    if pid == 0:
        _become(control, parent, output, module, arguments, environment)
    os.close(output)
    _tell(control, {"number": number, "pid": pid})
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


def _become(
    control: socket.socket,
    parent: int,
    output: int,
    module: str,
    arguments: list[str],
    environment: dict[str, str],
) -> NoReturn:
    code = 70
    try:
        signal.set_wakeup_fd(-1)
        for number in (signal.SIGINT, signal.SIGCHLD):
            signal.signal(number, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != parent:
            os._exit(0)
        control.close()
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.dup2(output, 1)
        os.dup2(output, 2)
        os.closerange(3, 256)
        os.environ.clear()
        os.environ.update(environment)
        sys.argv = [module, *arguments]
        sys.stdout, sys.stderr = (os.fdopen(fd, "w", buffering=1, closefd=False) for fd in (1, 2))
        code = importlib.import_module(_MAINS[module]).main() or 0
    except SystemExit as e:
        code = e.code if isinstance(e.code, int) else 1
    except BaseException:
        traceback.print_exc()
    finally:
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(OSError):
                stream.flush()
        os._exit(code)


if __name__ == "__main__":
    main()
