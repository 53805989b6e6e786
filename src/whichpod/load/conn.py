"""One HTTP/2 connection of a line, while it lasts."""

from __future__ import annotations

import ssl
import time
from typing import TYPE_CHECKING

from whichpod.load.address import Address
from whichpod.reactor import Link, Loop, TlsLink, Transport, connect
from whichpod.wire import ClientConnection, Limits

if TYPE_CHECKING:
    from whichpod.load.line import Line

Tls = tuple[ssl.SSLContext, str]
"""A client's TLS, and the name to expect in the server's certificate."""
LIMITS = Limits(connection_window=16 * 1_048_576, stream_window=1_048_576)
"""Windows wide enough that a response is never held up by us."""


class Conn:
    """Socket, TLS and HTTP/2 core of a connection. Its line does the counting."""

    __slots__ = ("_line", "_open", "core", "link", "settled")

    def __init__(self, loop: Loop, line: Line, address: Address, tls: Tls | None) -> None:
        """Raises OSError where the connection is refused at once."""
        self._line = line
        self.core = ClientConnection(time.monotonic_ns(), LIMITS)
        self._open = False
        self.settled = False
        """The peer's SETTINGS are here, so that its limit on streams is known."""
        sock = connect(address)
        self.link: Transport = (
            TlsLink(loop, sock, self, tls[0], server_name=tls[1]) if tls else Link(loop, sock, self)
        )

    def on_open(self) -> None:
        """Connected: the preface goes out."""
        self._open = True
        self.flush()

    def on_data(self, data: bytes) -> None:
        """Responses, and what else the peer says."""
        now = time.monotonic_ns()
        events = self.core.receive(data, now)
        if events:
            self._line.on_events(self, events, now)
        self.flush()

    def on_drain(self) -> None:
        """The kernel takes more."""
        self.flush()
        self._line.on_room()

    def on_end(self, reason: str) -> None:
        """The connection is gone."""
        now = time.monotonic_ns()
        events = self.core.receive_eof(now)
        self._line.on_events(self, events, now)
        self._line.on_end(self, reason or _why(self.core))

    def flush(self) -> None:
        """Sends what waits, as far as the kernel takes it."""
        core, link = self.core, self.link
        while not link.backlog:
            data = core.take()
            if not data:
                return
            link.send(data)
            if not core.waiting:
                return

    def close(self) -> None:
        """Ends it in order."""
        if not self._open:
            self.link.close()
            return
        self.core.close()
        self.flush()
        self.link.close(flush=True)


def _why(core: ClientConnection) -> str:
    return core.error.message.rstrip(".") if core.error else "the peer closed the connection"
