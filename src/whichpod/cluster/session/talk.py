"""The conversation of a command with a lab's owner: JSON, an object per line, over a Unix socket.

The command says `{"version", "op", "asked"}`, with descriptors where the operation takes some, and later
perhaps `{"stop": true}` or `{"signal": NUMBER}`. The owner says `{KIND: ...}` for what happens meanwhile, and
last `{"answer": ...}` or `{"error": {"kind", "message", "fix"}}`.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import socket
import struct
from collections import deque
from collections.abc import AsyncIterator, Callable
from typing import Any

from whichpod.model.errors import ERRORS, ExitCode, LabError, WhichpodError

VERSION = 1
MOST_DESCRIPTORS = 3
LONGEST_LINE = 256 << 20
"""Bytes: the report of a client that had many thousand connections."""
_CHUNK = 1 << 16
_BACKLOG = 64
"""What is told meanwhile is left out where so much waits already: only the end counts."""
_CREDENTIALS = struct.Struct("3i")


class BrokenTalkError(Exception):
    """The other end says what makes no sense."""


class Talk:
    """One end of a conversation. `close` it."""

    def __init__(self, sock: socket.socket) -> None:
        sock.setblocking(False)
        self._sock = sock
        self._buffer = bytearray()
        self._outgoing = deque[bytes]()
        self._due = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()
        self._sender = asyncio.create_task(self._send_all())
        self.on_signal: Callable[[int], None] | None = None
        """What to do with a signal that a command passes on."""
        self.early_signals: list[int] = []
        """Those that came before anybody knew what to do with them."""
        self.descriptors: list[int] = []
        """Those that came with what was read so far; ours to close."""

    @property
    def peer_uid(self) -> int:
        """The user of the process at the other end (SO_PEERCRED, unix(7))."""
        size = _CREDENTIALS.size
        found = self._sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, size)
        return int(_CREDENTIALS.unpack(found)[1])

    def tell(self, **said: object) -> None:
        """Says something that may be left out where the other end is slow to listen."""
        if len(self._outgoing) < _BACKLOG:
            self.say(**said)

    def say(self, **said: object) -> None:
        """Says something, soon."""
        self._outgoing.append(json.dumps(said, separators=(",", ":")).encode() + b"\n")
        self._idle.clear()
        self._due.set()

    async def said(self) -> None:
        """Waits until all has been sent, or can't be any more."""
        await self._idle.wait()

    async def _send_all(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            while True:
                while self._outgoing:
                    await loop.sock_sendall(self._sock, self._outgoing[0])
                    self._outgoing.popleft()
                self._idle.set()
                await self._due.wait()
                self._due.clear()
        except OSError:
            pass  # it went away; who reads hears of that
        finally:
            self._outgoing.clear()
            self._idle.set()

    async def hear(self) -> dict[str, Any] | None:
        """The next thing that the other end says; None once it is gone. Raises BrokenTalkError."""
        looked = 0
        while (end := self._buffer.find(b"\n", looked)) < 0:
            looked = len(self._buffer)
            if looked > LONGEST_LINE:
                raise BrokenTalkError("a line without end")
            try:
                data = await self._receive()
            except OSError:
                return None
            if not data:
                return None
            self._buffer += data
        line = bytes(self._buffer[:end])
        del self._buffer[: end + 1]
        try:
            said = json.loads(line)
        except ValueError as e:
            raise BrokenTalkError(str(e)) from None
        if not isinstance(said, dict):
            raise BrokenTalkError("no object")
        return said

    async def all_of_it(self) -> AsyncIterator[dict[str, Any]]:
        """What the other end says, until it is gone. Raises BrokenTalkError."""
        while (said := await self.hear()) is not None:
            yield said

    async def _receive(self) -> bytes:
        loop = asyncio.get_running_loop()
        while True:
            try:
                data, descriptors, _, _ = socket.recv_fds(self._sock, _CHUNK, MOST_DESCRIPTORS)
            except BlockingIOError:
                ready = loop.create_future()
                loop.add_reader(self._sock, _set, ready)
                try:
                    await ready
                finally:
                    loop.remove_reader(self._sock)
                continue
            for descriptor in descriptors:
                os.set_inheritable(descriptor, False)
            self.descriptors += descriptors
            return data

    def drop_descriptors(self) -> None:
        """Closes those that came."""
        for descriptor in self.descriptors:
            with contextlib.suppress(OSError):
                os.close(descriptor)
        self.descriptors.clear()

    async def close(self) -> None:
        """Ends the conversation. Safe to call twice."""
        self._sender.cancel()
        await asyncio.gather(self._sender, return_exceptions=True)
        self.drop_descriptors()
        self._sock.close()


def _set(ready: asyncio.Future[None]) -> None:
    if not ready.done():
        ready.set_result(None)


def error_said(error: WhichpodError) -> dict[str, str]:
    """An error as it is told to the other end."""
    kind = next((c.__name__ for c in type(error).__mro__ if c.__name__ in ERRORS), "")
    return {"kind": kind, "message": error.message, "fix": error.fix}


def error_heard(said: dict[str, Any]) -> WhichpodError:
    """The error that the other end told of."""
    kind = ERRORS.get(said.get("kind", ""))
    message, fix = str(said.get("message", "")), str(said.get("fix", ""))
    if kind:
        return kind(message, fix=fix)
    error = LabError(message, fix=fix)
    error.exit_code = ExitCode.BUG
    return error
