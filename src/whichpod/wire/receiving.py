"""Bodies on their way in: padding, our windows (RFC 9113, sections 5.2 and 6.9), content-length."""

from __future__ import annotations

from collections.abc import Callable

from whichpod.wire import frames
from whichpod.wire.block import Block
from whichpod.wire.control import Control
from whichpod.wire.errors import ErrorCode, LocalProtocolError, RemoteProtocolError
from whichpod.wire.events import Body, Ended
from whichpod.wire.limits import Limits
from whichpod.wire.stream import TAKEN, Stream


class Receiving(Control):
    """Receive-side flow control, and DATA that is more than one plain frame."""

    __slots__ = ("_allowance", "_full", "_held", "_low", "_room")

    def __init__(self, now: int, limits: Limits) -> None:
        super().__init__(now, limits)
        # What the peer may still send on the connection; WINDOW_UPDATE follows when half is used.
        self._allowance = max(limits.connection_window, frames.DEFAULT_WINDOW)
        self._full = self._allowance
        self._low = self._full - self._full // 2
        # Delivered to the owner and not acknowledged yet.
        self._held = 0
        # Not over half a window, so that the first frame alone never calls for a WINDOW_UPDATE.
        self._room = min(limits.stream_window, frames.DEFAULT_WINDOW) // 2
        self._room = min(self._room, limits.body)

    def _refill(self, write: Callable[[bytes], None]) -> None:
        """Opens the connection's window again once that makes half of it."""
        increment = self._full - self._held - self._allowance
        if increment > self._full // 2:
            self._allowance += increment
            write(frames.window_update(0, increment))

    def _refill_stream(self, stream: Stream, write: Callable[[bytes], None]) -> None:
        """Opens the stream's window again once that makes half of it, unless nothing more will come."""
        window = self.limits.stream_window
        left = self._base_window + stream.granted - stream.received
        increment = window - stream.unacknowledged - left
        if increment > window // 2 and not stream.ended:
            stream.granted += increment
            write(frames.window_update(stream.id, increment))

    def acknowledge(self, stream: Stream, size: int) -> None:
        """The owner used `size` of what Body events brought; the windows open by it. Say it as bytes come,
        not once a message is whole, which may never fit. Works after the stream's end too: the window of the
        connection must open all the same. A failed stream needs none."""
        if size < 0:
            raise LocalProtocolError(f"{size} bytes can't be acknowledged.", stream_id=stream.id)
        size = min(size, stream.unacknowledged)
        stream.unacknowledged -= size
        self._held -= size
        if not self.closed:
            self._refill(self._write)
            if self._streams.get(stream.id) is stream:
                self._refill_stream(stream, self._write)

    def _remove(self, stream: Stream) -> None:
        super()._remove(stream)
        self._held -= stream.unacknowledged
        stream.unacknowledged = 0

    def _use_window(self, size: int) -> None:
        """Flow-controlled bytes count for the connection whatever becomes of them."""
        self._allowance -= size
        if self._allowance < 0:
            raise RemoteProtocolError("DATA exceeds the connection's window.", ErrorCode.FLOW_CONTROL_ERROR)

    def _on_data(self, flags: int, stream_id: int, payload: bytes) -> None:
        """Any DATA that isn't the first plain frame of a collected body."""
        size = len(payload)
        self._check_place(frames.DATA, stream_id)
        data = strip_padding(payload) if flags & frames.PADDED else payload
        self._use_window(size)
        stream = self._find(stream_id)
        end = bool(flags & frames.END_STREAM)
        if not data and not end:
            self._chore("empty DATA")
        if stream is None:
            self._on_data_of_none(stream_id)
            return
        if stream.ended:
            raise RemoteProtocolError(
                f"DATA after the end of stream {stream_id}.", ErrorCode.STREAM_CLOSED, stream_id
            )
        if stream.head is None:
            raise RemoteProtocolError(f"DATA before HEADERS on stream {stream_id}.", stream_id=stream_id)
        if stream.room == TAKEN:
            # The first frame took the short way; from here on bytes are counted.
            stream.room = 0
            stream.received = stream.length = len(stream.body)
            stream.parts = bytearray(stream.body)
            stream.body = b""
            self._bodies += stream.length
        stream.received += size
        if stream.received > self._base_window + stream.granted:
            raise RemoteProtocolError(
                f"DATA exceeds the window of stream {stream_id}.", ErrorCode.FLOW_CONTROL_ERROR, stream_id
            )
        expected = stream.head.content_length
        if expected is not None and stream.length + len(data) > expected:
            raise RemoteProtocolError(
                f"The body of stream {stream_id} is longer than its content-length.", stream_id=stream_id
            )
        stream.length += len(data)
        if stream.streamed:
            self._deliver(stream, data, size)
        else:
            self._collect(stream, data)
        self._refill(self._control)
        if end:
            self._on_end(stream)

    def _on_data_of_none(self, stream_id: int) -> None:
        if self._is_idle(stream_id):
            raise RemoteProtocolError(f"DATA on idle stream {stream_id}.")
        if stream_id in self._forsaken or self._ignored(stream_id):
            self._chore("DATA after our reset")
            self._refill(self._control)
        else:
            raise RemoteProtocolError(
                f"DATA on closed stream {stream_id}.", ErrorCode.STREAM_CLOSED, stream_id
            )

    def _ignored(self, _stream_id: int) -> bool:
        """Whether the stream is above the last id of a GOAWAY that we sent (section 6.8)."""
        return False

    def _deliver(self, stream: Stream, data: bytes, size: int) -> None:
        self._work += bool(data)
        if data:
            stream.unacknowledged += size
            self._held += size
            self._events.append(Body(stream, data, size))
        else:
            self._refill_stream(stream, self._control)

    def _collect(self, stream: Stream, data: bytes) -> None:
        stream.room = 0
        if stream.parts is None:
            stream.parts = bytearray()
        self._bodies += len(data)
        if stream.length > self.limits.body or self._bodies > self.limits.bodies:
            raise RemoteProtocolError(
                f"The body of stream {stream.id} is larger than the limit.",
                ErrorCode.ENHANCE_YOUR_CALM,
                stream.id,
            )
        if data:
            # The first frame was counted as work with the stream's header fields.
            self._work += bool(stream.parts)
            stream.parts += data
        self._refill_stream(stream, self._control)

    def _on_end(self, stream: Stream) -> None:
        """END_STREAM came: checks the length and hands the stream over."""
        assert stream.head is not None
        expected = stream.head.content_length
        # Responses to HEAD, 204 and 304 say the length of a body that they don't have (section 8.1.1).
        bodiless = stream.length == 0 and stream.head.status in (204, 304)
        if expected is not None and stream.length != expected and not bodiless:
            raise RemoteProtocolError(
                f"The body of stream {stream.id} is {stream.length} bytes, content-length {expected}.",
                stream_id=stream.id,
            )
        stream.ended = True
        stream.room = 0
        if stream.parts is not None:
            stream.body = bytes(stream.parts)
            stream.parts = None
            self._bodies -= stream.length
        self._events.append(Ended(stream) if stream.streamed else stream)
        self._peer_finished(stream)

    def _on_trailers(self, stream: Stream, block: Block, end: bool) -> None:
        if not end:
            raise RemoteProtocolError(
                f"Trailers without END_STREAM on stream {stream.id}.", stream_id=stream.id
            )
        self._check_block(stream.id, block, block.trailer_flaw)
        stream.trailers = block
        if stream.room == TAKEN:
            stream.length = len(stream.body)
        self._on_end(stream)

    def _check_block(self, stream_id: int, block: Block, flaw: str) -> None:
        if block.oversize:
            raise RemoteProtocolError(
                f"Stream {stream_id} has {block.oversize}.", ErrorCode.ENHANCE_YOUR_CALM, stream_id
            )
        if flaw:
            raise RemoteProtocolError(
                f"Malformed header fields on stream {stream_id}: {flaw}.", stream_id=stream_id
            )

    def _peer_finished(self, stream: Stream) -> None:
        """The peer's side is over; with ours over too, the stream is closed."""
        if stream.done:
            self._streams.pop(stream.id, None)


def strip_padding(payload: bytes) -> bytes:
    """The payload without the pad length octet and the padding (section 6.1)."""
    if not payload:
        raise RemoteProtocolError("A padded frame without a pad length.", ErrorCode.FRAME_SIZE_ERROR)
    padding = payload[0]
    if padding >= len(payload):
        raise RemoteProtocolError("Padding as long as the frame.")
    return payload[1 : len(payload) - padding]
