"""Runs of like responses: requests that went out together, and the answers to them taken in together.

A load test's requests go out many at a time, and where the server answers them in order, its responses differ
in their stream ids and in a part of their bodies only. Then neither needs an object for each. Whatever comes
that is not as expected goes the usual way, frame by frame, and nothing has happened.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

from whichpod.wire import frames
from whichpod.wire.block import Block
from whichpod.wire.connection import Connection
from whichpod.wire.limits import Limits
from whichpod.wire.rows import MOST_ROWS, Rows
from whichpod.wire.run import Flight, Likeness, Run
from whichpod.wire.stream import Stream

START_LUCK, MOST_LUCK = 32, 256
LEARNING_COST = 4
_LAST = frames.END_HEADERS | frames.END_STREAM


class Runs(Connection):
    """A client's requests in flight."""

    __slots__ = ("_alike", "_flying", "_fresh", "_further", "_latest", "_luck")

    def __init__(self, now: int, limits: Limits | None) -> None:
        super().__init__(now, limits)
        self._alike: int | None = None
        self._flying = 0
        self._latest = Flight(0, [])
        # What responses look like from their beginning; and from their bodies on, of those that have begun.
        self._fresh: Likeness | None = None
        self._further: Likeness | None = None
        # Grows with each message taken in one step, and shrinks by each try in vain: peers that mix streams
        # or whose sizes vary use it up, and then no more is tried.
        self._luck = START_LUCK

    @property
    def alike(self) -> int | None:
        """How many octets at the start of bodies tell responses apart: those that have them in common, and
        look alike otherwise, may come as a Run. None: each response comes as its Stream."""
        return self._alike

    @alike.setter
    def alike(self, octets: int | None) -> None:
        if octets != self._alike:
            self._alike = octets
            self._fresh = self._further = None

    def _depart(self, first: int, tokens: Sequence[Any]) -> None:
        """Requests went out on consecutive streams."""
        flights = self._flights
        if self._alike is not None and self._luck > 0 and (len(tokens) > 1 or flights):
            self._flying += len(tokens)
            latest = self._latest
            if latest.end == first and latest.head is None and flights.get(latest.first) is latest:
                latest.tokens += tokens
                latest.end += 2 * len(tokens)
            else:
                self._latest = flights[first] = Flight(first, list(tokens))
            return
        # Tokens are kept in the order of time.
        self._land()
        self._pending.update(zip(range(first, first + 2 * len(tokens), 2), tokens, strict=True))

    def _land(self, last: int = frames.MAX_ID) -> None:
        """From now on each request up to a stream is on its own."""
        for first in sorted(self._flights):
            if first > last:
                break
            flight = self._flights.pop(first)
            self._flying -= len(flight.tokens)
            pending = self._pending
            for row, token in enumerate(flight.tokens):
                pending[first + 2 * row] = token
                if flight.head is not None:
                    stream = self._find(first + 2 * row)
                    assert stream is not None
                    self._begin_response(stream, flight.head)

    def _begin_response(self, stream: Stream, head: Block) -> None:
        """The header fields of a collected response, which are in order, have come."""
        stream.head = head
        # What it is worked out from goes with `room`.
        stream.done = stream.done
        stream.room = 0
        if head.content_length != 0:
            stream.room = self._room
            head.plain = True

    def _find(self, stream_id: int) -> Stream | None:
        if self._flights and any(flight.first <= stream_id < flight.end for flight in self._flights.values()):
            self._luck -= 1
            self._land(stream_id)
        return super()._find(stream_id)

    def _land_late(self, is_late: Callable[[Any], bool]) -> None:
        if any(is_late(flight.tokens[0]) for flight in self._flights.values()):
            self._land()

    def _take_runs(self, data: bytes, at: int, end: int) -> int:
        flights = self._flights
        while end - at >= frames.HEAD_SIZE:
            flight = flights.get(frames.read_u32(data, at + 5)[0])
            if flight is None:
                break
            like = self._fresh if flight.head is None else self._further
            count = self._count_like(like, flight, data, at, end)
            if not count and not (like and end - at < like.rows.size):
                like = self._learn(flight, data, at, end)
                count = self._count_like(like, flight, data, at, end)
            if not count or like is None:
                self._luck -= 1
                self._land(flight.first)
                break
            after = at + count * like.rows.size
            first, tokens = flight.first, flight.tokens
            del flights[first]
            if count < len(tokens):
                tokens, flight.tokens = tokens[:count], tokens[count:]
                flight.first += 2 * count
                flights[flight.first] = flight
            if like.trailers is None:
                flights[first] = Flight(first, tokens, like.head)
                if count == 1 and end > after:
                    # They came first by chance, at the end of a read.
                    self._fresh = None
            else:
                self._luck = min(self._luck + count, MOST_LUCK)
                self._allowance -= count * like.body
                self._flying -= count
                whole = at == 0 and after == len(data)
                self._events.append(Run(like, first, tokens, data if whole else data[at:after]))
            at = after
        return at

    def _count_like(self, like: Likeness | None, flight: Flight, data: bytes, at: int, end: int) -> int:
        """How many of a flight's responses come next and look like that."""
        if like is None or like.generation != self._decoder.generation:
            return 0
        count = min((end - at) // like.rows.size, len(flight.tokens), MOST_ROWS)
        if like.body:
            # Each body uses the connection's window; where it must be opened again the usual way does it.
            count = min(count, (self._allowance - self._low) // like.body)
            if flight.head is not None and flight.head is not like.head:
                return 0
        return like.rows.alike(data, at, flight.first, count) if count > 0 else 0

    def _learn(self, flight: Flight, data: bytes, at: int, end: int) -> Likeness | None:
        """How the flight's next response looks, if it is one whose header blocks leave the decoder's table
        alone and that every check lets pass."""
        self._luck -= LEARNING_COST
        cache = self._decoder.cache
        head = flight.head
        pieces = []
        sizes = []
        blocks = []
        place = at
        wanted = ((frames.HEADERS, frames.END_HEADERS),) if head is None else ()
        for kind, flags in (*wanted, (frames.DATA, frames.NO_FLAGS), (frames.HEADERS, _LAST)):
            if place + frames.HEAD_SIZE > end:
                break
            word, found_flags, stream_id = frames.read_head(data, place)
            after = place + frames.HEAD_SIZE + (word >> 8)
            if (word & 0xFF, found_flags, stream_id) != (kind, flags, flight.first) or after > end:
                break
            payload = data[place + frames.HEAD_SIZE : after]
            if kind == frames.HEADERS:
                block = cache.get(payload)
                if block is None:
                    return None
                blocks.append(block)
            pieces.append((data[place : place + 5], payload))
            sizes.append(len(payload))
            place = after
        if head is None:
            if not blocks or not blocks[0].plain or blocks[0].flaw:
                return None
            head = blocks.pop(0)
        generation = self._decoder.generation
        if not blocks:
            # The beginnings come first, all bodies later.
            if len(pieces) != 1 or flight.head is not None:
                return None
            rows = Rows(pieces[0])
            self._fresh = Likeness(rows, generation, head)
            return self._fresh
        (trailers,) = blocks
        body = sizes[-2]
        assert self._alike is not None
        if not trailers.trailing or not 0 < body <= self._room or head.content_length not in (None, body):
            return None
        around = [pieces[0][0]]
        for (_, payload), (front, _) in pairwise(pieces):
            around.append(payload + front)
        around.append(pieces[-1][1])
        body_at = place - sizes[-1] - frames.HEAD_SIZE - body - at
        same = min(self._alike, body)
        rows = Rows(around, (body_at + same, body - same))
        like = Likeness(rows, generation, head, trailers, body_at, body, same)
        if flight.head is None:
            self._fresh = like
        else:
            self._further = like
        return like

    # What has no stream of its own is in flight too.

    @property
    def open_streams(self) -> int:
        """Streams that have not ended on both sides."""
        return len(self._streams) + len(self._pending) + self._flying

    @property
    def streams(self) -> list[Stream]:
        """Those streams, the oldest first."""
        self._land()
        return super().streams
