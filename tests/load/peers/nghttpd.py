"""nghttpd, which serves files: what it says beside them makes them answers of gRPC's or not."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.certificates import Pair
from tests.load.peers.processes import Peer, place, running
from whichpod.load.call import Call, Identify
from whichpod.mesh.pieces import split_address

needs_nghttpd = pytest.mark.skipif(
    shutil.which("nghttpd") is None, reason="nghttpd is not on PATH (Debian: package nghttp2-server)"
)
FILES = {"answer.grpc": b"\0\0\0\0\x03abc", "large.grpc": b"\0" + (300_000).to_bytes(4) + bytes(300_000),
         "short.grpc": b"\0\0\0\0\x09abc", "empty.grpc": b"", "page.html": b"<p>Hello</p>"}  # fmt: skip
OK = ("--trailer", "grpc-status: 0")


def calling(file: str, payload: bytes = b"") -> Call:
    """The call that a file answers."""
    return Call(f"/{file}", payload, Identify("peer"))


@contextmanager
def nghttpd(*args: str, tls: Pair | None = None) -> Iterator[Peer]:
    """nghttpd with one thread; it serves FILES."""
    with place() as (address, folder):
        for name, content in FILES.items():
            (folder / name).write_bytes(content)
        (folder / "mime").write_text("application/grpc grpc\ntext/html html\n")
        host, port = split_address(address)
        argv = ["nghttpd", "-a", host, "-d", str(folder), f"--mime-types-file={folder / 'mime'}", *args]
        argv += [str(port), tls.key, tls.cert] if tls else ["--no-tls", str(port)]
        with running(argv, address, folder) as peer:
            yield peer
