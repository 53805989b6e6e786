"""The echo service's four RPCs on grpcio."""

from __future__ import annotations

import random
import threading
from collections.abc import Iterator
from typing import Any

import grpc
from google.protobuf.message import DecodeError

from whichpod.echo.call import Call, Metadata, Says
from whichpod.echo.connections import Connections
from whichpod.echo.identity import Identity
from whichpod.echo.names import MOST_MESSAGES, POD_KEY, SERVER_ID_KEY, SERVICE
from whichpod.echo.orca import TRAILER, Load, LoadReport
from whichpod.echo.settings import ServerSettings
from whichpod.echo.v1 import echo_pb2

HELD_S = 1.0
"""The longest that an answer is held back."""


class EchoService:
    """Answers with who answered, after the delay and the failures that the settings ask for."""

    def __init__(self, identity: Identity, settings: ServerSettings, connections: Connections) -> None:
        server = echo_pb2.Server(
            id=identity.server_id,
            pod=identity.pod,
            pod_ip=identity.pod_ip,
            namespace=identity.namespace,
            node=identity.node,
            zone=identity.zone,
        )
        self.connections = connections
        self.faults = settings.faults
        """What is injected into the RPCs that begin from now on. Any thread may set it."""
        self._dice = random.Random(settings.seed or None)  # noqa: S311 - faults, not secrets
        self._lock = threading.Lock()
        self._held: threading.Event | None = None
        named = ((SERVER_ID_KEY, identity.server_id), (POD_KEY, identity.pod))
        who: Metadata = tuple((key, _ascii(value)) for key, value in named if value)
        reports = settings.load_reports
        fixed = reports.encode() if isinstance(reports, LoadReport) else b""
        load = Load(settings.workers) if reports == "auto" else None
        self._says = Says(server, who, (*who, (TRAILER, fixed)) if fixed else who, load)

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
        call = self._begin(context)
        self._end(call)
        return call.answer(request.payload, 1, 1, len(request.payload))

    def server_stream(
        self, request: echo_pb2.ServerStreamRequest, context: grpc.ServicerContext
    ) -> Iterator[echo_pb2.EchoReply]:
        """One message, as many answers as it asks for."""
        call = self._begin(context)
        if request.messages > MOST_MESSAGES:
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, f"messages may be {MOST_MESSAGES} at most")
        over = call.over() if request.interval_ms else None
        for i in range(1, max(1, request.messages) + 1):
            if i > 1 and over is not None and over.wait(request.interval_ms / 1000):
                return
            yield call.answer(request.payload, i, 1, len(request.payload))
            if call.fails:
                break
        self._end(call)

    def client_stream(self, requests: Iterator[bytes], context: grpc.ServicerContext) -> echo_pb2.EchoReply:
        """Any number of messages, one answer."""
        call = self._begin(context)
        received = size = 0
        for request in _parsed(requests, context):
            received += 1
            size += len(request.payload)
        self._end(call)
        return call.answer(b"", 1, received, size)

    def bidi_stream(
        self, requests: Iterator[bytes], context: grpc.ServicerContext
    ) -> Iterator[echo_pb2.EchoReply]:
        """An answer to each message."""
        call = self._begin(context)
        size = 0
        for i, request in enumerate(_parsed(requests, context), 1):
            size += len(request.payload)
            yield call.answer(request.payload, i, i, size)
            if call.fails:
                break
        self._end(call)

    def _begin(self, context: grpc.ServicerContext) -> Call:
        """Counts the RPC, and delays or fails it."""
        call = Call(context, self._says, self.connections.count(context.peer()))
        # Both at once: what other RPCs draw meanwhile must not depend on how long this one waits.
        with self._lock:
            faults = self.faults
            seconds = faults.delay.sample(self._dice) if faults.delays else 0.0
            fails = bool(faults.failure.rate) and self._dice.random() < faults.failure.rate
        call.begin(faults, seconds, fails=fails, ready=self._wait_if_held)
        return call

    def _end(self, call: Call) -> None:
        self._wait_if_held()
        call.end()

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


def _ascii(text: str) -> str:
    """The text as metadata may carry it: printable ASCII (gRPC over HTTP/2, ASCII-Value)."""
    return "".join(c if " " < c <= "~" else "?" for c in text)
