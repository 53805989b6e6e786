"""Both roles without their fast ways: every frame goes through the code that takes any frame."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from whichpod.wire import ClientConnection, RemoteProtocolError, Reply, Request, ServerConnection, Stream
from whichpod.wire.connection import Connection
from whichpod.wire.frames import HEAD_SIZE, MAX_ID
from whichpod.wire.pattern import Pattern


class Plainly(Connection):
    """One frame after the other, as the RFC tells it."""

    def _walk(self, data: bytes, at: int) -> int:
        skipped = min(self._skip, len(data) - at)
        self._skip -= skipped
        at += skipped
        while at + HEAD_SIZE <= len(data):
            size = int.from_bytes(data[at : at + 3], "big")
            kind, flags = data[at + 3], data[at + 4]
            stream_id = int.from_bytes(data[at + 5 : at + 9], "big") & MAX_ID
            start, end = at + HEAD_SIZE, at + HEAD_SIZE + size
            if size > 16_384:
                self._oversized(kind, size, stream_id)
                at = min(end, len(data))
                self._skip = end - at
                continue
            if end > len(data):
                break
            at = end
            try:
                self._frame(kind, flags, stream_id, data[start:end])
            except RemoteProtocolError as error:
                if error.stream_id is None:
                    raise
                self._reject(error)
                self._refill(self._control)
        # Never waits for more than a byte: `receive` tries again with each.
        self._need = 0
        return at

    def _take_like(self, pattern: Pattern, data: bytes, at: int, end: int) -> int:
        raise AssertionError("the fast way was taken")


class PlainClient(Plainly, ClientConnection):
    def requests(self, request: Request, tokens: Sequence[Any]) -> int:
        count = min(len(tokens), self.capacity)
        for token in tokens[:count]:
            stream_id = self._next_id
            self._next_id += 2
            self._work += 1
            self._requests_slowly(request, [token], stream_id)
        return count


class PlainServer(Plainly, ServerConnection):
    def responses(self, reply: Reply, answers: Iterable[tuple[Stream, bytes]]) -> int:
        count = 0
        for stream, body in answers:
            if self.send_head(stream, reply.head):
                count += 1
                self._queue(stream, body, end=True, tail=reply.trailers)
        return count
