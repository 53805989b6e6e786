"""The Linux system calls that make and enter namespaces, which Python has from 3.12 on at best.

They act on the calling thread: only a process with one thread may use them. All raise OSError.
"""

from __future__ import annotations

import ctypes
import os
import socket

CLONE_NEWNS = 0x00020000
CLONE_NEWUTS = 0x04000000
CLONE_NEWUSER = 0x10000000
CLONE_NEWNET = 0x40000000
_MS_BIND = 0x1000
_MS_REC = 0x4000
_MS_PRIVATE = 1 << 18
_libc = ctypes.CDLL(None, use_errno=True)


def unshare(flags: int) -> None:
    """Moves into new namespaces: unshare(2)."""
    _check(_libc.unshare(flags), "unshare")


def setns(fd: int, kind: int) -> None:
    """Moves into the namespace that `fd` refers to: setns(2)."""
    _check(_libc.setns(fd, kind), "setns")


def namespace(kind: str) -> int:
    """A descriptor of the namespace `kind` (net, mnt, uts) that we are in, which keeps it alive."""
    return os.open(f"/proc/self/ns/{kind}", os.O_RDONLY | os.O_CLOEXEC)


def make_mounts_private() -> None:
    """What is mounted here from now on is seen nowhere else."""
    _mount("none", "/", "", _MS_REC | _MS_PRIVATE)


def mount_tmpfs(folder: str) -> None:
    """An empty file system over a folder."""
    _mount("tmpfs", folder, "tmpfs", 0, "mode=755")


def bind(source: str, target: str) -> None:
    """A file in place of another."""
    _mount(source, target, "", _MS_BIND)


def set_host_name(name: str) -> None:
    """The host name of the UTS namespace that we are in."""
    socket.sethostname(name)


def _mount(source: str, target: str, kind: str, flags: int, options: str = "") -> None:
    made = _libc.mount(
        source.encode(),
        target.encode(),
        kind.encode() or None,
        ctypes.c_ulong(flags),
        options.encode() or None,
    )
    _check(made, f"mount {target}")


def _check(result: int, what: str) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")
