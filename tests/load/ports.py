"""Ports of servers that are processes."""

from __future__ import annotations

import socket
import subprocess
import time
from typing import Any


def free_port() -> int:
    """One that is free now."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


def listening(port: int, process: subprocess.Popen[Any], within_s: float = 10) -> None:
    """Waits until the process listens there."""
    end = time.monotonic() + within_s
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            assert process.poll() is None, f"it ended with {process.returncode}"
            assert time.monotonic() < end, f"nothing listens on {port} within {within_s:g} s"
            time.sleep(0.01)
        else:
            return
