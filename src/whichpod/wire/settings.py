"""SETTINGS: what a peer asks for (RFC 9113, section 6.5)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from struct import Struct

from whichpod.wire import frames
from whichpod.wire.errors import ErrorCode, RemoteProtocolError

HEADER_TABLE_SIZE = 0x1
ENABLE_PUSH = 0x2
MAX_CONCURRENT_STREAMS = 0x3
INITIAL_WINDOW_SIZE = 0x4
MAX_FRAME_SIZE = 0x5
MAX_HEADER_LIST_SIZE = 0x6

ENTRY_SIZE = 6
_ENTRY = Struct(">HI")


@dataclass(frozen=True, slots=True)
class Settings:
    """One side's settings; a new connection starts with the protocol's initial values (section 6.5.2)."""

    header_table_size: int = 4_096
    enable_push: int = 1
    max_concurrent_streams: int | None = None
    initial_window_size: int = frames.DEFAULT_WINDOW
    max_frame_size: int = frames.DEFAULT_FRAME
    max_header_list_size: int | None = None


_FIELDS = {
    HEADER_TABLE_SIZE: "header_table_size",
    ENABLE_PUSH: "enable_push",
    MAX_CONCURRENT_STREAMS: "max_concurrent_streams",
    INITIAL_WINDOW_SIZE: "initial_window_size",
    MAX_FRAME_SIZE: "max_frame_size",
    MAX_HEADER_LIST_SIZE: "max_header_list_size",
}


def encode(entries: dict[int, int]) -> bytes:
    """A SETTINGS frame with these entries."""
    payload = b"".join(_ENTRY.pack(key, value) for key, value in entries.items())
    return frames.frame(frames.SETTINGS, frames.NO_FLAGS, 0, payload)


ACK_FRAME = frames.frame(frames.SETTINGS, frames.ACK, 0)


def read(payload: bytes, *, from_server: bool, most: int) -> list[tuple[int, int]]:
    """The entries of a SETTINGS frame, checked. Unknown ones are dropped, as section 6.5.2 wants it.

    Raises RemoteProtocolError for an illegal size or value, or over `most` entries.
    """
    if len(payload) % ENTRY_SIZE:
        raise RemoteProtocolError(
            f"SETTINGS of {len(payload)} bytes is no multiple of {ENTRY_SIZE}.", ErrorCode.FRAME_SIZE_ERROR
        )
    if len(payload) > most * ENTRY_SIZE:
        raise RemoteProtocolError(f"SETTINGS with over {most} entries.", ErrorCode.ENHANCE_YOUR_CALM)
    entries = [entry for entry in _ENTRY.iter_unpack(payload) if entry[0] in _FIELDS]
    for key, value in entries:
        _check(key, value, from_server)
    return entries


def _check(key: int, value: int, from_server: bool) -> None:
    if key == ENABLE_PUSH and value > (0 if from_server else 1):
        raise RemoteProtocolError(f"ENABLE_PUSH of {value} from a {'server' if from_server else 'client'}.")
    if key == INITIAL_WINDOW_SIZE and value > frames.MAX_WINDOW:
        raise RemoteProtocolError(f"INITIAL_WINDOW_SIZE of {value}.", ErrorCode.FLOW_CONTROL_ERROR)
    if key == MAX_FRAME_SIZE and not frames.DEFAULT_FRAME <= value <= 2**24 - 1:
        raise RemoteProtocolError(f"MAX_FRAME_SIZE of {value}.")


def apply(settings: Settings, entries: list[tuple[int, int]]) -> Settings:
    """`settings` with the entries applied in order: the last of a kind holds (section 6.5.3)."""
    return replace(settings, **{_FIELDS[key]: value for key, value in entries})
