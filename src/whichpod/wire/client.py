"""The client's side of a connection."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import islice, takewhile
from typing import Any

from whichpod.wire import frames, settings
from whichpod.wire.block import Block
from whichpod.wire.encoder import Fields
from whichpod.wire.errors import ErrorCode, LocalProtocolError, RemoteProtocolError, code_name
from whichpod.wire.events import Opened
from whichpod.wire.limits import Limits
from whichpod.wire.rows import Rows
from whichpod.wire.runs import Runs
from whichpod.wire.stream import Stream
from whichpod.wire.templates import Request

KEPT_TEMPLATES = 256


class ClientConnection(Runs):
    """Opens streams. Each ends with one event: itself, when the response is complete, Ended, or Failed; or it
    is one of a Run, for an owner that sets `alike`.

    `next_id` is the first stream's id, for tests of what happens when ids run out.
    """

    __slots__ = ("_draining", "_last_allowed", "_most", "_next_id", "_rows")
    _serves = False

    def __init__(self, now: int, limits: Limits | None = None, *, next_id: int = 1) -> None:
        super().__init__(now, limits)
        self._next_id = next_id
        self._most = self.limits.streams
        self._last_allowed = frames.MAX_ID
        self._draining = False
        self._rows: dict[Request, Rows] = {}
        self._write(frames.PREFACE)
        self._introduce({settings.ENABLE_PUSH: 0})

    # What can be asked of it.

    @property
    def capacity(self) -> int:
        """How many streams can be opened now: 0 while the peer's limit is reached or our output is not taken,
        and for good once the connection is `spent`."""
        if self.closed or self._draining or self._out_size >= self._most_out:
            return 0
        count = self._most - len(self._streams) - len(self._pending) - self._flying
        left = (frames.MAX_ID + 2 - self._next_id) // 2
        if count > left:
            count = left
        return count if count > 0 else 0

    @property
    def spent(self) -> bool:
        """No stream can be opened any more (closed, GOAWAY, ids used up): open another connection.
        Streams that are open still finish."""
        return self.closed or self._draining or self._next_id > frames.MAX_ID

    @property
    def finished(self) -> bool:
        """Spent, and no stream is open: it can be closed."""
        return self.spent and not self.open_streams

    def request(self, request: Request, token: Any = None) -> Stream:
        """Opens one stream with a unary request. Raises LocalProtocolError without `capacity`."""
        if not self.requests(request, (token,)):
            raise self._no_capacity()
        stream = self._find(self._next_id - 2)
        assert stream is not None
        return stream

    def requests(self, request: Request, tokens: Sequence[Any]) -> int:
        """Opens a stream for each token, which becomes `stream.token`, while there is capacity.

        Returns for how many: the first ones. One call for many costs least.
        """
        count = self.capacity
        if count > len(tokens):
            count = len(tokens)
        if not count:
            return 0
        body = request.body
        stream_id = self._next_id
        self._next_id += 2 * count
        self._work += count
        size = len(body)
        if self._waiting or size * count > self._window or size > self._largest or request.large:
            self._requests_slowly(request, islice(tokens, count), stream_id)
            return count
        self._window -= size * count
        self._depart(stream_id, tokens if len(tokens) == count else tokens[:count])
        rows = self._rows.get(request)
        last = stream_id + 2 * count
        while rows is None:
            # The first block of a new list fills the table; the ones after it are shorter and all the same.
            self._write(self._make_rows(request).make(stream_id, 1))
            stream_id += 2
            if stream_id == last:
                return count
            rows = self._rows.get(request)
        self._write(rows.make(stream_id, (last - stream_id) // 2))
        return count

    def overdue(self, is_late: Callable[[Any], bool]) -> list[Stream]:
        """Open streams whose tokens are late. Tokens of `requests` are taken to be in the order of time: what
        follows one that isn't late is not looked at."""
        self._land_late(is_late)
        for stream_id in list(takewhile(lambda i: is_late(self._pending[i]), self._pending)):
            self._find(stream_id)
        return [stream for stream in self._streams.values() if is_late(stream.token)]

    def open(self, fields: Fields, token: Any = None, *, streamed: bool = True) -> Stream:
        """Opens a stream with header fields only; `send` brings the body. Raises LocalProtocolError without
        `capacity`. `streamed`: the response comes as Opened, Body and Ended."""
        if self.capacity <= 0:
            raise self._no_capacity()
        stream_id = self._next_id
        self._next_id += 2
        self._work += 1
        return self._open(stream_id, fields, token, streamed=streamed)

    def goaway(self) -> None:
        """Takes no more streams and tells the peer. Open ones finish."""
        if not self.closed and not self._draining:
            self._draining = True
            self._write(frames.goaway(0, ErrorCode.NO_ERROR))

    # How it is done.

    def _no_capacity(self) -> LocalProtocolError:
        why = "is spent" if self.spent else f"has {self.open_streams} streams open"
        return LocalProtocolError(f"No stream can be opened: the connection {why}.")

    def _open(
        self, stream_id: int, fields: Fields, token: Any, *, streamed: bool = False, end: bool = False
    ) -> Stream:
        stream = Stream()
        stream.id = stream_id
        stream.token = token
        if streamed:
            stream.streamed = True
        self._streams[stream_id] = stream
        self._send_head(stream, fields, end=end)
        return stream

    def _requests_slowly(self, request: Request, tokens: Iterable[Any], stream_id: int) -> None:
        for token in tokens:
            stream = self._open(stream_id, request.fields, token, end=not request.body)
            if request.body:
                self._queue(stream, request.body, end=True, tail=None)
            else:
                stream.done = True
            stream_id += 2

    def _make_rows(self, request: Request) -> Rows:
        """The request's bytes for any stream ids. Kept where they will hold."""
        generation = self._encoder.generation
        block = self._encoder.encode(request.fields)
        body = request.body
        flags = frames.END_HEADERS if body else frames.END_HEADERS | frames.END_STREAM
        start = frames.front(len(block), frames.HEADERS, flags)
        if body:
            middle = block + frames.front(len(body), frames.DATA, frames.END_STREAM)
            pieces: tuple[bytes, ...] = (start, middle, body)
        else:
            pieces = (start, block)
        # Connections share what is alike.
        rows = request.rows.get(pieces)
        if rows is None:
            if len(request.rows) >= KEPT_TEMPLATES:
                request.rows.clear()
            rows = request.rows[pieces] = Rows(pieces)
        if generation == self._encoder.generation:
            if len(self._rows) >= KEPT_TEMPLATES:
                self._rows.clear()
            self._rows[request] = rows
        return rows

    def _templates_changed(self) -> None:
        self._rows.clear()

    def _begin(self, data: bytes) -> int:
        if data.startswith(b"HTTP/1"):
            raise RemoteProtocolError("The peer answers in HTTP/1.", ErrorCode.PROTOCOL_ERROR)
        return 0

    def _is_idle(self, stream_id: int) -> bool:
        # Push is off, so the server's own streams are all idle.
        return not stream_id & 1 or stream_id >= self._next_id

    def _known(self, _stream: Stream) -> bool:
        return True

    def _last_peer_id(self) -> int:
        return 0

    def _on_settings(self, flags: int, payload: bytes) -> None:
        super()._on_settings(flags, payload)
        most = self.peer.max_concurrent_streams
        if self._settled:
            self._most = frames.MAX_ID if most is None else most

    def _on_headers(self, stream_id: int, block: Block, end: bool) -> None:
        stream = self._find(stream_id)
        if stream is None:
            if self._is_idle(stream_id):
                raise RemoteProtocolError(f"HEADERS on idle stream {stream_id}.")
            if stream_id not in self._forsaken:
                raise RemoteProtocolError(
                    f"HEADERS on closed stream {stream_id}.", ErrorCode.STREAM_CLOSED, stream_id
                )
            self._chore("HEADERS after our reset")
            return
        if stream.head is not None:
            self._on_trailers(stream, block, end)
            return
        if block.oversize or block.flaw:
            self._check_block(stream_id, block, block.flaw)
        if block.status < 200:
            # Interim responses say nothing to gRPC, yet must not end the stream (section 8.1).
            if end:
                raise RemoteProtocolError(f"Interim response ends stream {stream_id}.", stream_id=stream_id)
            self._chore("an interim response")
            return
        if end:
            stream.head = block
            stream.done = stream.done
            self._on_end(stream)
        elif stream.streamed:
            stream.head = block
            self._events.append(Opened(stream))
        else:
            self._begin_response(stream, block)

    def _peer_finished(self, stream: Stream) -> None:
        if stream.done:
            self._streams.pop(stream.id, None)
        else:
            # A complete answer to an incomplete request: the rest of it is of no use (section 8.1).
            self.reset(stream, ErrorCode.NO_ERROR)

    def _on_goaway(self, last_id: int, code: int, debug: bytes) -> None:
        super()._on_goaway(last_id, code, debug)
        self._draining = True
        self._last_allowed = min(self._last_allowed, last_id)
        note = ascii(debug[:100].decode("latin-1")) if debug else "no reason given"
        why = f"The peer went away: {code_name(code)}, {note}."
        for stream in self.streams:
            if stream.id > self._last_allowed:
                error = RemoteProtocolError(why, ErrorCode.REFUSED_STREAM, stream.id)
                self._forsake(stream.id)
                self._fail(stream, error, retryable=True)
