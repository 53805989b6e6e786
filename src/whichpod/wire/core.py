"""State that all parts of a connection share: its streams, what waits to be sent, and how it ends."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, ClassVar

from whichpod.wire import frames, settings
from whichpod.wire.encoder import Encoder
from whichpod.wire.errors import ErrorCode, LocalProtocolError, ProtocolError, RemoteProtocolError, code_name
from whichpod.wire.events import Event, Failed, Terminated
from whichpod.wire.limits import Budget, Limits
from whichpod.wire.stream import AWAITING, Stream

REMEMBERED_RESETS = 4_096
DEBUG_SIZE = 120


class Core(ABC):
    """The part of a connection that is neither receiving nor sending."""

    # Slots: a dictionary of so many attributes is some KB, and of a thousand connections they would not fit
    # the CPU's caches.
    __slots__ = (
        "_bodies", "_chores", "_controls", "_encoder", "_events", "_forsaken", "_most_out", "_now", "_out",
        "_out_size", "_pending", "_resets", "_streams", "_work", "closed", "error", "limits", "peer",
    )  # fmt: skip
    _serves: ClassVar[bool]

    def __init__(self, now: int, limits: Limits) -> None:
        self.limits = limits
        self.closed = False
        """Nothing more is received or sent, save what `take` still gives."""
        self.error: ProtocolError | None = None
        self.peer = settings.Settings()
        """The peer's settings."""
        self._now = now
        self._events: list[Event] = []
        self._streams: dict[int, Stream] = {}
        # A client's unary requests that are sent, and whose responses have not begun: their tokens. Most need
        # no Stream until the response is there, and tens of thousands of them would not fit the CPU's caches.
        self._pending: dict[int, Any] = {}
        self._encoder = Encoder(limits.table, self._templates_changed)
        self._out: list[bytes] = []
        self._out_size = 0
        self._most_out = limits.outbound
        self._controls = 0
        # Streams that we reset: what was under way on them is no fault (RFC 9113, section 5.1, closed).
        self._forsaken: dict[int, None] = {}
        self._resets = Budget(limits.resets, limits.resets_per_s, now)
        self._chores = Budget(limits.chores, limits.chores_per_s, now, limits.chores_per_work)
        self._work = 0
        self._bodies = 0

    # What the roles differ in.

    @abstractmethod
    def _templates_changed(self) -> None:
        """Bytes made from templates are no longer true."""

    @abstractmethod
    def _is_idle(self, stream_id: int) -> bool:
        """Whether that stream was never opened."""

    @abstractmethod
    def _known(self, _stream: Stream) -> bool:
        """Whether the owner has heard of the stream, and so must hear of its end."""

    @abstractmethod
    def _last_peer_id(self) -> int:
        """The highest stream of the peer that we acted on, for GOAWAY."""

    @property
    def open_streams(self) -> int:
        """Streams that have not ended on both sides."""
        return len(self._streams) + len(self._pending)

    @property
    def streams(self) -> list[Stream]:
        """Those streams, the oldest first."""
        for stream_id in list(self._pending):
            self._find(stream_id)
        return sorted(self._streams.values(), key=lambda stream: stream.id)

    def _find(self, stream_id: int) -> Stream | None:
        """An open stream."""
        if stream_id not in self._pending:
            return self._streams.get(stream_id)
        stream = self._streams[stream_id] = Stream()
        stream.id = stream_id
        stream.token = self._pending.pop(stream_id)
        stream.room = AWAITING
        return stream

    @property
    def outbound(self) -> int:
        """Bytes that wait to be taken."""
        return self._out_size

    # Output.

    def _write(self, data: bytes) -> None:
        self._out.append(data)
        self._out_size += len(data)

    def _control(self, frame: bytes) -> None:
        """Queues a frame that the peer made us send. Raises when too many of them wait: it never reads."""
        self._controls += 1
        if self._controls > self.limits.controls:
            raise RemoteProtocolError(
                "Control frames pile up: the peer does not read.", ErrorCode.ENHANCE_YOUR_CALM
            )
        self._write(frame)

    # Budgets.

    def _chore(self, what: str) -> None:
        if not self._chores.spend(self._now, self._work):
            raise RemoteProtocolError(
                f"Too many frames without use, {what} the last.", ErrorCode.ENHANCE_YOUR_CALM
            )

    def _count_reset(self) -> None:
        if not self._resets.spend(self._now):
            raise RemoteProtocolError("Too many streams were reset.", ErrorCode.ENHANCE_YOUR_CALM)

    # Ends.

    def _forsake(self, stream_id: int) -> None:
        self._forsaken[stream_id] = None
        if len(self._forsaken) > REMEMBERED_RESETS:
            del self._forsaken[next(iter(self._forsaken))]

    def _remove(self, stream: Stream) -> None:
        """Forgets a stream, whatever waits on it."""
        self._streams.pop(stream.id, None)
        if stream.parts is not None:
            self._bodies -= stream.length
            stream.parts = None
        stream.queue = None

    def _fail(self, stream: Stream, error: ProtocolError, *, retryable: bool = False) -> None:
        known = self._known(stream)
        self._remove(stream)
        stream.done = stream.ended = True
        if known:
            self._events.append(Failed(stream, error, retryable))

    def _reject(self, error: RemoteProtocolError) -> None:
        """Answers a fault on one stream with RST_STREAM."""
        assert error.stream_id is not None
        self._count_reset()
        self._forsake(error.stream_id)
        self._control(frames.rst_stream(error.stream_id, error.code))
        stream = self._find(error.stream_id)
        if stream is not None:
            self._fail(stream, error)

    def reset(self, stream: Stream, code: int = ErrorCode.CANCEL) -> None:
        """Ends a stream with RST_STREAM: the owner gave up. No event follows; too late is no fault."""
        if self.closed or self._streams.get(stream.id) is not stream:
            return
        self._remove(stream)
        stream.done = stream.ended = True
        self._forsake(stream.id)
        self._write(frames.rst_stream(stream.id, code))

    def _end(self, error: ProtocolError | None) -> None:
        """The connection is over. Every stream the owner knows of fails first."""
        self.closed = True
        self.error = error
        for stream in self.streams:
            self._fail(stream, error or RemoteProtocolError("The connection was closed.", ErrorCode.CANCEL))
        self._events.append(Terminated(error))

    def _terminate(self, error: ProtocolError) -> None:
        """Answers a fault of the whole connection with GOAWAY (section 5.4.1)."""
        debug = error.message.encode("ascii", "replace")[:DEBUG_SIZE]
        self._write(frames.goaway(self._last_peer_id(), error.code, debug))
        self._end(error)

    def close(self, code: int = ErrorCode.NO_ERROR) -> None:
        """Sends GOAWAY and ends the connection now, on the owner's word. Open streams get no event."""
        if self.closed:
            return
        self._write(frames.goaway(self._last_peer_id(), code))
        self.closed = True
        for stream in self.streams:
            self._remove(stream)

    def _require_open(self) -> None:
        if self.closed:
            why = f": {self.error.message}" if self.error else ""
            raise LocalProtocolError(f"The connection is closed{why}")


def peer_reset(stream_id: int, code: int) -> RemoteProtocolError:
    """The error of a stream that the peer reset."""
    return RemoteProtocolError(f"The peer reset stream {stream_id}: {code_name(code)}.", code, stream_id)
