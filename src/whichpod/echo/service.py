"""The echo service's four RPCs on grpcio."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import grpc

from whichpod.echo.connections import Connections
from whichpod.echo.identity import Identity
from whichpod.echo.names import SERVICE
from whichpod.echo.settings import ServerSettings
from whichpod.echo.v1 import echo_pb2

MOST_MESSAGES = 1_000_000


class EchoService:
    """Answers with who answered, after the delay and the failures that the settings ask for."""

    def __init__(self, identity: Identity, settings: ServerSettings, connections: Connections) -> None:
        self._server = echo_pb2.Server(
            id=identity.server_id,
            pod=identity.pod,
            pod_ip=identity.pod_ip,
            namespace=identity.namespace,
            node=identity.node,
            zone=identity.zone,
        )
        self.connections = connections
        self._delay = settings.delay
        self._delays = settings.delay.a > 0 or settings.delay.b > 0
        self._failure = settings.failure
        self._code = grpc.StatusCode[settings.failure.code]
        self._dice = random.Random(settings.seed or None)  # noqa: S311 - faults, not secrets
        self._lock = threading.Lock()

    def handlers(self) -> grpc.GenericRpcHandler[Any, Any]:
        """What a grpcio server is given."""
        request, reply = echo_pb2.EchoRequest.FromString, echo_pb2.EchoReply.SerializeToString
        asked = echo_pb2.ServerStreamRequest.FromString
        return grpc.method_handlers_generic_handler(
            SERVICE,
            {
                "Echo": grpc.unary_unary_rpc_method_handler(self.echo, request, reply),
                "ServerStream": grpc.unary_stream_rpc_method_handler(self.server_stream, asked, reply),
                "ClientStream": grpc.stream_unary_rpc_method_handler(self.client_stream, request, reply),
                "BidiStream": grpc.stream_stream_rpc_method_handler(self.bidi_stream, request, reply),
            },
        )

    def echo(self, request: echo_pb2.EchoRequest, context: grpc.ServicerContext) -> echo_pb2.EchoReply:
        """One message, one answer."""
        answer = self._begin(context)
        return answer(request.payload, 1, 1, len(request.payload))

    def server_stream(
        self, request: echo_pb2.ServerStreamRequest, context: grpc.ServicerContext
    ) -> Iterator[echo_pb2.EchoReply]:
        """One message, as many answers as it asks for."""
        if request.messages > MOST_MESSAGES:
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, f"messages may be {MOST_MESSAGES} at most")
        answer = self._begin(context)
        for i in range(1, max(1, request.messages) + 1):
            if i > 1 and request.interval_ms and not self._pause(context, request.interval_ms / 1000):
                return
            yield answer(request.payload, i, 1, len(request.payload))

    def client_stream(
        self, requests: Iterator[echo_pb2.EchoRequest], context: grpc.ServicerContext
    ) -> echo_pb2.EchoReply:
        """Any number of messages, one answer."""
        answer = self._begin(context)
        received = size = 0
        for request in requests:
            received += 1
            size += len(request.payload)
        return answer(b"", 1, received, size)

    def bidi_stream(
        self, requests: Iterator[echo_pb2.EchoRequest], context: grpc.ServicerContext
    ) -> Iterator[echo_pb2.EchoReply]:
        """An answer to each message."""
        answer = self._begin(context)
        size = 0
        for i, request in enumerate(requests, 1):
            size += len(request.payload)
            yield answer(request.payload, i, i, size)

    def _begin(self, context: grpc.ServicerContext) -> Callable[[bytes, int, int, int], echo_pb2.EchoReply]:
        """Counts the RPC, delays or fails it, and gives what makes its answers."""
        peer: str = context.peer()
        connection, call = self.connections.count(peer)
        self._inject(context)
        server = self._server

        def answer(payload: bytes, sequence: int, received: int, size: int) -> echo_pb2.EchoReply:
            return echo_pb2.EchoReply(
                server=server, payload=payload, peer=peer, connection=connection, call=call,
                sequence=sequence, received=received, received_bytes=size,
            )  # fmt: skip

        return answer

    def _inject(self, context: grpc.ServicerContext) -> None:
        if self._delays:
            with self._lock:
                seconds = self._delay.sample(self._dice)
            self._pause(context, seconds)
        if self._failure.rate:
            with self._lock:
                fails = self._dice.random() < self._failure.rate
            if fails:
                context.abort(self._code, "injected failure")

    @staticmethod
    def _pause(context: grpc.ServicerContext, seconds: float) -> bool:
        """Waits, and says whether the RPC still goes on: a long wait ends with it, to free the thread."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            time.sleep(min(left, 0.5))
            if not context.is_active():
                return False
        return True
