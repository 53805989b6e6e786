"""A plain grpcio client of the echo service, for its tests."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import grpc

from whichpod.echo import names
from whichpod.echo.v1 import echo_pb2

SEND, REPLY = echo_pb2.EchoRequest.SerializeToString, echo_pb2.EchoReply.FromString
ASK = echo_pb2.ServerStreamRequest.SerializeToString


@contextmanager
def dial(port: int) -> Iterator[grpc.Channel]:
    """A channel with a connection of its own."""
    options = [("grpc.use_local_subchannel_pool", 1)]
    with grpc.insecure_channel(f"127.0.0.1:{port}", options=options) as channel:
        yield channel


def unary(channel: grpc.Channel, payload: bytes = b"", timeout: float = 10) -> echo_pb2.EchoReply:
    """One Echo."""
    call = channel.unary_unary(names.ECHO, SEND, REPLY)
    reply: echo_pb2.EchoReply = call(echo_pb2.EchoRequest(payload=payload), timeout=timeout)
    return reply
