"""What a connection tells its owner. A finished Stream is an event too."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from whichpod.wire.errors import ProtocolError
from whichpod.wire.run import Run
from whichpod.wire.settings import Settings
from whichpod.wire.stream import Stream


@dataclass(frozen=True, slots=True)
class Opened:
    """A streamed stream has its header fields in `stream.head`."""

    stream: Stream


@dataclass(frozen=True, slots=True)
class Body:
    """Bytes of a streamed body. `size` is what must be acknowledged once they are used (padding counts)."""

    stream: Stream
    data: bytes
    size: int


@dataclass(frozen=True, slots=True)
class Ended:
    """The peer finished a streamed stream; trailers, if any, are in `stream.trailers`."""

    stream: Stream


@dataclass(frozen=True, slots=True)
class Failed:
    """A stream ended early. The last event of that stream.

    `retryable`: the peer has not acted on it, by its own word (REFUSED_STREAM, or above GOAWAY's last id).
    """

    stream: Stream
    error: ProtocolError
    retryable: bool = False


@dataclass(frozen=True, slots=True)
class SettingsReceived:
    """The peer's settings, all of them as they are now."""

    settings: Settings


@dataclass(frozen=True, slots=True)
class PingAcked:
    """Our PING came back."""

    data: bytes


@dataclass(frozen=True, slots=True)
class GoawayReceived:
    """The peer takes no more streams; those up to `last_id` finish. 2^31-1 announces a second GOAWAY."""

    last_id: int
    code: int
    debug: bytes


@dataclass(frozen=True, slots=True)
class Terminated:
    """The connection is over: send what `take` gives and close. The last event. No error: an orderly end."""

    error: ProtocolError | None


Event: TypeAlias = (
    Stream | Run | Opened | Body | Ended | Failed | SettingsReceived | PingAcked | GoawayReceived | Terminated
)
