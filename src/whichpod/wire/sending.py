"""The way out: bodies within the peer's windows (RFC 9113, section 5.2), trailers behind them."""

from __future__ import annotations

from collections import deque

from whichpod.wire import frames
from whichpod.wire.core import Core
from whichpod.wire.encoder import Fields
from whichpod.wire.errors import ErrorCode, LocalProtocolError, RemoteProtocolError
from whichpod.wire.limits import Limits
from whichpod.wire.stream import Stream

WORTHWHILE = 1_024
"""A DATA frame of that size counts as work done for the peer."""


class Sending(Core):
    """Send-side flow control. Streams that must wait take turns, a frame each."""

    __slots__ = ("_largest", "_waiting", "_window")

    def __init__(self, now: int, limits: Limits) -> None:
        super().__init__(now, limits)
        self._window = frames.DEFAULT_WINDOW
        self._waiting: dict[int, Stream] = {}
        self._largest = frames.DEFAULT_FRAME
        """The largest body that goes out in one frame on a new stream."""

    def take(self) -> bytes:
        """Bytes to send, about `Limits.outbound` at most; empty when there are none. Call it again while the
        transport accepts more: what stays here is what the limits on a peer that never reads count."""
        if self._waiting and not self.closed:
            self._pump()
        out = self._out
        if not out:
            return b""
        data = out[0] if len(out) == 1 else b"".join(out)
        out.clear()
        self._out_size = self._controls = 0
        return data

    @property
    def waiting(self) -> int:
        """Streams whose bodies wait for a window."""
        return len(self._waiting)

    def _send_head(self, stream: Stream, fields: Fields, *, end: bool) -> None:
        self._write(frames.header_block(stream.id, self._encoder.encode(fields), end_stream=end))

    def send(self, stream: Stream, data: bytes, *, end: bool = False) -> bool:
        """Queues body bytes of a streamed stream; what the windows allow goes out at once.

        False when the stream is gone, which is no fault: the peer's reset may be an event not yet seen.
        Raises LocalProtocolError after the end.
        """
        if self.closed or self._streams.get(stream.id) is not stream:
            return False
        if stream.finish or stream.done:
            raise LocalProtocolError(f"Stream {stream.id} has ended on our side.", stream_id=stream.id)
        self._queue(stream, data, end=end, tail=None)
        return True

    def backlog(self, stream: Stream) -> int:
        """Body bytes of the stream that wait for a window."""
        return sum(map(len, stream.queue)) if stream.queue else 0

    def _queue(self, stream: Stream, data: bytes, *, end: bool, tail: Fields | None) -> None:
        if stream.queue is None:
            stream.queue = deque()
        if data:
            stream.queue.append(memoryview(data))
        if end:
            stream.finish = True
            stream.tail = tail
        if stream.id not in self._waiting:
            while self._send_frame(stream):
                pass

    def _send_frame(self, stream: Stream) -> bool:
        """Sends one frame of the stream; False when it must wait or has no more."""
        queue, last = stream.queue, False
        if queue:
            room = min(self._window, self.peer.initial_window_size + stream.extra - stream.sent)
            if room <= 0 or self._out_size >= self.limits.outbound:
                self._waiting[stream.id] = stream
                return False
            chunk = queue[0]
            size = min(room, len(chunk), frames.DEFAULT_FRAME)
            if size == len(chunk):
                queue.popleft()
            else:
                queue[0] = chunk[size:]
            self._window -= size
            stream.sent += size
            # A peer that opens its window by the byte earns nothing with the frames it gets (CVE-2019-9511).
            # A body's first frame was counted as work with the stream.
            self._work += stream.sent > size and (not queue or size >= WORTHWHILE)
            last = not queue and stream.finish and not stream.tail
            flags = frames.END_STREAM if last else frames.NO_FLAGS
            self._write(frames.frame(frames.DATA, flags, stream.id, bytes(chunk[:size])))
            if queue:
                return True
        self._waiting.pop(stream.id, None)
        if stream.finish:
            if stream.tail:
                self._send_head(stream, stream.tail, end=True)
            elif not last:
                self._write(frames.frame(frames.DATA, frames.END_STREAM, stream.id))
            self._finished(stream)
        return False

    def _finished(self, stream: Stream) -> None:
        """Our side has ended. A peer that still sends is told to stop (section 8.1)."""
        stream.done = True
        stream.queue = None
        if stream.ended:
            self._streams.pop(stream.id, None)
        else:
            self._half_closed(stream)

    def _half_closed(self, stream: Stream) -> None:
        """We ended first. A server has said all there is to say; a client waits for the answer."""

    def _pump(self) -> None:
        """Sends what the windows and the queue's limit allow, in turns."""
        progress = True
        while progress and self._window > 0:
            progress = False
            for stream in list(self._waiting.values()):
                sent = self._out_size
                self._send_frame(stream)
                progress |= self._out_size != sent

    def _remove(self, stream: Stream) -> None:
        super()._remove(stream)
        self._waiting.pop(stream.id, None)

    # The peer's word on its windows.

    def _open_window(self, stream_id: int, increment: int) -> None:
        """WINDOW_UPDATE (section 6.9.1)."""
        if stream_id == 0:
            if increment == 0:
                raise RemoteProtocolError("WINDOW_UPDATE of 0.")
            self._window += increment
            if self._window > frames.MAX_WINDOW:
                raise RemoteProtocolError("The connection's window overflows.", ErrorCode.FLOW_CONTROL_ERROR)
            self._pump()
            return
        stream = self._find(stream_id)
        if stream is None:
            return
        if increment == 0:
            raise RemoteProtocolError(f"WINDOW_UPDATE of 0 on stream {stream_id}.", stream_id=stream_id)
        if stream.done:
            return
        stream.extra += increment
        if self.peer.initial_window_size + stream.extra - stream.sent > frames.MAX_WINDOW:
            raise RemoteProtocolError(
                f"The window of stream {stream_id} overflows.", ErrorCode.FLOW_CONTROL_ERROR, stream_id
            )
        if stream_id in self._waiting:
            while self._window > 0 and self._send_frame(stream):
                pass

    def _initial_window_changed(self) -> None:
        """INITIAL_WINDOW_SIZE moves every stream's window, below zero too (section 6.9.2)."""
        self._largest = min(self.peer.initial_window_size, frames.DEFAULT_FRAME)
        for stream in self._streams.values():
            if (
                not stream.done
                and self.peer.initial_window_size + stream.extra - stream.sent > frames.MAX_WINDOW
            ):
                raise RemoteProtocolError(
                    f"INITIAL_WINDOW_SIZE overflows the window of stream {stream.id}.",
                    ErrorCode.FLOW_CONTROL_ERROR,
                )
        self._pump()
