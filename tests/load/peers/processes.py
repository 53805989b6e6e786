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
from dataclasses import dataclass, field
from pathlib import Path

from whichpod.cluster.local.images.base import base_environment
from whichpod.cluster.loopback.addresses import Block
from whichpod.mesh.pieces import split_address

PORT = 50051
STARTS_WITHIN_S = 20.0
ENDS_WITHIN_S = 20.0


@dataclass
class Peer:
    """A program that runs and listens, with all that it starts."""

    argv: Sequence[str]
    address: str
    folder: Path
    processes: list[subprocess.Popen[bytes]] = field(default_factory=list)

    @property
    def first(self) -> subprocess.Popen[bytes]:
        """The process that was started first."""
        return self.processes[0]

    def start(self, *args: str) -> None:
        """Starts it, or another one beside it, with more arguments."""
        with (self.folder / "log").open("ab") as log:
            self.processes.append(
                subprocess.Popen(
                    [*self.argv, *args],
                    stdout=log,
                    stderr=log,
                    env=base_environment(self.folder),
                    start_new_session=True,
                )
            )

    def tell(self, number: int) -> None:
        """To all of them, and to what they started."""
        for process in self.processes:
            if process.poll() is None:
                os.killpg(process.pid, number)

    def end(self, number: int = signal.SIGKILL) -> None:
        """Ends it, without a warning if it isn't told how else."""
        try:
            self.tell(number)
            for process in self.processes:
                process.wait(ENDS_WITHIN_S)
        finally:
            self.tell(signal.SIGKILL)

    def check(self) -> None:
        """Fails, with what it wrote, where it has ended."""
        said = (self.folder / "log").read_text(errors="replace")[-2_000:]
        assert self.first.poll() is None, said


@contextmanager
def place() -> Iterator[tuple[str, Path]]:
    """HOST:PORT that nobody else on the machine uses, and a folder."""
    with Block.claim() as block, tempfile.TemporaryDirectory() as folder:
        yield f"{block.own(1)}:{PORT}", Path(folder)


@contextmanager
def running(argv: Sequence[str], address: str, folder: Path, end: int = signal.SIGKILL) -> Iterator[Peer]:
    """A program, once it listens at `address`. Ended by that signal."""
    peer = Peer(argv, address, folder)
    peer.start()
    try:
        until_listening(address, peer.check)
        yield peer
    finally:
        peer.end(end)


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
