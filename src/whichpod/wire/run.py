"""Requests that went out together, and responses that look alike."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from whichpod.wire.block import Block
from whichpod.wire.rows import Rows
from whichpod.wire.stream import Stream


class Flight:
    """Requests that went out together, on consecutive streams."""

    __slots__ = ("end", "first", "head", "tokens")

    def __init__(self, first: int, tokens: list[Any], head: Block | None = None) -> None:
        self.first = first
        self.end = first + 2 * len(tokens)
        """The id after the last one's."""
        self.tokens = tokens
        self.head = head
        """The header fields that each response has begun with; None: none has begun."""


class Likeness:
    """What responses that look alike have in common: header fields, trailers, the size of their bodies, and
    the first octets of these."""

    __slots__ = ("body", "body_at", "generation", "head", "mark", "rows", "same", "trailers")

    def __init__(
        self,
        rows: Rows,
        generation: int,
        head: Block,
        trailers: Block | None = None,
        body_at: int = 0,
        body: int = 0,
        same: int = 0,
    ) -> None:
        self.rows = rows
        self.generation = generation
        self.head = head
        self.trailers = trailers
        """None: the rows are header fields alone, the beginnings of responses."""
        self.body_at = body_at
        self.body = body
        self.same = same
        """Octets at the start of their bodies that are the same."""
        self.mark: Any = None
        """For the layer above: what it worked out from a response."""


class Run:
    """An event: responses of consecutive streams that are complete and look alike. To iterate makes a Stream
    of each, as they would have come one by one."""

    __slots__ = ("_data", "first", "like", "tokens")

    def __init__(self, like: Likeness, first: int, tokens: Sequence[Any], data: bytes) -> None:
        self.like = like
        self.first = first
        """The first one's stream id."""
        self.tokens = tokens
        self._data = data

    def __len__(self) -> int:
        return len(self.tokens)

    def __iter__(self) -> Iterator[Stream]:
        like = self.like
        for row, token in enumerate(self.tokens):
            stream = Stream()
            stream.id = self.first + 2 * row
            stream.token = token
            stream.head, stream.trailers = like.head, like.trailers
            at = row * like.rows.size + like.body_at
            stream.body = self._data[at : at + like.body]
            stream.done = stream.ended = True
            yield stream
