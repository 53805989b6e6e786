"""Programs that tests start as peers of the load engine."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from whichpod.cluster.loopback.addresses import Block
from whichpod.cluster.loopback.images.base import base_environment
from whichpod.mesh.pieces import split_address

PORT = 50051
STARTS_WITHIN_S = 20.0


@dataclass(frozen=True)
class Peer:
    """A program that runs and listens."""

    process: subprocess.Popen[bytes]
    address: str
    folder: Path

    def kill(self) -> None:
        """Ends it without a warning, and all that it started."""
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def again(self) -> None:
        """Starts another with the same arguments, beside it or after it."""
        # The group is the first one's: where that is gone, nobody else may have its number meanwhile.
        subprocess.Popen(self.process.args)


@contextmanager
def place() -> Iterator[tuple[str, Path]]:
    """An address that nobody else on the machine uses, and a folder."""
    with Block.claim() as block, tempfile.TemporaryDirectory() as folder:
        yield f"{block.own(1)}:{PORT}", Path(folder)


@contextmanager
def running(argv: Sequence[str | Path], address: str, folder: Path) -> Iterator[Peer]:
    """A program in a process group of its own, once it listens at `address`. Killed at the end."""
    log = folder / "log"
    with log.open("ab") as out:
        process = subprocess.Popen(
            argv, stdout=out, stderr=out, env=base_environment(folder), start_new_session=True
        )
    peer = Peer(process, address, folder)
    try:
        until_listening(address, lambda: _check(process, log))
        yield peer
    finally:
        if process.poll() is None:
            peer.kill()


def _check(process: subprocess.Popen[bytes], log: Path) -> None:
    assert process.poll() is None, log.read_text(errors="replace")[-2_000:]


def until_listening(address: str, check: Callable[[], None]) -> None:
    """Waits until somebody accepts connections; `check` is called between attempts."""
    end = time.monotonic() + STARTS_WITHIN_S
    while True:
        try:
            socket.create_connection(split_address(address), 1).close()
        except OSError:
            check()
            if time.monotonic() > end:
                raise
            time.sleep(0.01)
        else:
            return
