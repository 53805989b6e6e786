"""h2 as the other end: what it saw of each stream, and bodies that wait for its windows."""

from __future__ import annotations

from dataclasses import dataclass, field

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import (
    ConnectionTerminated,
    DataReceived,
    Event,
    InformationalResponseReceived,
    PingAckReceived,
    RequestReceived,
    ResponseReceived,
    StreamEnded,
    StreamReset,
    TrailersReceived,
)
from h2.settings import SettingCodes

Pairs = tuple[tuple[bytes, bytes], ...]


@dataclass
class Seen:
    """One stream, as an end saw it."""

    head: Pairs = ()
    body: bytearray = field(default_factory=bytearray)
    trailers: Pairs = ()
    ended: bool = False
    reset: int | None = None


@dataclass
class Waiting:
    """What is still to be sent on a stream."""

    body: bytes
    trailers: Pairs
    padding: int | None


class H2Peer:
    """An h2 connection that keeps its own rules: whatever it objects to raises, and so fails the test."""

    def __init__(self, *, client: bool, table: int, window: int) -> None:
        config = H2Configuration(client_side=client, header_encoding=None)
        self.conn = H2Connection(config)
        self.conn.initiate_connection()
        self.conn.update_settings(
            {SettingCodes.HEADER_TABLE_SIZE: table, SettingCodes.INITIAL_WINDOW_SIZE: window}
        )
        self.streams: dict[int, Seen] = {}
        self.out: dict[int, Waiting] = {}
        self.pongs: list[bytes] = []
        self.interims = 0
        self.gone: int | None = None
        self.unread = False
        """Keep what comes without opening the windows again."""
        self._held: list[tuple[int, int]] = []

    def seen(self, stream_id: int) -> Seen:
        return self.streams.setdefault(stream_id, Seen())

    def receive(self, octets: bytes) -> None:
        for event in self.conn.receive_data(octets):
            self._note(event)
        if not self.unread:
            held, self._held = self._held, []
            for size, stream_id in held:
                self.conn.acknowledge_received_data(size, stream_id)
        self.flush()

    def _note(self, event: Event) -> None:
        if isinstance(event, ConnectionTerminated):
            self.gone = event.last_stream_id
            assert event.error_code == 0
        elif isinstance(event, PingAckReceived):
            self.pongs.append(event.ping_data)
        elif isinstance(event, InformationalResponseReceived):
            self.interims += 1
        elif isinstance(event, RequestReceived | ResponseReceived):
            self.seen(event.stream_id).head = tuple((bytes(n), bytes(v)) for n, v in event.headers)
        elif isinstance(event, TrailersReceived):
            self.seen(event.stream_id).trailers = tuple((bytes(n), bytes(v)) for n, v in event.headers)
        elif isinstance(event, DataReceived):
            self.seen(event.stream_id).body += event.data
            if event.flow_controlled_length:
                self._held.append((event.flow_controlled_length, event.stream_id))
        elif isinstance(event, StreamEnded):
            self.seen(event.stream_id).ended = True
        elif isinstance(event, StreamReset):
            self.seen(event.stream_id).reset = int(event.error_code)
            self.out.pop(event.stream_id, None)

    def send(self, stream_id: int, body: bytes, trailers: Pairs, padding: int | None = None) -> None:
        """A body and what ends it, as the windows allow."""
        self.out[stream_id] = Waiting(body, trailers, padding)
        self.flush()

    def flush(self) -> None:
        for stream_id, waiting in list(self.out.items()):
            extra = 0 if waiting.padding is None else waiting.padding + 1
            while waiting.body:
                room = min(self.conn.local_flow_control_window(stream_id), self.conn.max_outbound_frame_size)
                if room <= extra:
                    break
                chunk, waiting.body = waiting.body[: room - extra], waiting.body[room - extra :]
                last = not waiting.body and not waiting.trailers
                self.conn.send_data(stream_id, chunk, end_stream=last, pad_length=waiting.padding)
                if last:
                    del self.out[stream_id]
            else:
                if self.out.pop(stream_id, None) is None:
                    continue
                if waiting.trailers:
                    self.conn.send_headers(stream_id, waiting.trailers, end_stream=True)
                else:
                    self.conn.end_stream(stream_id)

    def take(self) -> bytes:
        return self.conn.data_to_send()
