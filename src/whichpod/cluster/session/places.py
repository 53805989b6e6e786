"""Where a user's labs are found: a folder with a socket and a lock for each.

The owner of a lab holds its lock (flock) for as long as it lives. So it is the kernel that tells a lab whose
owner was killed from one that is up, whatever files it has left.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import re
import socket
import stat
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from whichpod.model.codec import from_json, to_json
from whichpod.model.errors import LabError, UsageError
from whichpod.version import __version__

DEFAULT = "default"
"""The lab that is meant where none is named."""
_NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?")
_TRIES, _PAUSE_S = 20, 0.02


@dataclass(frozen=True, slots=True)
class Owner:
    """What is written down of a lab's owner."""

    pid: int
    version: str
    started: float
    """Seconds of the epoch."""
    folder: str
    """Where its first process keeps the lab's files; empty until that is known."""


def check_name(name: str) -> None:
    """Raises UsageError for what is no name of a lab."""
    if not _NAME.fullmatch(name):
        raise UsageError(
            f"--name {name!r} is no name of a lab.",
            fix="Use lower-case letters, digits and '-', 40 characters at most.",
        )


def home() -> Path:
    """The folder; it is made where it isn't there yet. Raises LabError where it isn't ours alone."""
    runtime = os.environ.get("XDG_RUNTIME_DIR", "")
    if runtime and Path(runtime).is_dir():
        folder = Path(runtime) / "whichpod"
    else:
        folder = Path(tempfile.gettempdir()) / f"whichpod-{os.geteuid()}"
    try:
        with contextlib.suppress(FileExistsError):
            folder.mkdir(mode=0o700)
        status = folder.lstat()
    except OSError as e:
        raise LabError(f"The folder {folder}, where labs are found, can't be made: {e.strerror}.") from None
    ours = stat.S_ISDIR(status.st_mode) and status.st_uid == os.geteuid()
    if not ours or stat.S_IMODE(status.st_mode) & 0o077:
        raise LabError(
            f"The folder {folder}, where labs are found, is not this user's alone.",
            fix="Remove it, or set XDG_RUNTIME_DIR to a folder that is.",
        )
    return folder


def names() -> list[str]:
    """The labs that have left a trace, those that are gone among them."""
    return sorted(file.stem for file in home().glob("*.lock"))


def owner_of(name: str) -> Owner | None:
    """Who owns a lab that is up; None where there is none.

    Raises LabError, once, for a lab that was not taken down and is gone all the same.
    """
    check_name(name)
    path = _lock(name)
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        found = _written(fd)
        try:
            fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return found or Owner(0, "", 0.0, "")
        if not _same(fd, path):  # it was taken down this moment
            return None
        _remove(name)
    finally:
        os.close(fd)
    since = time.strftime("%H:%M on %d %B", time.localtime(found.started)) if found else "some time ago"
    raise LabError(
        f"The lab {name}, up since {since}, is gone: its process"
        f"{f' {found.pid}' if found else ''} ended without `lab down`, or was killed, and its pods with it.",
        fix="Nothing of it is left. Start it again with `whichpod lab up`.",
    )


class Claim:
    """A name that is ours, for as long as this object is open and this process lives."""

    def __init__(self, name: str, lock: int) -> None:
        self.name = name
        self._lock = lock

    @classmethod
    def take(cls, name: str) -> Claim:
        """Takes a name. Raises UsageError where a lab of that name is up."""
        check_name(name)
        path, owner = _lock(name), None
        for _ in range(_TRIES):
            fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:  # or somebody just looks whether it is held
                owner = _written(fd)
                os.close(fd)
                time.sleep(_PAUSE_S)
                continue
            if not _same(fd, path):  # removed between the opening and the locking
                os.close(fd)
                continue
            with contextlib.suppress(FileNotFoundError):
                _socket(name).unlink()
            claim = cls(name, fd)
            claim.write("")
            return claim
        raise already_up(name, owner)

    def write(self, folder: str) -> None:
        """Writes down who owns it."""
        owner = Owner(os.getpid(), __version__, time.time(), folder)
        os.ftruncate(self._lock, 0)
        os.pwrite(self._lock, json.dumps(to_json(owner)).encode(), 0)

    def listen(self) -> socket.socket:
        """The socket on which requests come. Raises LabError."""
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            with _short(_socket(self.name)) as path:
                listener.bind(path)
            listener.listen(64)
        except OSError as e:
            listener.close()
            raise LabError(f"{_socket(self.name)} can't be listened on: {e.strerror}.") from None
        listener.setblocking(False)
        return listener

    def close(self) -> None:
        """Gives the name back. Safe to call twice."""
        if self._lock >= 0:
            log_of(self.name).unlink(missing_ok=True)
            _remove(self.name)
            os.close(self._lock)
            self._lock = -1

    def __enter__(self) -> Claim:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def already_up(name: str, owner: Owner | None) -> UsageError:
    """Why a lab of that name can't be started."""
    process = f" (process {owner.pid})" if owner and owner.pid else ""
    return UsageError(
        f"A lab called {name} is up already{process}.",
        fix=f"Change it with `whichpod lab apply`, end it with `{down(name)}`, or give another --name.",
    )


def connected(name: str) -> socket.socket:
    """A connection to a lab's owner. Raises LabError where there is no such lab, or it is gone."""
    for _ in range(_TRIES):
        if owner_of(name) is None:
            break
        conn = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            with _short(_socket(name)) as path:
                conn.connect(path)
            return conn
        except (FileNotFoundError, ConnectionRefusedError):
            conn.close()  # it begins, or ends, this moment
            time.sleep(_PAUSE_S)
        except BaseException:
            conn.close()
            raise
    others = [other for other in names() if other != name]
    raise LabError(
        f"There is no lab called {name}.",
        fix=f"There are: {', '.join(others)}. Name one with --name."
        if others
        else "Start one: whichpod lab up -f FILE",
    )


def until_gone(name: str) -> None:
    """Waits until a lab that was told to end has done so."""
    with contextlib.suppress(LabError):  # somebody has killed it meanwhile
        while owner_of(name) is not None:
            time.sleep(_PAUSE_S)


def down(name: str) -> str:
    """The command that ends a lab."""
    return "whichpod lab down" + ("" if name == DEFAULT else f" --name {name}")


def _lock(name: str) -> Path:
    return home() / f"{name}.lock"


def _socket(name: str) -> Path:
    return home() / f"{name}.sock"


def log_of(name: str) -> Path:
    """Where a lab in the background writes what it would say on a terminal."""
    return home() / f"{name}.log"


def _remove(name: str) -> None:
    for path in (_socket(name), _lock(name)):
        with contextlib.suppress(FileNotFoundError):
            path.unlink()


def _written(fd: int) -> Owner | None:
    try:
        return from_json(Owner, json.loads(os.pread(fd, 1 << 16, 0)))
    except ValueError:
        return None


def _same(fd: int, path: Path) -> bool:
    """Whether the file of that name is the one that is open."""
    with contextlib.suppress(FileNotFoundError):
        return os.path.samestat(os.fstat(fd), path.stat())
    return False


@contextlib.contextmanager
def _short(path: Path) -> Iterator[str]:
    """A name for a socket's address, which holds 107 bytes only (unix(7))."""
    fd = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{fd}/{path.name}"
    finally:
        os.close(fd)
