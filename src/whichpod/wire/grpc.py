"""Header fields of gRPC requests and replies (gRPC's PROTOCOL-HTTP2)."""

from __future__ import annotations

from whichpod.wire.block import Block
from whichpod.wire.codes import GrpcCode, GrpcError
from whichpod.wire.encoder import Fields
from whichpod.wire.messages import MAX_MESSAGE, frame, unframe
from whichpod.wire.status import GrpcStatus, status_of, trailers
from whichpod.wire.stream import Stream
from whichpod.wire.table import Pair
from whichpod.wire.templates import Reply, Request
from whichpod.wire.timeout import encode_timeout

CONTENT_TYPE = b"application/grpc"
USER_AGENT = b"grpc-python-whichpod"
HEAD: Fields = ((b":status", b"200"), (b"content-type", CONTENT_TYPE))
"""What every reply starts with."""
OK_REPLY = Reply(HEAD, trailers(GrpcCode.OK))
"""Of a unary RPC that went well."""


def call_fields(
    path: str,
    authority: str,
    *,
    scheme: str = "http",
    timeout_ns: int | None = None,
    metadata: tuple[Pair, ...] = (),
    user_agent: bytes = USER_AGENT,
) -> Fields:
    """The header fields of a call. `path` is /package.Service/Method; keys of `metadata` are lower-case, and
    values of `-bin` keys are encoded already (`status.encode_binary`)."""
    fields: list[Pair] = [
        (b":method", b"POST"),
        (b":scheme", scheme.encode()),
        (b":path", path.encode()),
        (b":authority", authority.encode()),
        (b"te", b"trailers"),
        (b"content-type", CONTENT_TYPE),
        (b"user-agent", user_agent),
    ]
    if timeout_ns is not None:
        fields.insert(4, (b"grpc-timeout", encode_timeout(timeout_ns)))
    return (*fields, *metadata)


def unary_call(fields: Fields, message: bytes) -> Request:
    """A unary request, to be sent any number of times."""
    return Request(fields, frame(message))


def failure(status: GrpcStatus) -> Fields:
    """The one header block of a reply that is nothing but a status (Trailers-Only)."""
    return (*HEAD, *trailers(status.code, status.message, status.details))


def is_grpc(head: Block) -> bool:
    """Whether the content type is gRPC's: application/grpc, with or without a format or parameters."""
    kind = (head.get(b"content-type") or b"").lower()
    return kind == CONTENT_TYPE or kind.startswith((CONTENT_TYPE + b"+", CONTENT_TYPE + b";"))


def request_fault(head: Block) -> int:
    """The HTTP status that refuses a request which isn't a gRPC call, or 0 when it is one."""
    if head.method != b"POST":
        return 405
    return 0 if is_grpc(head) else 415


def result_of(stream: Stream, limit: int = MAX_MESSAGE) -> tuple[GrpcStatus, bytes]:
    """Status and message of a unary response; the message is empty unless the status is OK.

    A fault of the message becomes the status, as does a response that isn't gRPC's.
    """
    status = status_of(stream)
    if status.code is not GrpcCode.OK:
        return status, b""
    head = stream.head
    assert head is not None
    try:
        return status, unframe(stream.body, head.get(b"grpc-encoding"), limit)
    except GrpcError as error:
        # A client that gets no or many messages calls that INTERNAL (grpc/doc/statuscodes.md).
        code = GrpcCode.INTERNAL if error.code is GrpcCode.UNIMPLEMENTED else error.code
        return GrpcStatus(code, error.message), b""
