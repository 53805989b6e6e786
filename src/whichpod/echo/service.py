"""The echo service's four RPCs on grpcio."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Iterator
from typing import Any

import grpc
from google.protobuf.message import DecodeError

from whichpod.echo.connections import Connections
from whichpod.echo.identity import Identity
from whichpod.echo.names import MOST_MESSAGES, POD_KEY, SERVER_ID_KEY, SERVICE
from whichpod.echo.settings import ServerSettings
from whichpod.echo.v1 import echo_pb2

HELD_S = 1.0
"""The longest that an answer is held back."""


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
        self._held: threading.Event | None = None
        named = ((SERVER_ID_KEY, identity.server_id), (POD_KEY, identity.pod))
        self._trailers = tuple((key, _ascii(value)) for key, value in named if value)

    def hold(self) -> None:
        """Holds back the ends of RPCs, until `release`."""
        self._held = self._held or threading.Event()

    def release(self) -> None:
        """Lets the RPCs go that were held back."""
        if self._held is not None:
            self._held.set()

    def handlers(self) -> grpc.GenericRpcHandler[Any, Any]:
        """What a grpcio server is given."""
        request, reply = echo_pb2.EchoRequest.FromString, echo_pb2.EchoReply.SerializeToString
        asked = echo_pb2.ServerStreamRequest.FromString
        # Streams of requests are read by `_parsed`, which says why.
        return grpc.method_handlers_generic_handler(
            SERVICE,
            {
                "Echo": grpc.unary_unary_rpc_method_handler(self.echo, request, reply),
                "ServerStream": grpc.unary_stream_rpc_method_handler(self.server_stream, asked, reply),
                "ClientStream": grpc.stream_unary_rpc_method_handler(self.client_stream, None, reply),
                "BidiStream": grpc.stream_stream_rpc_method_handler(self.bidi_stream, None, reply),
            },
        )

    def echo(self, request: echo_pb2.EchoRequest, context: grpc.ServicerContext) -> echo_pb2.EchoReply:
        """One message, one answer."""
        answer = self._begin(context)
        self._wait_if_held()
        return answer(request.payload, 1, 1, len(request.payload))

    def server_stream(
        self, request: echo_pb2.ServerStreamRequest, context: grpc.ServicerContext
    ) -> Iterator[echo_pb2.EchoReply]:
        """One message, as many answers as it asks for."""
        answer = self._begin(context)
        if request.messages > MOST_MESSAGES:
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, f"messages may be {MOST_MESSAGES} at most")
        over = _over(context) if request.interval_ms else None
        for i in range(1, max(1, request.messages) + 1):
            if i > 1 and over is not None and over.wait(request.interval_ms / 1000):
                return
            yield answer(request.payload, i, 1, len(request.payload))
        self._wait_if_held()

    def client_stream(self, requests: Iterator[bytes], context: grpc.ServicerContext) -> echo_pb2.EchoReply:
        """Any number of messages, one answer."""
        answer = self._begin(context)
        received = size = 0
        for request in _parsed(requests, context):
            received += 1
            size += len(request.payload)
        self._wait_if_held()
        return answer(b"", 1, received, size)

    def bidi_stream(
        self, requests: Iterator[bytes], context: grpc.ServicerContext
    ) -> Iterator[echo_pb2.EchoReply]:
        """An answer to each message."""
        answer = self._begin(context)
        size = 0
        for i, request in enumerate(_parsed(requests, context), 1):
            size += len(request.payload)
            yield answer(request.payload, i, i, size)
        self._wait_if_held()

    def _begin(self, context: grpc.ServicerContext) -> Callable[[bytes, int, int, int], echo_pb2.EchoReply]:
        """Counts the RPC, delays or fails it, and gives what makes its answers."""
        peer, connection, call = self.connections.count(context.peer())
        context.set_trailing_metadata(self._trailers)
        self._inject(context)
        server = self._server

        def answer(payload: bytes, sequence: int, received: int, size: int) -> echo_pb2.EchoReply:
            return echo_pb2.EchoReply(
                server=server, payload=payload, peer=peer, connection=connection, call=call,
                sequence=sequence, received=received, received_bytes=size,
            )  # fmt: skip

        return answer

    def _inject(self, context: grpc.ServicerContext) -> None:
        # Both at once: what other RPCs draw meanwhile must not depend on how long this one waits.
        with self._lock:
            seconds = self._delay.sample(self._dice) if self._delays else 0.0
            fails = bool(self._failure.rate) and self._dice.random() < self._failure.rate
        if self._delays:
            _over(context).wait(seconds)
        if fails:
            self._wait_if_held()
            context.abort(self._code, "injected failure")

    def _wait_if_held(self) -> None:
        if self._held is not None:
            self._held.wait(HELD_S)


def _parsed(requests: Iterator[bytes], context: grpc.ServicerContext) -> Iterator[echo_pb2.EchoRequest]:
    """The messages of a stream; one that is none ends it with INTERNAL.

    grpcio does so too, but ends the iterator without a word: the handler's answer is then a second status,
    which never gets out, and the server waits for it when it ends.
    """
    for request in requests:
        try:
            yield echo_pb2.EchoRequest.FromString(request)
        except DecodeError:
            context.abort(grpc.StatusCode.INTERNAL, "Exception deserializing request!")


def _over(context: grpc.ServicerContext) -> threading.Event:
    """Is set when the RPC is over, also by its client or its deadline, so that no thread waits on for it."""
    over = threading.Event()
    if not context.add_callback(over.set):
        over.set()
    return over


def _ascii(text: str) -> str:
    """The text as metadata may carry it: printable ASCII (gRPC over HTTP/2, ASCII-Value)."""
    return "".join(c if " " < c <= "~" else "?" for c in text)
