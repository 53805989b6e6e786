"""On which addresses processes listen, by the kernel's word (proc_pid_net(5))."""

from __future__ import annotations

import contextlib
import socket
import struct
from collections.abc import Iterable, Iterator
from pathlib import Path

from whichpod.cluster.local.usage import families

_LISTEN = "0A"


def addresses(pid: int) -> list[str]:
    """The HOST:PORT pairs on which a process, or one that it has started, accepts TCP connections."""
    own = set(_sockets(families([pid])[pid]))
    found = set()
    for name, family in (("tcp", socket.AF_INET), ("tcp6", socket.AF_INET6)):
        with contextlib.suppress(OSError):
            for line in Path(f"/proc/{pid}/net/{name}").read_text().splitlines()[1:]:
                fields = line.split()
                if fields[3] == _LISTEN and fields[9] in own:
                    found.add(_address(fields[1], family))
    return sorted(found)


def _sockets(pids: Iterable[int]) -> Iterator[str]:
    """The inodes of their sockets."""
    for pid in pids:
        with contextlib.suppress(OSError):
            for fd in Path(f"/proc/{pid}/fd").iterdir():
                with contextlib.suppress(OSError):
                    target = str(fd.readlink())
                    if target.startswith("socket:["):
                        yield target[8:-1]


def _address(text: str, family: socket.AddressFamily) -> str:
    """`0100007F:1F90` as 127.0.0.1:8080: words of 32 bits in the machine's byte order."""
    host, _, port = text.partition(":")
    words = struct.pack(f"={len(host) // 8}I", *(int(host[i : i + 8], 16) for i in range(0, len(host), 8)))
    shown = socket.inet_ntop(family, words)
    return f"{f'[{shown}]' if ':' in shown else shown}:{int(port, 16)}"
