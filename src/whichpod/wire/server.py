"""The server's side of a connection."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from struct import Struct

from whichpod.wire import frames, settings
from whichpod.wire.block import Block
from whichpod.wire.connection import Connection
from whichpod.wire.encoder import Fields
from whichpod.wire.errors import ErrorCode, LocalProtocolError, RemoteProtocolError
from whichpod.wire.events import Opened
from whichpod.wire.limits import Limits
from whichpod.wire.pattern import Pattern
from whichpod.wire.stream import COMPLETE, Stream
from whichpod.wire.templates import Reply

GAPS = 32
KEPT_SHAPES = 1_024
DRAIN_PING = b"drained?"
_Shape = tuple[Callable[..., bytes], bytes, bytes, bytes, bytes, int]
"""A response to be packed: how, what stands around ids and body, and how long it is."""


def _collected(_head: Block) -> bool:
    return False


class ServerConnection(Connection):
    """Answers streams. A request comes as its Stream once it is complete; where `streams(head)` says so, as
    Opened, Body and Ended. Failed tells that a request which was handed over needs no answer any more.
    """

    __slots__ = (
        "_drain_since", "_final_id", "_gaps", "_is_streamed", "_shapes", "_shapes_kept",
    )  # fmt: skip
    _serves = True

    def __init__(
        self, now: int, limits: Limits | None = None, *, streams: Callable[[Block], bool] = _collected
    ) -> None:
        super().__init__(now, limits)
        self._is_streamed = streams
        self._expected = 1
        self._shapes_kept = 0
        self._shapes: dict[Reply, dict[int, _Shape]] = {}
        # Ranges of ids that the client left out, to tell a stream that ended from one that never was.
        self._gaps: deque[range] = deque(maxlen=GAPS)
        self._final_id: int | None = None
        self._drain_since: int | None = None
        self._introduce({settings.MAX_CONCURRENT_STREAMS: self.limits.streams})

    # Answers.

    def respond(self, stream: Stream, reply: Reply, body: bytes) -> bool:
        """Sends a whole response, or queues it where the windows are shut.

        False when the stream is gone, which is no fault: the client's reset may be an event not yet seen.
        Raises LocalProtocolError for a second response.
        """
        return self.responses(reply, ((stream, body),)) == 1

    def responses(self, reply: Reply, answers: Iterable[tuple[Stream, bytes]]) -> int:
        """Sends a response for each stream with its body, all with the same reply. Says for how many; the
        others are gone. One call for many costs least."""
        streams, add = self._streams, self._out.append
        count = left = sent = size = length = 0
        try:
            for stream, body in answers:
                stream_id = stream.id
                if streams.get(stream_id) is not stream:
                    continue
                if not left or len(body) != size or stream.room != COMPLETE:
                    # Not as the last one: settles what those took, and looks at everything again.
                    if sent:
                        self._window -= sent * size
                        self._out_size += sent * length
                        sent = 0
                    size = len(body)
                    shape = self._ready(reply, stream, size)
                    if shape is None:
                        left = 0
                        self._answer(reply, stream, body)
                        count += 1
                        continue
                    left, (pack, start, middle, after, tail, length) = shape
                left -= 1
                sent += 1
                count += 1
                add(pack(start, stream_id, middle, stream_id, body, after, stream_id, tail))
                del streams[stream_id]
        finally:
            self._window -= sent * size
            self._out_size += sent * length
        return count

    def send_head(self, stream: Stream, fields: Fields, *, end: bool = False) -> bool:
        """Sends response header fields; `end` for trailers-only. False when the stream is gone."""
        if self.closed or self._streams.get(stream.id) is not stream:
            return False
        self._claim(stream)
        self._send_head(stream, fields, end=end)
        if end:
            self._finished(stream)
        return True

    def send_trailers(self, stream: Stream, fields: Fields) -> bool:
        """Ends a response with trailers, after the body that still waits. False when the stream is gone."""
        if self.closed or self._streams.get(stream.id) is not stream:
            return False
        if stream.finish or stream.done or not stream.answered:
            raise LocalProtocolError(f"Trailers of stream {stream.id} are out of place.", stream_id=stream.id)
        self._queue(stream, b"", end=True, tail=fields)
        return True

    # The end.

    def drain(self, now: int) -> None:
        """Asks the client to open no more streams: GOAWAY with 2^31-1 and a PING, and once that is back (or
        `Limits.patience_ns` later) GOAWAY with the last stream that is served (RFC 9113, section 6.8)."""
        if self.closed or self._drain_since is not None or self._final_id is not None:
            return
        self._drain_since = now
        self._write(frames.goaway(frames.MAX_ID, ErrorCode.NO_ERROR))
        self._write(frames.ping(DRAIN_PING))

    @property
    def draining(self) -> bool:
        """`drain` was called."""
        return self._drain_since is not None or self._final_id is not None

    @property
    def finished(self) -> bool:
        """Drained: the last stream is served and it can be closed."""
        return self.closed or (self._final_id is not None and not self._streams)

    def _say_last_id(self) -> None:
        self._drain_since = None
        self._final_id = self._last_id
        self._expected = -1
        self._write(frames.goaway(self._final_id, ErrorCode.NO_ERROR))

    def _on_pong(self, payload: bytes) -> None:
        if payload == DRAIN_PING and self._drain_since is not None:
            self._say_last_id()
        else:
            super()._on_pong(payload)

    def _timed(self) -> list[int | None]:
        return [*super()._timed(), self._drain_since]

    def _late(self) -> None:
        self._say_last_id()

    # How it is done.

    def _ready(self, reply: Reply, stream: Stream, size: int) -> tuple[int, _Shape] | None:
        """How many answers with bodies of that size may go at once, this one the first, and their shape. None
        where this one takes the usual way."""
        window, spare = self._window, self._most_out - self._out_size
        # Nothing may be encoded that isn't sent: the peer's table would not follow.
        if (
            stream.room != COMPLETE
            or not 0 < size <= self._largest
            or size > window
            or spare <= 0
            or self._waiting
            or reply.large
            or not reply.trailers
        ):
            return None
        shapes = self._shapes.get(reply)
        shape = shapes.get(size) if shapes else None
        if shape is None:
            return 1, self._shape(reply, size)
        count, most = window // size, spare // shape[-1] + 1
        return count if count < most else most, shape

    def _answer(self, reply: Reply, stream: Stream, body: bytes) -> None:
        self._claim(stream)
        self._send_head(stream, reply.head, end=False)
        self._queue(stream, body, end=True, tail=reply.trailers)

    def _claim(self, stream: Stream) -> None:
        """A response begins, once for each stream."""
        if stream.answered:
            raise LocalProtocolError(f"Stream {stream.id} is answered already.", stream_id=stream.id)
        stream.answered = True
        if stream.room == COMPLETE:
            stream.ended = True
            stream.room = 0

    def _shape(self, reply: Reply, size: int) -> _Shape:
        """What stands around the stream ids and a body of that size. Kept where it will hold."""
        generation = self._encoder.generation
        head, tail = self._encoder.encode(reply.head), self._encoder.encode(reply.trailers)
        start = frames.front(len(head), frames.HEADERS, frames.END_HEADERS)
        middle = head + frames.front(size, frames.DATA, frames.NO_FLAGS)
        after = frames.front(len(tail), frames.HEADERS, frames.END_HEADERS | frames.END_STREAM)
        layout = Struct(f">{len(start)}sI{len(middle)}sI{size}s{len(after)}sI{len(tail)}s")
        shape = (layout.pack, start, middle, after, tail, layout.size)
        if generation == self._encoder.generation:
            if self._shapes_kept >= KEPT_SHAPES:
                self._templates_changed()
            self._shapes_kept += 1
            self._shapes.setdefault(reply, {})[size] = shape
        return shape

    def _templates_changed(self) -> None:
        self._shapes.clear()
        self._shapes_kept = 0

    def _begin(self, data: bytes) -> int:
        preface = frames.PREFACE
        if not data.startswith(preface[: len(data)]):
            raise RemoteProtocolError("The client's preface is not HTTP/2's.")
        return len(preface) if len(data) >= len(preface) else -1

    def _is_idle(self, stream_id: int) -> bool:
        return not stream_id & 1 or stream_id > self._last_id

    def _known(self, _stream: Stream) -> bool:
        return _stream.ended or _stream.streamed

    def _last_peer_id(self) -> int:
        return self._last_id if self._final_id is None else self._final_id

    def _ignored(self, stream_id: int) -> bool:
        return self._final_id is not None and stream_id > self._final_id

    def _on_headers(self, stream_id: int, block: Block, end: bool) -> None:
        if stream_id <= self._last_id or not stream_id & 1:
            self._on_more_headers(stream_id, block, end)
            return
        skipped = range(self._last_id + 1 | 1, stream_id, 2)
        if skipped:
            self._gaps.append(skipped)
        self._last_id = stream_id
        if self._final_id is not None:
            self._chore("HEADERS after our GOAWAY")
            return
        self._expected = stream_id + 2
        if len(self._streams) >= self.limits.streams:
            raise RemoteProtocolError("Too many streams.", ErrorCode.REFUSED_STREAM, stream_id)
        if block.flaw:
            self._check_block(stream_id, block, block.flaw)
        self._work += 1
        stream = Stream()
        stream.id = stream_id
        stream.head = block
        self._streams[stream_id] = stream
        if self._is_streamed(block):
            stream.streamed = True
            self._events.append(Opened(stream))
        elif block.content_length != 0:
            stream.room = self._room
            block.plain = True
        if end:
            self._on_end(stream)

    def _take_like(self, pattern: Pattern, data: bytes, at: int, end: int) -> int:
        if pattern.generation != self._decoder.generation:
            return at
        streams, size, expected = self._streams, pattern.size, self._expected
        # Each body uses the connection's window; where it must be opened again the usual way does it.
        most = (self._allowance - self._low) // pattern.body
        most = min(most, self.limits.streams - len(streams), (frames.MAX_ID - expected) // 2 + 1)
        count = (end - at) // size
        if count > most:
            count = most
        if count <= 0:
            return at
        front, middle, block, found = pattern.front, pattern.middle, pattern.block, self._events.append
        start = at
        for first, stream_id, second, twin, body in pattern.unpack(
            data if count * size == end else data[at : at + count * size]
        ):
            if stream_id != expected or twin != expected or second != middle or first != front:
                break
            streams[stream_id] = stream = Stream()
            stream.id = stream_id
            stream.head = block
            stream.body = body
            stream.room = COMPLETE
            found(stream)
            expected += 2
            at += size
        count = (at - start) // size
        if count:
            self._expected = expected
            self._last_id = expected - 2
            self._work += count
            self._allowance -= count * pattern.body
        self._patterns.luck += count or -1
        return at

    def _on_more_headers(self, stream_id: int, block: Block, end: bool) -> None:
        """Header fields on a stream that isn't new: trailers, or a fault."""
        stream = self._streams.get(stream_id)
        if stream is not None and not stream.ended:
            self._on_trailers(stream, block, end)
        elif stream is not None:
            raise RemoteProtocolError(
                f"HEADERS after the end of stream {stream_id}.", ErrorCode.STREAM_CLOSED, stream_id
            )
        elif not stream_id & 1 or any(stream_id in gap for gap in self._gaps):
            raise RemoteProtocolError(f"Stream {stream_id} can't be opened: {self._last_id} was.")
        elif stream_id in self._forsaken or self._ignored(stream_id):
            self._chore("HEADERS after our reset")
        else:
            raise RemoteProtocolError(f"HEADERS on closed stream {stream_id}.", ErrorCode.STREAM_CLOSED)

    def _half_closed(self, stream: Stream) -> None:
        self.reset(stream, ErrorCode.NO_ERROR)
