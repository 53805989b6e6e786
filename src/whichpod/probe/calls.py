"""The echo service's RPCs as one kind of call: it returns who answered, over what, and how many messages."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import repeat
from typing import Any

import grpc

from whichpod.echo import names
from whichpod.echo.v1 import echo_pb2
from whichpod.model.metadata import wire_metadata
from whichpod.model.plan import Plan, Stream
from whichpod.model.target import Backend


@dataclass(frozen=True, slots=True)
class Answer:
    """What an RPC that was done tells."""

    backend: Backend | None
    connection: str
    peer: str
    """The client's address as the server saw it, host only."""
    messages: int


SERVER_TRAILER, POD_TRAILER = "x-whichpod-server", "x-whichpod-pod"

Call = Callable[[], Answer]
"""Does one RPC. Raises grpc.RpcError."""


class Calls:
    """Makes calls on channels as a plan asks."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._metadata = wire_metadata(plan.metadata)
        self._payload = random.Random(plan.seed).randbytes(plan.payload_size)  # noqa: S311 - not a secret
        self._backends: dict[str, Backend] = {}

    def on(self, channel: grpc.Channel) -> Call:
        """The plan's RPC on a channel."""
        request = echo_pb2.EchoRequest(payload=self._payload)
        asked = echo_pb2.ServerStreamRequest(payload=self._payload, messages=self._plan.messages)
        most = self._plan.messages
        reply, timeout, metadata = echo_pb2.EchoReply.FromString, self._plan.deadline_s, self._metadata
        send = echo_pb2.EchoRequest.SerializeToString
        match self._plan.stream:
            case Stream.UNARY:
                unary = channel.unary_unary(names.ECHO, send, reply)
                return lambda: self._answer([unary(request, timeout=timeout, metadata=metadata)])
            case Stream.CLIENT:
                upward = channel.stream_unary(names.CLIENT_STREAM, send, reply)
                return lambda: self._answer(
                    [upward(repeat(request, most), timeout=timeout, metadata=metadata)], messages=most
                )
            case Stream.SERVER:
                ask = echo_pb2.ServerStreamRequest.SerializeToString
                downward = channel.unary_stream(names.SERVER_STREAM, ask, reply)
                return lambda: self._answer(downward(asked, timeout=timeout, metadata=metadata))
            case Stream.BIDI:
                both = channel.stream_stream(names.BIDI_STREAM, send, reply)
                return lambda: self._answer(both(repeat(request, most), timeout=timeout, metadata=metadata))

    def blamed(self, error: grpc.RpcError) -> Backend | None:
        """Who failed an RPC, where its trailers tell."""
        return self._known(*told_in_trailers(error.trailing_metadata()))

    def _known(self, server_id: str, pod: str) -> Backend | None:
        if not server_id:
            return None
        return self._backends.get(server_id) or Backend(server_id, pod)

    def _answer(self, replies: Iterable[echo_pb2.EchoReply], messages: int = 0) -> Answer:
        count, last = 0, None
        for reply in replies:
            count, last = count + 1, reply
        if last is None:
            return Answer(None, "", "", 0)
        server = last.server
        return Answer(self._backend(server), last.connection, _host(last.peer), messages or count)

    def _backend(self, server: echo_pb2.Server) -> Backend | None:
        if not server.id:
            return None
        found = self._backends.get(server.id)
        if found is None:
            found = self._backends[server.id] = Backend(
                server.id, server.pod, server.pod_ip, server.namespace, server.node, server.zone
            )
        return found


def value_of(metadata: Any, name: str) -> str:
    """A metadata value as text; empty where there is none."""
    for key, value in metadata or ():
        if key == name.lower():
            return value.hex() if isinstance(value, bytes) else str(value)
    return ""


def told_in_trailers(metadata: Any) -> tuple[str, str]:
    """The server id and the pod that whichpod's servers put in their trailers, of failures too."""
    return value_of(metadata, SERVER_TRAILER), value_of(metadata, POD_TRAILER)


def _host(peer: str) -> str:
    """The host of gRPC's `ipv4:10.0.0.1:4711`, `ipv6:[::1]:4711` or `ipv6:%5B::1%5D:4711`."""
    address = peer.partition(":")[2]
    return address.rpartition(":")[0].replace("%5B", "").replace("%5D", "").strip("[]")
