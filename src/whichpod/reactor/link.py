"""A TCP connection in a loop."""

from __future__ import annotations

import contextlib
import os
import socket
from typing import Protocol

from whichpod.reactor.loop import BROKEN, READ, WRITE, Loop

READ_SIZE = 65_536
"""Larger ones would cost a mapping of memory each (malloc's threshold is 128 KiB)."""


class Owner(Protocol):
    """Who a connection belongs to. None of these is called within a call of the link's own methods, save
    `on_end`, which `send` may bring."""

    def on_open(self) -> None:
        """It is connected, TLS shaken hands."""

    def on_data(self, data: bytes) -> None:
        """Bytes came."""

    def on_drain(self) -> None:
        """All that was queued is with the kernel."""

    def on_end(self, reason: str) -> None:
        """It is over and closed; the last call. An empty reason: the peer closed its side in order."""


class Transport(Protocol):
    """What Link and TlsLink have in common."""

    @property
    def backlog(self) -> int:
        """Bytes that the kernel has not taken yet."""

    @property
    def closed(self) -> bool:
        """Whether it is over."""

    def pause(self) -> None:
        """Reads no more until `resume`."""

    def resume(self) -> None:
        """Reads again."""

    def send(self, data: bytes) -> None:
        """Sends now what the kernel takes, and the rest when it takes more. Nothing after the end."""

    def finish(self) -> None:
        """Says that nothing follows, once what is queued is with the kernel; reads on until the end."""

    def close(self, *, flush: bool = False) -> None:
        """Closes without another word to the owner. `flush`: once what is queued is with the kernel."""


class Link:
    """A connected or connecting non-blocking socket. It belongs to the link from now on."""

    __slots__ = (
        "_closing", "_events", "_fd", "_finishing", "_loop", "_open", "_queue", "_size", "_sock", "owner",
    )  # fmt: skip

    def __init__(self, loop: Loop, sock: socket.socket, owner: Owner, *, connected: bool = False) -> None:
        self.owner = owner
        self._loop = loop
        self._sock = sock
        self._fd = sock.fileno()
        self._queue: list[bytes] = []
        self._size = 0
        self._open = connected
        self._closing = self._finishing = False
        self._events = READ if connected else WRITE
        loop.watch(self._fd, self._events, self._ready)

    @property
    def backlog(self) -> int:
        """Bytes that the kernel has not taken yet."""
        return self._size

    @property
    def closed(self) -> bool:
        """Whether it is over."""
        return self._fd < 0

    def pause(self) -> None:
        """Reads no more until `resume`."""
        self._wait_for(self._events & ~READ)

    def resume(self) -> None:
        """Reads again."""
        if self._open:
            self._wait_for(self._events | READ)

    def send(self, data: bytes) -> None:
        """Sends now what the kernel takes, and the rest when it takes more. Nothing after the end."""
        if self._fd < 0:
            return
        if self._size or not self._open:
            self._queue.append(data)
            self._size += len(data)
            return
        try:
            sent = self._sock.send(data)
        except BlockingIOError:
            sent = 0
        except OSError as error:
            self._over(_described(error))
            return
        if sent < len(data):
            self._queue.append(data[sent:])
            self._size += len(data) - sent
            self._wait_for(self._events | WRITE)

    def finish(self) -> None:
        """Says that nothing follows, once what is queued is with the kernel; reads on until the end."""
        self._finishing = True
        if self._open and not self._size and self._fd >= 0:
            self._shut_ours()

    def close(self, *, flush: bool = False) -> None:
        """Closes without another word to the owner. `flush`: once what is queued is with the kernel."""
        if flush and self._size and self._fd >= 0:
            self._closing = True
            return
        self._shut()

    def _ready(self, events: int) -> None:
        if not self._open:
            self._connected(events)
            return
        if events & (READ | BROKEN):
            try:
                data = self._sock.recv(READ_SIZE)
            except BlockingIOError:
                return
            except OSError as error:
                self._over(_described(error))
                return
            if not data:
                self._over("")
                return
            if not self._closing:
                self.owner.on_data(data)
        if events & WRITE and self._fd >= 0:
            self._flush()

    def _connected(self, _events: int) -> None:
        error = self._sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if error:
            self._over(os.strerror(error).lower())
            return
        self._open = True
        self._begin()

    def _begin(self) -> None:
        self._wait_for(READ | WRITE if self._size else READ)
        self.owner.on_open()

    def _flush(self) -> None:
        while self._queue:
            data = self._queue[0] if len(self._queue) == 1 else b"".join(self._queue)
            try:
                sent = self._sock.send(data)
            except BlockingIOError:
                sent = 0
            except OSError as error:
                self._over(_described(error))
                return
            self._queue[:] = [data[sent:]] if sent < len(data) else []
            self._size = len(data) - sent
            if sent < len(data):
                return
        self._wait_for(self._events & ~WRITE)
        if self._closing:
            self._shut()
            return
        if self._finishing:
            self._shut_ours()
        self.owner.on_drain()

    def _shut_ours(self) -> None:
        with contextlib.suppress(OSError):
            self._sock.shutdown(socket.SHUT_WR)

    def _wait_for(self, events: int) -> None:
        if self._fd >= 0 and events != self._events:
            self._events = events
            self._loop.change(self._fd, events)

    def _over(self, reason: str) -> None:
        told = not self._closing
        self._shut()
        if told:
            self.owner.on_end(reason)

    def _shut(self) -> None:
        if self._fd < 0:
            return
        self._loop.unwatch(self._fd)
        self._fd = -1
        self._queue.clear()
        self._size = 0
        with contextlib.suppress(OSError):
            self._sock.close()


def connect(address: tuple[str, int] | str) -> socket.socket:
    """A socket that is on its way to (host, port), host an IP address, or to a Unix socket's path. Raises
    OSError where that is refused at once."""
    if isinstance(address, str):
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    else:
        family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        sock = socket.socket(family, socket.SOCK_STREAM)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.setblocking(False)
    try:
        sock.connect(address)
    except BlockingIOError:
        pass
    except OSError:
        sock.close()
        raise
    return sock


def _described(error: OSError) -> str:
    return (error.strerror or str(error)).lower()
