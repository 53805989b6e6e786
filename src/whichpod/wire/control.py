"""Frames that carry no message: SETTINGS, PING, GOAWAY, RST_STREAM, WINDOW_UPDATE, PRIORITY."""

from __future__ import annotations

from whichpod.wire import frames, settings
from whichpod.wire.core import peer_reset
from whichpod.wire.decoder import Decoder
from whichpod.wire.errors import ErrorCode, RemoteProtocolError
from whichpod.wire.events import GoawayReceived, PingAcked, SettingsReceived
from whichpod.wire.limits import Limits
from whichpod.wire.sending import Sending

_SIZES = {frames.RST_STREAM: 4, frames.PING: 8, frames.WINDOW_UPDATE: 4}
_ON_CONNECTION = frozenset((frames.SETTINGS, frames.PING, frames.GOAWAY))
_ON_STREAM = frozenset((
    frames.DATA, frames.HEADERS, frames.PRIORITY, frames.RST_STREAM, frames.PUSH_PROMISE, frames.CONTINUATION,
))  # fmt: skip
NAMES = {
    frames.DATA: "DATA", frames.HEADERS: "HEADERS", frames.PRIORITY: "PRIORITY",
    frames.RST_STREAM: "RST_STREAM", frames.SETTINGS: "SETTINGS", frames.PUSH_PROMISE: "PUSH_PROMISE",
    frames.PING: "PING", frames.GOAWAY: "GOAWAY", frames.WINDOW_UPDATE: "WINDOW_UPDATE",
    frames.CONTINUATION: "CONTINUATION",
}  # fmt: skip


class Control(Sending):
    """Answers control frames of either role."""

    __slots__ = ("_base_window", "_decoder", "_settings_sent", "_settled")

    def __init__(self, now: int, limits: Limits) -> None:
        super().__init__(now, limits)
        self._decoder = Decoder(limits, requests=self._serves)
        self._settled = False
        """The peer's first SETTINGS have come."""
        self._settings_sent: int | None = now
        """When, while their ACK is missing."""
        self._base_window = max(frames.DEFAULT_WINDOW, limits.stream_window)
        """Our initial window as far as the peer may believe in it."""

    def _introduce(self, entries: dict[int, int]) -> None:
        """Our SETTINGS, and a connection window of the size the limits say."""
        limits = self.limits
        entries = {settings.MAX_HEADER_LIST_SIZE: limits.header_list, **entries}
        if limits.stream_window != frames.DEFAULT_WINDOW:
            entries[settings.INITIAL_WINDOW_SIZE] = limits.stream_window
        if limits.table != 4_096:
            entries[settings.HEADER_TABLE_SIZE] = limits.table
        self._write(settings.encode(entries))
        more = limits.connection_window - frames.DEFAULT_WINDOW
        if more > 0:
            self._write(frames.window_update(0, more))

    def _check_place(self, kind: int, stream_id: int) -> None:
        """Frames of a stream on stream 0 and the reverse (sections 6.1 to 6.10)."""
        if stream_id == 0:
            if kind in _ON_STREAM:
                raise RemoteProtocolError(f"{NAMES[kind]} on stream 0.")
        elif kind in _ON_CONNECTION:
            raise RemoteProtocolError(f"{NAMES[kind]} on stream {stream_id}.")

    def _handle_control(self, kind: int, flags: int, stream_id: int, payload: bytes) -> None:
        """Any frame but DATA, HEADERS and CONTINUATION."""
        self._check_place(kind, stream_id)
        if kind == frames.PUSH_PROMISE:
            raise RemoteProtocolError("PUSH_PROMISE, though push is off.")
        if len(payload) != _SIZES.get(kind, len(payload)) or (kind == frames.GOAWAY and len(payload) < 8):
            raise RemoteProtocolError(f"{NAMES[kind]} of {len(payload)} bytes.", ErrorCode.FRAME_SIZE_ERROR)
        if kind == frames.RST_STREAM:
            self._on_reset(stream_id, frames.read_u32(payload)[0])
        elif kind == frames.GOAWAY:
            last_id, code = (frames.read_u32(payload, at)[0] for at in (0, 4))
            self._on_goaway(last_id & frames.MAX_ID, code, payload[8:])
        else:
            self._on_chore(kind, flags, stream_id, payload)

    def _on_chore(self, kind: int, flags: int, stream_id: int, payload: bytes) -> None:
        self._chore(NAMES.get(kind, f"a frame of type {kind:#x}"))
        if kind == frames.WINDOW_UPDATE:
            if stream_id and self._is_idle(stream_id):
                raise RemoteProtocolError(f"WINDOW_UPDATE on idle stream {stream_id}.")
            self._open_window(stream_id, frames.read_u32(payload)[0] & frames.MAX_WINDOW)
        elif kind == frames.PING:
            if flags & frames.ACK:
                self._on_pong(payload)
            else:
                self._control(frames.ping(payload, ack=True))
        elif kind == frames.SETTINGS:
            self._on_settings(flags, payload)
        elif kind == frames.PRIORITY and len(payload) != 5:
            # RST_STREAM must not be sent on an idle stream (section 6.4), so there the connection ends.
            where = None if self._is_idle(stream_id) else stream_id
            raise RemoteProtocolError(f"PRIORITY of {len(payload)} bytes.", ErrorCode.FRAME_SIZE_ERROR, where)

    def _on_settings(self, flags: int, payload: bytes) -> None:
        if flags & frames.ACK:
            if payload:
                raise RemoteProtocolError("SETTINGS ACK with a payload.", ErrorCode.FRAME_SIZE_ERROR)
            if self._settings_sent is not None:
                self._settings_sent = None
                self._base_window = self.limits.stream_window
                self._decoder.acknowledged()
            return
        entries = settings.read(payload, from_server=not self._serves, most=self.limits.settings)
        before = self.peer
        self.peer = settings.apply(before, entries)
        self._settled = True
        self._control(settings.ACK_FRAME)
        for key, value in entries:
            if key == settings.HEADER_TABLE_SIZE:
                self._encoder.resize(value)
        if self.peer.initial_window_size != before.initial_window_size:
            self._initial_window_changed()
        self._events.append(SettingsReceived(self.peer))

    def _on_pong(self, payload: bytes) -> None:
        self._events.append(PingAcked(payload))

    def _on_reset(self, stream_id: int, code: int) -> None:
        if self._is_idle(stream_id):
            raise RemoteProtocolError(f"RST_STREAM on idle stream {stream_id}.")
        stream = self._find(stream_id)
        if stream is None:
            # It crossed the end of the stream, or our own reset.
            self._chore("RST_STREAM")
            return
        self._count_reset()
        self._fail(stream, peer_reset(stream_id, code), retryable=code == ErrorCode.REFUSED_STREAM)

    def _on_goaway(self, last_id: int, code: int, debug: bytes) -> None:
        self._chore("GOAWAY")
        self._events.append(GoawayReceived(last_id, code, debug))

    def ping(self, data: bytes) -> None:
        """Sends PING with eight bytes; PingAcked follows. Not to gRPC servers unasked: they hang up."""
        self._require_open()
        self._write(frames.ping(data[:8].ljust(8, b"\0")))
