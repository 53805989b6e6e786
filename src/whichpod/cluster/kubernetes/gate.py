"""Workers in several pods begin together: each waits at a gate, an HTTP port of its pod, until it is told.

Who runs them asks each pod for /ready and then for /go/SECONDS, one after another with less and less seconds,
through the API server's proxy for pods. Times are counted from the answer, so no two clocks must agree.
"""

from __future__ import annotations

import json
import math
import socket
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

LONGEST_S = 60.0
"""A pod can't be told to begin later than that."""
_TURN_S = 0.05


class Gate:
    """Listens on `port` of all addresses while it is entered. Raises OSError where that is taken."""

    def __init__(self, port: int) -> None:
        self._begin: float | None = None
        self._changed = threading.Event()
        self._server = _Server(port, self)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(_TURN_S,), daemon=True)

    @property
    def port(self) -> int:
        """Where it listens."""
        port: int = self._server.server_address[1]
        return port

    def __enter__(self) -> Gate:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def open_in(self, seconds: float) -> None:
        """Opens it after this time; the last word counts."""
        self._begin = time.monotonic() + seconds
        self._changed.set()

    def wait(self, stop: threading.Event) -> None:
        """Until it opens, or `stop` is set."""
        while not stop.is_set() and self._begin is None:
            self._changed.wait(_TURN_S)
        while not stop.is_set() and self._begin is not None and (left := self._begin - time.monotonic()) > 0:
            stop.wait(min(left, _TURN_S))


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, port: int, gate: Gate) -> None:
        self.gate = gate
        dual = socket.has_dualstack_ipv6()
        super().__init__(("", port), _Handler, bind_and_activate=False)
        self.socket.close()
        self.socket = socket.create_server(
            ("::" if dual else "", port),
            family=socket.AF_INET6 if dual else socket.AF_INET,
            dualstack_ipv6=dual,
        )
        self.server_address = self.socket.getsockname()[:2]


class _Handler(BaseHTTPRequestHandler):
    timeout = 5.0

    def do_GET(self) -> None:
        """`/ready`, and `/go/SECONDS`."""
        server = self.server
        assert isinstance(server, _Server)
        verb, _, rest = self.path.strip("/").partition("/")
        seconds = _seconds(rest)
        if verb == "go" and seconds is not None:
            server.gate.open_in(seconds)
            self._answer(200, {"begins_in_s": seconds})
        elif verb == "ready":
            self._answer(200, {"ready": True})
        else:
            self._answer(404, {"error": f"known are /ready and /go/SECONDS, 0 to {LONGEST_S:g}"})

    def _answer(self, status: int, what: dict[str, object]) -> None:
        body = json.dumps(what).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Nothing: the log is for the result."""


def _seconds(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) and 0 <= value <= LONGEST_S else None
