"""Runs of like requests: the next one is expected to look as the last did, and is read in one step.

A load test's requests differ in their stream ids and bodies only. Where frames come as expected they are
compared and taken apart by one call for a whole message; where they don't, nothing has happened and the
frames go the usual way. What counts as a like message is exactly what the short way of `Connection._walk`
takes, so that the outcome is the same. (Responses have a way of their own, in `runs`: a server needs the
bodies of all its requests.)
"""

from __future__ import annotations

from struct import Struct

from whichpod.wire import frames
from whichpod.wire.block import Block
from whichpod.wire.decoder import Decoder

START_LUCK = 32
MOST_LUCK = 256
LEARNING_COST = 4
_SHAPE = ((frames.HEADERS, frames.END_HEADERS), (frames.DATA, frames.END_STREAM))


class Pattern:
    """The bytes of a request around its stream ids and its body.

    `unpack` gives (front, id, middle, id, body) of each request in a run of them.
    """

    __slots__ = ("block", "body", "front", "generation", "middle", "size", "unpack")

    def __init__(self, data: bytes, at: int, head: int, body: int) -> None:
        self.body = body
        block_end = at + frames.HEAD_SIZE + head
        self.front = data[at : at + 5]
        self.middle = data[at + frames.HEAD_SIZE : block_end + 5]
        shape = Struct(f">5sI{len(self.middle)}sI{body}s")
        self.unpack = shape.iter_unpack
        self.size = shape.size
        self.block: Block
        self.generation: int


class Patterns:
    """The pattern of what comes, and whether it pays to look for it: peers that mix streams or whose sizes
    vary use up the luck, and then no more is tried."""

    __slots__ = ("current", "luck")

    def __init__(self) -> None:
        self.current: Pattern | None = None
        self.luck = START_LUCK
        """Grows with each message taken in one step, and shrinks by each try in vain."""

    def learn(self, data: bytes, at: int, end: int, decoder: Decoder) -> Pattern | None:
        """The pattern of a request that fills `data` from `at` to `end`, if it is one whose header block
        leaves the decoder's table alone."""
        self.luck -= LEARNING_COST
        sizes = []
        place = at
        first_id = frames.read_u32(data, at + 5)[0]
        for kind, flags in _SHAPE:
            if place + frames.HEAD_SIZE > end:
                return None
            word, found_flags, stream_id = frames.read_head(data, place)
            if (word & 0xFF, found_flags, stream_id) != (kind, flags, first_id):
                return None
            sizes.append(word >> 8)
            place += frames.HEAD_SIZE + sizes[-1]
        if place != end:
            return None
        pattern = Pattern(data, at, *sizes)
        block = decoder.cache.get(pattern.middle[:-5])
        if block is None or block.content_length not in (None, pattern.body):
            return None
        pattern.block, pattern.generation = block, decoder.generation
        self.current = pattern
        return pattern
