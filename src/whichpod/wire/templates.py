"""Requests and replies that are sent many times: what stays the same between them."""

from __future__ import annotations

from whichpod.wire.encoder import Fields
from whichpod.wire.frames import DEFAULT_FRAME
from whichpod.wire.rows import Rows

MOST_OVERHEAD = 16
"""Of a field in a header block: the integers of its literal, and its share of table size updates."""


class Request:
    """A unary request: header fields and the whole body, framed for gRPC already. Serves any connection."""

    __slots__ = ("body", "fields", "large", "rows")

    def __init__(self, fields: Fields, body: bytes) -> None:
        self.fields = fields
        self.body = body
        self.large = _large(fields)
        self.rows: dict[tuple[bytes, ...], Rows] = {}
        """For the connections: its bytes for any stream ids, by what is between these."""


class Reply:
    """A reply's header fields and trailers; the body differs. Empty trailers: the body ends the stream."""

    __slots__ = ("head", "large", "trailers")

    def __init__(self, head: Fields, trailers: Fields = ()) -> None:
        self.head = head
        self.trailers = trailers
        self.large = _large(head) or _large(trailers)


def _large(fields: Fields) -> bool:
    """Whether the block may need a CONTINUATION."""
    return sum(len(name) + len(value) + MOST_OVERHEAD for name, value in fields) > DEFAULT_FRAME
