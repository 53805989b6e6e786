"""Runs of like messages: the next one is expected to look as the last did, and is read in one step.

A load test's requests, and the responses to them, differ in their stream ids and bodies only. Where frames
come as expected they are compared and taken apart by one call for a whole message; where they don't, nothing
has happened and the frames go the usual way. What counts as a like message is exactly what the short way of
`Connection._walk` takes, so that the outcome is the same.
"""

from __future__ import annotations

from struct import Struct

from whichpod.wire import frames
from whichpod.wire.block import Block
from whichpod.wire.decoder import Decoder

START_LUCK = 32
MOST_LUCK = 256
LEARNING_COST = 4


class Pattern:
    """The bytes of a message around its stream ids and its body.

    `unpack` gives (front, id, middle, id, body) and, for a response, (..., after, id, tail) of each message
    in a run of them.
    """

    __slots__ = (
        "after",
        "block",
        "body",
        "front",
        "generation",
        "middle",
        "size",
        "tail",
        "trailers",
        "unpack",
    )

    def __init__(self, data: bytes, at: int, sizes: list[int]) -> None:
        head, self.body = sizes[:2]
        block_end = at + frames.HEAD_SIZE + head
        self.front = data[at : at + 5]
        self.middle = data[at + frames.HEAD_SIZE : block_end + 5]
        layout = f">5sI{len(self.middle)}sI{self.body}s"
        self.after = self.tail = b""
        if len(sizes) == 3:
            trailers = block_end + frames.HEAD_SIZE + self.body
            self.after = data[trailers : trailers + 5]
            self.tail = data[trailers + frames.HEAD_SIZE : trailers + frames.HEAD_SIZE + sizes[2]]
            layout += f"5sI{sizes[2]}s"
        shape = Struct(layout)
        self.unpack = shape.iter_unpack
        self.size = shape.size
        self.block: Block
        self.trailers: Block | None
        self.generation: int


class Patterns:
    """The pattern of one direction, and whether it pays to look for it: peers that mix streams or whose sizes
    vary use up the luck, and then no more is tried."""

    __slots__ = ("_heads", "current", "luck")

    def __init__(self, *, requests: bool) -> None:
        last = frames.END_HEADERS | frames.END_STREAM
        self._heads = [(frames.HEADERS, frames.END_HEADERS), (frames.DATA, frames.END_STREAM)]
        if not requests:
            self._heads[1:] = [(frames.DATA, frames.NO_FLAGS), (frames.HEADERS, last)]
        self.current: Pattern | None = None
        self.luck = START_LUCK
        """Grows with each message taken in one step, and shrinks by each try in vain."""

    def learn(self, data: bytes, at: int, end: int, decoder: Decoder) -> Pattern | None:
        """The pattern of a message that fills `data` from `at` to `end`, if it is one whose header blocks
        leave the decoder's table alone."""
        self.luck -= LEARNING_COST
        sizes = []
        place = at
        first_id = frames.read_u32(data, at + 5)[0]
        for kind, flags in self._heads:
            if place + frames.HEAD_SIZE > end:
                return None
            word, found_flags, stream_id = frames.read_head(data, place)
            if (word & 0xFF, found_flags, stream_id) != (kind, flags, first_id):
                return None
            sizes.append(word >> 8)
            place += frames.HEAD_SIZE + sizes[-1]
        if place != end:
            return None
        pattern = Pattern(data, at, sizes)
        block = decoder.cache.get(pattern.middle[:-5])
        trailers = decoder.cache.get(pattern.tail) if pattern.tail else None
        if block is None or (pattern.tail and trailers is None):
            return None
        if block.content_length not in (None, pattern.body):
            return None
        pattern.block, pattern.trailers, pattern.generation = block, trailers, decoder.generation
        self.current = pattern
        return pattern
