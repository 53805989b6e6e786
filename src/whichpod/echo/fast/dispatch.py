"""Which call takes a request that isn't answered at once, or why it is refused."""

from __future__ import annotations

from typing import TYPE_CHECKING

from whichpod.echo import names
from whichpod.echo.fast import pod as paths
from whichpod.echo.fast.calls import (
    BidiStream,
    ClientStream,
    Inbound,
    Reflection,
    ServerStream,
    Unary,
    Watch,
    health_response,
)
from whichpod.echo.fast.codec import payload_of, service_of, stream_request_of
from whichpod.echo.fast.pod import OK, START, Route
from whichpod.wire import Reply, Stream
from whichpod.wire.codes import GrpcCode

if TYPE_CHECKING:
    from whichpod.echo.fast.conn import Conn

HEALTH = Reply(START, OK)
_INBOUND: dict[str, type[Inbound]] = {
    names.CLIENT_STREAM: ClientStream, names.BIDI_STREAM: BidiStream, paths.REFLECTION: Reflection,
}  # fmt: skip


def collected(conn: Conn, stream: Stream, route: Route, message: bytes) -> None:
    """A request of one message, which is there. Raises DecodeError."""
    if route.deadline_ns == 0:
        conn.end(stream, route, GrpcCode.DEADLINE_EXCEEDED, "Deadline Exceeded")
    elif route.method == names.ECHO:
        Unary(conn, stream, route, payload_of(message)).begin()
    elif route.method == names.SERVER_STREAM:
        payload, messages, interval_ms = stream_request_of(message)
        if messages > names.MOST_MESSAGES:
            text = f"messages may be {names.MOST_MESSAGES} at most"
            conn.end(stream, route, GrpcCode.INVALID_ARGUMENT, text)
        else:
            ServerStream(conn, stream, route, payload, messages, interval_ms).begin()
    elif route.method == paths.WATCH:
        watch = Watch(conn, stream, route, service_of(message))
        watch.start()
        if conn.ending:
            # It came after the watches were ended, and would hold up the end.
            watch.end(GrpcCode.OK)
    else:
        service = service_of(message)
        status = conn.pod.health(service)
        if status == paths.SERVICE_UNKNOWN:
            conn.end(stream, route, GrpcCode.NOT_FOUND, f"there is no service {service!r}")
        else:
            conn.core.respond(stream, HEALTH, health_response(status))


def opened(conn: Conn, stream: Stream) -> None:
    """A stream begins, or something that is refused."""
    assert stream.head is not None
    route = conn.pod.route(stream.head)
    kind = _INBOUND.get(route.method)
    if route.fault:
        # gRPC over HTTP/2 wants 415 for other content types; all methods are POST.
        fields = ((b":status", b"%d" % route.fault),)
        conn.core.send_head(
            stream, fields if route.fault != 405 else (*fields, (b"allow", b"POST")), end=True
        )
    elif kind is None:
        conn.end(stream, route, GrpcCode.UNIMPLEMENTED, "Method not found!")
    elif route.deadline_ns == 0:
        conn.end(stream, route, GrpcCode.DEADLINE_EXCEEDED, "Deadline Exceeded")
    elif kind is Reflection:
        Reflection(conn, stream, route).start()
    else:
        kind(conn, stream, route).begin()
