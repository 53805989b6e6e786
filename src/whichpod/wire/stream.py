"""One stream: what came on it and what is still to go out."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any

from whichpod.wire.block import Block
from whichpod.wire.encoder import Fields

TAKEN = -1
"""`Stream.room` once a DATA frame of a plain body is in."""
AWAITING = -2
"""`Stream.room` of a unary request that is sent and whose response has not begun: `done` follows from it."""
COMPLETE = -3
"""`Stream.room` of a collected request that came as expected, not answered: `ended` follows from it."""

_DEFAULTS: dict[str, Any] = {
    "token": None,
    "head": None,
    "body": b"",
    "trailers": None,
    "parts": None,
    "queue": None,
    "tail": None,
}


class Stream:
    """A stream of either role. Attributes are set when they are first needed, so that a stream of one small
    unary RPC costs three or four of them; read before, they have their defaults (None, empty, 0, False).

    As an event it says: the peer has finished, and `head`, `body` and `trailers` are complete.
    """

    __slots__ = (
        "answered", "body", "done", "ended", "extra", "finish", "granted", "head", "id", "length", "parts",
        "queue", "received", "room", "sent", "streamed", "tail", "token", "trailers", "unacknowledged",
    )  # fmt: skip

    id: int
    token: Any
    """The caller's own."""
    head: Block | None
    """Request or response header fields. A response without a body has its trailers here (trailers-only)."""
    body: bytes
    """The whole body; empty for streamed bodies, which come as events."""
    trailers: Block | None
    streamed: bool
    """The body is delivered as it comes, and the windows open as it is acknowledged."""

    # How its receiving side stands.
    room: int
    """How large the first DATA frame of a collected body may be without a second look; TAKEN, AWAITING,
    COMPLETE, or 0 where every frame wants one."""
    parts: bytearray | None
    received: int
    """Flow-controlled bytes that came, padding included."""
    length: int
    """Body bytes that came, for content-length."""
    granted: int
    """What WINDOW_UPDATEs added to our initial window."""
    unacknowledged: int
    ended: bool
    """The peer sent END_STREAM."""

    # How its sending side stands.
    answered: bool
    """We sent header fields, as a server."""
    done: bool
    """We sent END_STREAM."""
    sent: int
    extra: int
    """What WINDOW_UPDATEs added to the peer's initial window."""
    queue: deque[memoryview] | None
    """Body that waits for a window."""
    finish: bool
    """END_STREAM follows the queue."""
    tail: Fields | None
    """Trailers that follow the queue."""

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any:
            # Only for a slot that isn't set yet.
            if name not in Stream.__slots__:
                raise AttributeError(name)
            if name == "done":
                return self.room == AWAITING
            if name == "ended":
                return self.room == COMPLETE or (self.room == AWAITING and self.head is not None)
            value = _DEFAULTS.get(name, 0)
            setattr(self, name, value)
            return value

    def __repr__(self) -> str:
        return f"Stream({self.id}, {self.head!r}, {self.body!r}, {self.trailers!r})"
