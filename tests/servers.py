"""Real servers for tests, in this process and in processes of their own."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from typing import Any

from whichpod.echo.identity import Identity
from whichpod.echo.server import EchoServer
from whichpod.echo.settings import ServerSettings

LOCAL = ServerSettings(host="127.0.0.1", port=0, grace_s=1)


@contextmanager
def echo(*, settings: ServerSettings = LOCAL, pod: str = "echo-0", **changes: Any) -> Iterator[EchoServer]:
    """An echo server in this process, on a free port."""
    server = EchoServer(replace(settings, **changes), Identity.from_env({"POD_NAME": pod}))
    server.start()
    try:
        yield server
    finally:
        server.drain(0)


@contextmanager
def echoes(count: int, **changes: Any) -> Iterator[list[EchoServer]]:
    """Several, as pods echo-0, echo-1, …"""
    with ExitStack() as stack:
        yield [stack.enter_context(echo(pod=f"echo-{i}", **changes)) for i in range(count)]


@contextmanager
def served(*args: str, env: dict[str, str] | None = None) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """`whichpod serve` as a process; yields it and its port. Killed at the end, if it still runs."""
    process = subprocess.Popen(
        [sys.executable, "-m", "whichpod", "serve", "--host", "127.0.0.1", "--port", "0", *args],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | (env or {}),
    )
    try:
        assert process.stdout is not None
        said = process.stdout.readline()
        found = re.search(r":(\d+)", said)
        assert found, (said, process.poll())
        yield process, int(found[1])
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGKILL)
        process.communicate()


@contextmanager
def tcp(answer: bytes | None) -> Iterator[int]:
    """A server that answers each connection with some bytes, closes it (b"") or stays silent (None)."""
    listening = socket.create_server(("127.0.0.1", 0))
    kept: list[socket.socket] = []

    def run() -> None:
        while True:
            try:
                sock, _ = listening.accept()
            except OSError:
                return
            if answer == b"":
                sock.close()
                continue
            kept.append(sock)
            if answer:
                sock.sendall(answer)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    try:
        yield listening.getsockname()[1]
    finally:
        listening.shutdown(socket.SHUT_RDWR)
        listening.close()
        thread.join(5)
        for sock in kept:
            sock.close()
