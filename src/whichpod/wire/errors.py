"""What goes wrong on an HTTP/2 connection: our fault or theirs, one stream's or the whole connection's."""

from __future__ import annotations

from enum import IntEnum

from whichpod.model.errors import ExitCode, WhichpodError


class ErrorCode(IntEnum):
    """Error codes of RST_STREAM and GOAWAY (RFC 9113, section 7)."""

    NO_ERROR = 0x0
    PROTOCOL_ERROR = 0x1
    INTERNAL_ERROR = 0x2
    FLOW_CONTROL_ERROR = 0x3
    SETTINGS_TIMEOUT = 0x4
    STREAM_CLOSED = 0x5
    FRAME_SIZE_ERROR = 0x6
    REFUSED_STREAM = 0x7
    CANCEL = 0x8
    COMPRESSION_ERROR = 0x9
    CONNECT_ERROR = 0xA
    ENHANCE_YOUR_CALM = 0xB
    INADEQUATE_SECURITY = 0xC
    HTTP_1_1_REQUIRED = 0xD


def code_name(code: int) -> str:
    """The name of an error code; unknown ones are legal (section 7) and shown as a number."""
    try:
        return ErrorCode(code).name
    except ValueError:
        return f"code {code:#x}"


class ProtocolError(WhichpodError):
    """Base of both kinds. `code` goes into RST_STREAM or GOAWAY; `stream_id` is None for the connection."""

    def __init__(
        self, message: str, code: int = ErrorCode.PROTOCOL_ERROR, stream_id: int | None = None
    ) -> None:
        super().__init__(message)
        self.code = code
        self.stream_id = stream_id

    @property
    def scope(self) -> str:
        """`stream` or `connection`: what ends with this error."""
        return "connection" if self.stream_id is None else "stream"


class LocalProtocolError(ProtocolError):
    """We were about to break the protocol. Raised by the call that asked for it; nothing was sent."""

    exit_code = ExitCode.BUG


class RemoteProtocolError(ProtocolError):
    """The peer broke the protocol, a limit, or the connection. Delivered in events, never raised."""

    exit_code = ExitCode.FAILED
