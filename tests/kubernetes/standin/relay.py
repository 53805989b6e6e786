"""What stands for kube-proxy: connections to a ClusterIP go to a ready pod, picked at random for each."""

from __future__ import annotations

import contextlib
import random
import socket
import socketserver
import threading
from collections.abc import Callable


class Relay:
    """Listens while it is open. `pods` gives the addresses that are ready."""

    def __init__(self, pods: Callable[[], list[tuple[str, int]]], seed: int) -> None:
        chance = random.Random(seed)
        lock = threading.Lock()

        class Handler(socketserver.BaseRequestHandler):
            def handle(self) -> None:
                with lock:
                    known = pods()
                    where = chance.choice(known) if known else None
                with contextlib.suppress(OSError):
                    if where:
                        with socket.create_connection(where) as pod:
                            join(self.request, pod)

        class Server(socketserver.ThreadingTCPServer):
            daemon_threads = True
            block_on_close = False
            request_queue_size = 128

        self._server = Server(("127.0.0.1", 0), Handler)
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    @property
    def address(self) -> str:
        host, port = self._server.server_address[:2]
        return f"{host!s}:{port}"

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


def join(one: socket.socket, other: socket.socket) -> None:
    """Passes on what either says, until both have said all."""
    back = threading.Thread(target=_pass_on, args=(other, one), daemon=True)
    back.start()
    _pass_on(one, other)
    back.join()


def _pass_on(source: socket.socket, sink: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            sink.sendall(data)
    with contextlib.suppress(OSError):
        sink.shutdown(socket.SHUT_WR)
