"""The read side of a connection: bytes to frames, header blocks, events. Shared by both roles."""

from __future__ import annotations

import sys
from abc import abstractmethod

from whichpod.wire import frames
from whichpod.wire.block import Block
from whichpod.wire.control import NAMES
from whichpod.wire.errors import ErrorCode, RemoteProtocolError
from whichpod.wire.events import Event
from whichpod.wire.limits import Limits
from whichpod.wire.pattern import MOST_LUCK, Pattern, Patterns
from whichpod.wire.receiving import Receiving, strip_padding
from whichpod.wire.run import Flight
from whichpod.wire.stream import AWAITING, COMPLETE, TAKEN, Stream

UNREAD = 1_048_576
"""Bytes of header fields that may wait to be taken, beyond `Limits.outbound`."""
_MOST = frames.DEFAULT_FRAME << 8 | 0xFF
"""The first word of a frame of the largest size that we accept."""
_WHOLE = frames.END_HEADERS
_WHOLE_AND_LAST = frames.END_HEADERS | frames.END_STREAM
_HELD = (frames.HEADERS, frames.CONTINUATION)
_KNOWN = frozenset(NAMES)


class Connection(Receiving):
    """One HTTP/2 connection without its socket.

    The owner passes what arrives to `receive`, sends what `take` gives, and calls `tick` once `deadline` has
    come. Faults of the peer come as events (Failed, Terminated); they are never raised. Time is in ns, of any
    clock that doesn't go back.
    """

    __slots__ = (
        "_begun", "_block_since", "_expected", "_flights", "_last_id", "_need", "_partial", "_patterns",
        "_rest", "_skip", "_started", "_unread",
    )  # fmt: skip

    def __init__(self, now: int, limits: Limits | None = None) -> None:
        super().__init__(now, limits or Limits())
        self._begun = False
        self._rest = bytearray()
        self._need = 0
        self._patterns = Patterns()
        # The id that the client's next stream has, while it may open one (a server's state); else -1.
        self._expected = -1
        self._last_id = 0
        # A client's requests that went out together, by the first one's stream id.
        self._flights: dict[int, Flight] = {}
        # An oversized frame's payload is thrown away as it comes.
        self._skip = 0
        # (stream id, END_STREAM, bytes so far, CONTINUATIONs) of a header block that isn't complete.
        self._partial: tuple[int, bool, bytes, int] | None = None
        self._block_since: int | None = None
        self._started = now
        # Answers without a body don't wait for room, so a server hangs up on who asks and never reads.
        self._unread = self.limits.outbound + UNREAD if self._serves else sys.maxsize

    @abstractmethod
    def _on_headers(self, stream_id: int, block: Block, end: bool) -> None:
        """A complete header block. The stream may be any but 0."""

    @abstractmethod
    def _begin(self, data: bytes) -> int:
        """Checks how the peer starts; the offset from which frames follow, or -1 while that can't be told."""

    def receive(self, data: bytes, now: int) -> list[Event]:
        """What the bytes mean. How a stream of bytes is cut into calls makes no difference to the events."""
        self._now = now
        events: list[Event] = []
        self._events = events
        if self.closed:
            return events
        if self._out_size > self._unread:
            self._terminate(RemoteProtocolError("The peer does not read.", ErrorCode.ENHANCE_YOUR_CALM))
            return events
        rest = self._rest
        if rest:
            rest += data
            if len(rest) < self._need:
                return events
            data = bytes(rest)
            rest.clear()
        try:
            at = self._walk(data, 0) if self._begun else self._start(data)
        except RemoteProtocolError as error:
            self._terminate(error)
            return events
        if at < len(data):
            rest += data[at:]
        if rest or self._partial is not None or self._block_since is not None:
            self._time_block(at)
        # Not held on to: the last streams of a thousand connections would fill the CPU's caches.
        self._events = []
        return events

    def receive_eof(self, now: int) -> list[Event]:
        """The peer closed its side. Streams that are open fail; inside a frame it is an error."""
        self._now = now
        self._events = []
        if self.closed:
            return self._events
        error = None
        if self._rest or self._skip or self._partial is not None:
            error = RemoteProtocolError("The peer closed the connection inside a frame.")
        elif not self._settled:
            error = RemoteProtocolError("The peer closed the connection before its SETTINGS.")
        elif self.open_streams and not self._serves:
            error = RemoteProtocolError(
                f"The peer closed the connection with {self.open_streams} streams open."
            )
        self._end(error)
        return self._events

    @property
    def deadline(self) -> int | None:
        """When `tick` is due next, in ns; None when nothing is timed."""
        since = [at for at in self._timed() if at is not None]
        return min(since) + self.limits.patience_ns if since else None

    def _timed(self) -> list[int | None]:
        return [None if self._settled else self._started, self._settings_sent, self._block_since]

    def tick(self, now: int) -> list[Event]:
        """Ends the connection where the peer took too long (`Limits.patience_ns`)."""
        self._now = now
        self._events = []
        due = self.deadline
        if self.closed or due is None or now < due:
            return self._events
        late = now - self.limits.patience_ns
        if not self._settled and late >= self._started:
            self._terminate(
                RemoteProtocolError("The peer sent no SETTINGS in time.", ErrorCode.SETTINGS_TIMEOUT)
            )
        elif self._settings_sent is not None and late >= self._settings_sent:
            self._terminate(
                RemoteProtocolError("Our SETTINGS were not acknowledged.", ErrorCode.SETTINGS_TIMEOUT)
            )
        elif self._block_since is not None and late >= self._block_since:
            self._terminate(
                RemoteProtocolError("A header block takes too long.", ErrorCode.ENHANCE_YOUR_CALM)
            )
        else:
            self._late()
        return self._events

    def _late(self) -> None:
        """What else a role times is due."""

    def _start(self, data: bytes) -> int:
        at = self._begin(data)
        if at < 0:
            self._need = len(data) + 1
            return 0
        if len(data) - at >= frames.HEAD_SIZE:
            word, flags, stream_id = frames.read_head(data, at)
            if word & 0xFF != frames.SETTINGS or flags & frames.ACK or stream_id & frames.MAX_ID:
                raise RemoteProtocolError("The first frame is not SETTINGS.")
            self._begun = True
            return self._walk(data, at)
        self._need = at + frames.HEAD_SIZE
        return 0

    def _time_block(self, at: int) -> None:
        """Notes since when a header block is under way."""
        rest = self._rest
        if self._partial is not None:
            if self._block_since is None:
                self._block_since = self._now
        elif rest and self._begun and len(rest) > 3 and rest[3] in _HELD:
            if at or self._block_since is None:
                self._block_since = self._now
        else:
            self._block_since = None

    def _walk(self, data: bytes, at: int) -> int:
        """Handles every whole frame from `at` on; the offset of what is left.

        The frames of plain unary messages are handled here without a call for each: HEADERS whose block is in
        the cache, DATA that brings the whole body. The rules are those of the long way, which takes the rest.
        """
        patterns, end = self._patterns, len(data)
        if patterns.current is not None and self._partial is None and not self._skip:
            at = self._take_like(patterns.current, data, at, end)
            if at == end:
                self._need = frames.HEAD_SIZE
                return at
        flights = self._flights
        streams, pending = self._streams, self._pending
        cache, events = self._decoder.cache, self._events
        read_head, serves, low = frames.read_head, self._serves, self._low
        room, most = self._room, self.limits.streams
        last = end - frames.HEAD_SIZE
        if self._skip:
            at = self._skip_some(at, end)
        plain = self._partial is None
        lucky = patterns.luck > 0
        began = at
        while at <= last:
            word, flags, stream_id = read_head(data, at)
            if stream_id in flights and plain:
                start, at = at, self._take_runs(data, at, end)
                if at > start:
                    continue
            start = at + 9
            at = start + (word >> 8)
            if word > _MOST:
                self._oversized(word & 0xFF, word >> 8, stream_id & frames.MAX_ID)
                self._skip = word >> 8
                at = self._skip_some(start, end)
                continue
            if at > end:
                self._need = at - start + 9
                return start - 9
            kind = word & 0xFF
            try:
                if kind == 0 and plain:
                    stream = streams.get(stream_id)
                    # A body of another size than its content-length goes the long way, to be refused there.
                    if (
                        stream is not None
                        and flags < 2
                        and 0 < at - start <= stream.room
                        and stream.head.content_length in (None, at - start)  # type: ignore[union-attr]
                    ):
                        stream.body = data[start:at]
                        stream.room = TAKEN
                        self._allowance = allowance = self._allowance - (at - start)
                        if allowance < low:
                            self._use_window(0)
                            self._refill(self._control)
                        if flags:
                            events.append(stream)
                            if not serves:
                                stream.ended = True
                                self._peer_finished(stream)
                                continue
                            stream.room = COMPLETE
                            if lucky:
                                at = self._continue_like(data, began, at, end)
                        continue
                elif kind == 1 and plain and flags | 1 == _WHOLE_AND_LAST:
                    block = cache.get(data[start:at])
                    if block is None:
                        self._check_place(frames.HEADERS, stream_id & frames.MAX_ID)
                        block = self._decoder.decode(data[start:at])
                    if (
                        stream_id == self._expected <= frames.MAX_ID
                        and block.plain
                        and flags == _WHOLE
                        and len(streams) < most
                    ):
                        stream = Stream()
                        stream.id = stream_id
                        stream.head = block
                        stream.room = room
                        began = start - 9
                        streams[stream_id] = stream
                        self._last_id = stream_id
                        self._expected = stream_id + 2
                        self._work += 1
                        continue
                    stream = self._find(stream_id) if stream_id in pending else streams.get(stream_id)
                    if stream is not None:
                        if flags == _WHOLE:
                            if stream.room == AWAITING and block.plain:
                                stream.head = block
                                stream.room = room
                                stream.done = True
                                continue
                        elif stream.room == TAKEN and block.trailing:
                            stream.trailers = block
                            stream.room = 0
                            stream.ended = True
                            events.append(stream)
                            if not serves:
                                if stream.done:
                                    del streams[stream_id]
                                else:
                                    self._peer_finished(stream)
                            continue
                    self._check_place(frames.HEADERS, stream_id & frames.MAX_ID)
                    self._on_headers(stream_id & frames.MAX_ID, block, flags == _WHOLE_AND_LAST)
                    continue
                self._frame(kind, flags, stream_id & frames.MAX_ID, data[start:at])
            except RemoteProtocolError as error:
                if error.stream_id is None:
                    raise
                self._reject(error)
                self._refill(self._control)
            plain = self._partial is None
        self._need = 9
        return at

    def _continue_like(self, data: bytes, began: int, at: int, end: int) -> int:
        """After a plain message: takes those that follow and look like it. Gives the new offset."""
        patterns = self._patterns
        if patterns.luck <= 0 or end - at < frames.HEAD_SIZE:
            return at
        if patterns.luck > MOST_LUCK:
            patterns.luck = MOST_LUCK
        pattern = patterns.current
        if pattern is None or pattern.size != at - began or pattern.generation != self._decoder.generation:
            pattern = patterns.learn(data, began, at, self._decoder)
            if pattern is None:
                return at
        return self._take_like(pattern, data, at, end)

    def _take_like(self, _pattern: Pattern, _data: bytes, at: int, _end: int) -> int:
        """A server's: takes requests at `at` that are as the pattern says. Gives the offset after them."""
        return at

    def _take_runs(self, _data: bytes, at: int, _end: int) -> int:
        """A client's: takes responses at `at`, of requests that went out together and that look alike. Gives
        the offset after them."""
        return at

    def _skip_some(self, at: int, end: int) -> int:
        skipped = min(self._skip, end - at)
        self._skip -= skipped
        return at + skipped

    def _oversized(self, kind: int, size: int, stream_id: int) -> None:
        """A frame larger than MAX_FRAME_SIZE (section 4.2)."""
        name = NAMES.get(kind, "A frame")
        error = RemoteProtocolError(f"{name} of {size} bytes.", ErrorCode.FRAME_SIZE_ERROR, stream_id or None)
        # DATA, PRIORITY and unknown frames can't alter the connection's state. Idle streams can't be reset.
        if (
            self._partial is not None
            or stream_id == 0
            or kind not in (frames.DATA, frames.PRIORITY, *range(frames.CONTINUATION + 1, 256))
            or self._is_idle(stream_id)
        ):
            raise RemoteProtocolError(error.message, error.code)
        if kind == frames.DATA:
            self._use_window(size)
        if stream_id not in self._forsaken:
            self._reject(error)
        self._refill(self._control)

    def _frame(self, kind: int, flags: int, stream_id: int, payload: bytes) -> None:
        """Any frame that the short way doesn't take."""
        if self._partial is not None or kind == frames.CONTINUATION:
            self._on_continuation(kind, flags, stream_id, payload)
        elif kind == frames.DATA:
            self._on_data(flags, stream_id, payload)
        elif kind == frames.HEADERS:
            self._on_headers_frame(flags, stream_id, payload)
        elif kind in _KNOWN:
            self._handle_control(kind, flags, stream_id, payload)
        else:
            self._on_chore(kind, flags, stream_id, payload)

    def _on_headers_frame(self, flags: int, stream_id: int, payload: bytes) -> None:
        self._check_place(frames.HEADERS, stream_id)
        size = len(payload) - bool(flags & frames.PADDED)
        if flags & frames.PADDED:
            payload = strip_padding(payload)
        if flags & frames.HAS_PRIORITY:
            if len(payload) < 5 <= size:
                raise RemoteProtocolError("Padding reaches into a frame's priority.")
            if len(payload) < 5:
                raise RemoteProtocolError("HEADERS too short for its priority.", ErrorCode.FRAME_SIZE_ERROR)
            payload = payload[5:]
        end = bool(flags & frames.END_STREAM)
        if flags & frames.END_HEADERS:
            self._on_block(stream_id, payload, end)
        else:
            self._partial = (stream_id, end, payload, 0)

    def _on_continuation(self, kind: int, flags: int, stream_id: int, payload: bytes) -> None:
        if self._partial is None:
            raise RemoteProtocolError("CONTINUATION without HEADERS.")
        awaited, end, block, count = self._partial
        if kind != frames.CONTINUATION or stream_id != awaited:
            raise RemoteProtocolError(f"{NAMES.get(kind, 'A frame')} inside a header block.")
        count += 1
        if count > self.limits.continuations:
            raise RemoteProtocolError("Too many CONTINUATIONs.", ErrorCode.ENHANCE_YOUR_CALM)
        block += payload
        if flags & frames.END_HEADERS:
            self._partial = None
            self._on_block(stream_id, block, end)
        else:
            self._partial = (stream_id, end, block, count)

    def _on_block(self, stream_id: int, data: bytes, end: bool) -> None:
        block = self._decoder.cache.get(data) or self._decoder.decode(data)
        self._on_headers(stream_id, block, end)
