"""gRPC's health service, which answers however busy the server is."""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable
from concurrent import futures
from typing import Any

import grpc
from grpc_health.v1 import health, health_pb2

Send = Callable[[health_pb2.HealthCheckResponse | None], None]
_THREADS = 2


class Health:
    """SERVING until it is told to leave, for the whole server ("") and for each named service.

    It has threads of its own, since those of the echo service may all be held by streams; a watch holds
    none. Watches end with the server: left open, they would keep a drain waiting for all of its grace.
    """

    def __init__(self, *services: str) -> None:
        self._servicer = health.HealthServicer()
        for name in ("", *services):
            self._servicer.set(name, health_pb2.HealthCheckResponse.SERVING)
        self._threads = futures.ThreadPoolExecutor(_THREADS, thread_name_prefix="health")
        self._lock = threading.Lock()
        self._watches: set[_Watch] = set()
        self._ended = False

    def handlers(self) -> grpc.GenericRpcHandler[Any, Any]:
        """What a grpcio server is given."""
        # Attributes that grpcio reads; on functions of the class they would be every server's.
        check: Any = functools.partial(self._servicer.Check)
        watch: Any = functools.partial(self._watch)
        check.experimental_thread_pool = watch.experimental_thread_pool = self._threads
        watch.experimental_non_blocking = True
        asked = health_pb2.HealthCheckRequest.FromString
        reply = health_pb2.HealthCheckResponse.SerializeToString
        return grpc.method_handlers_generic_handler(
            health.SERVICE_NAME,
            {
                "Check": grpc.unary_unary_rpc_method_handler(check, asked, reply),
                "Watch": grpc.unary_stream_rpc_method_handler(watch, asked, reply),
            },
        )

    def leave(self) -> None:
        """Says NOT_SERVING from now on; watches hear it."""
        self._servicer.enter_graceful_shutdown()

    def end_watches(self) -> None:
        """Ends the watches, and those that come late."""
        with self._lock:
            self._ended = True
            watches = list(self._watches)
        for watch in watches:
            watch(None)

    def close(self) -> None:
        """Lets its threads go."""
        self._threads.shutdown(wait=False)

    def _watch(
        self, request: health_pb2.HealthCheckRequest, context: grpc.ServicerContext, send: Send
    ) -> None:
        watch = _Watch(send)
        with self._lock:
            self._watches.add(watch)
        if not context.add_callback(lambda: self._forget(watch)):
            self._forget(watch)
        self._servicer.Watch(request, context, watch)
        if self._ended:
            watch(None)

    def _forget(self, watch: _Watch) -> None:
        with self._lock:
            self._watches.discard(watch)


class _Watch:
    """What sends a watch's answers. None ends it; grpcio fails on anything sent after that."""

    def __init__(self, send: Send) -> None:
        self._send: Send | None = send
        self._lock = threading.Lock()

    def __call__(self, response: health_pb2.HealthCheckResponse | None) -> None:
        with self._lock:
            send = self._send
            if response is None:
                self._send = None
            if send is not None:
                send(response)
