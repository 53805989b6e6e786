"""HTTP/2 without sockets, both roles, made for gRPC (RFC 9113, RFC 7541; gRPC over HTTP/2).

    client = ClientConnection(now)                      server = ServerConnection(now)
    client.requests(Request(fields, body), tokens)      for event in server.receive(data, now): ...
    transport.write(client.take())                          server.respond(event, reply, body)
    for event in client.receive(data, now): ...         transport.write(server.take())

Header fields and bodies are bytes; `now` is in ns. A finished exchange comes as its `Stream`, or with others
that look alike as a `Run`; `events` has the others. What the peer does wrong comes as an event with a
RemoteProtocolError; what the caller does wrong raises LocalProtocolError. gRPC's framing, statuses and
deadlines are in `messages`, `status` and `timeout`.
"""

from whichpod.wire.block import Block
from whichpod.wire.client import ClientConnection
from whichpod.wire.errors import ErrorCode, LocalProtocolError, ProtocolError, RemoteProtocolError
from whichpod.wire.events import (
    Body,
    Ended,
    Event,
    Failed,
    GoawayReceived,
    Opened,
    PingAcked,
    SettingsReceived,
    Terminated,
)
from whichpod.wire.limits import Limits
from whichpod.wire.run import Run
from whichpod.wire.server import ServerConnection
from whichpod.wire.stream import Stream
from whichpod.wire.templates import Reply, Request

__all__ = [
    "Block",
    "Body",
    "ClientConnection",
    "Ended",
    "ErrorCode",
    "Event",
    "Failed",
    "GoawayReceived",
    "Limits",
    "LocalProtocolError",
    "Opened",
    "PingAcked",
    "ProtocolError",
    "RemoteProtocolError",
    "Reply",
    "Request",
    "Run",
    "ServerConnection",
    "SettingsReceived",
    "Stream",
    "Terminated",
]
