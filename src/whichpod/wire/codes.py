"""gRPC's status codes, and how HTTP's and HTTP/2's errors become one.

Sources: grpc/doc/statuscodes.md, http-grpc-status-mapping.md, PROTOCOL-HTTP2.md (section Errors).
"""

from __future__ import annotations

from enum import IntEnum

from whichpod.wire.errors import ErrorCode, ProtocolError


class GrpcCode(IntEnum):
    """What an RPC ended with."""

    OK = 0
    CANCELLED = 1
    UNKNOWN = 2
    INVALID_ARGUMENT = 3
    DEADLINE_EXCEEDED = 4
    NOT_FOUND = 5
    ALREADY_EXISTS = 6
    PERMISSION_DENIED = 7
    RESOURCE_EXHAUSTED = 8
    FAILED_PRECONDITION = 9
    ABORTED = 10
    OUT_OF_RANGE = 11
    UNIMPLEMENTED = 12
    INTERNAL = 13
    UNAVAILABLE = 14
    DATA_LOSS = 15
    UNAUTHENTICATED = 16


_OF_HTTP = {
    400: GrpcCode.INTERNAL,
    401: GrpcCode.UNAUTHENTICATED,
    403: GrpcCode.PERMISSION_DENIED,
    404: GrpcCode.UNIMPLEMENTED,
    429: GrpcCode.UNAVAILABLE,
    502: GrpcCode.UNAVAILABLE,
    503: GrpcCode.UNAVAILABLE,
    504: GrpcCode.UNAVAILABLE,
}
_OF_RESET = {
    ErrorCode.REFUSED_STREAM: GrpcCode.UNAVAILABLE,
    ErrorCode.CANCEL: GrpcCode.CANCELLED,
    ErrorCode.ENHANCE_YOUR_CALM: GrpcCode.RESOURCE_EXHAUSTED,
    ErrorCode.INADEQUATE_SECURITY: GrpcCode.PERMISSION_DENIED,
}


def code_of_http(status: int) -> GrpcCode:
    """The code of a response without grpc-status, by its HTTP status; 200 too is UNKNOWN then."""
    return _OF_HTTP.get(status, GrpcCode.UNKNOWN)


def code_of_reset(code: int) -> GrpcCode:
    """The code of a stream that was reset, by RST_STREAM's error code."""
    return _OF_RESET.get(code, GrpcCode.INTERNAL)  # type: ignore[call-overload, no-any-return]


def code_of_error(error: ProtocolError) -> GrpcCode:
    """The code of an RPC whose stream Failed. One that ended with its connection is UNAVAILABLE."""
    return GrpcCode.UNAVAILABLE if error.stream_id is None else code_of_reset(error.code)


def reset_of_code(code: int) -> ErrorCode:
    """RST_STREAM's code where a server ends a stream without trailers."""
    if code == GrpcCode.CANCELLED:
        return ErrorCode.CANCEL
    return ErrorCode.ENHANCE_YOUR_CALM if code == GrpcCode.RESOURCE_EXHAUSTED else ErrorCode.INTERNAL_ERROR


class GrpcError(Exception):
    """A message or metadata that gRPC doesn't allow: ends the RPC with `code`, not the connection."""

    def __init__(self, code: GrpcCode, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
