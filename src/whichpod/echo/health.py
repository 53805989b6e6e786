"""gRPC's health service (grpc.health.v1), which answers however busy the server is."""

from __future__ import annotations

import functools
import threading
from collections.abc import Iterator
from concurrent import futures
from queue import SimpleQueue
from typing import Any

import grpc
from grpc_health.v1 import health, health_pb2

MOST_WATCHES = 1000
"""Watches served at a time, a thread each; further ones wait."""

_Response = health_pb2.HealthCheckResponse
SERVING: int = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING: int = health_pb2.HealthCheckResponse.NOT_SERVING
SERVICE_UNKNOWN: int = health_pb2.HealthCheckResponse.SERVICE_UNKNOWN


class Health:
    """SERVING until it is told to leave, for the whole server ("") and for each named service.

    Checks and watches have threads of their own, since those of the echo service may all be held by streams.
    Watches end with the server: left open, they would keep a drain waiting for all of its grace.

    grpcio's own servicer is not used: it sends under a lock that its thread of events takes too, so a watch
    that is cancelled while the status changes stops the whole server.
    """

    def __init__(self, *services: str) -> None:
        self._services = {"", *services}
        self._status = SERVING
        self._checks = futures.ThreadPoolExecutor(1, thread_name_prefix="health-check")
        self._watchers = futures.ThreadPoolExecutor(MOST_WATCHES, thread_name_prefix="health-watch")
        self._lock = threading.Lock()
        self._watches: dict[SimpleQueue[int | None], str] = {}
        self._ended = False

    def handlers(self) -> grpc.GenericRpcHandler[Any, Any]:
        """What a grpcio server is given."""
        # grpcio reads the attribute; on a method it would be every server's.
        check: Any = functools.partial(self._check)
        watch: Any = functools.partial(self._watch)
        check.experimental_thread_pool = self._checks
        watch.experimental_thread_pool = self._watchers
        asked, reply = health_pb2.HealthCheckRequest.FromString, _Response.SerializeToString
        return grpc.method_handlers_generic_handler(
            health.SERVICE_NAME,
            {
                "Check": grpc.unary_unary_rpc_method_handler(check, asked, reply),
                "Watch": grpc.unary_stream_rpc_method_handler(watch, asked, reply),
            },
        )

    def leave(self) -> None:
        """Says NOT_SERVING from now on; watches hear it."""
        with self._lock:
            if self._status == NOT_SERVING:
                return
            self._status = NOT_SERVING
            for told, service in self._watches.items():
                if service in self._services:
                    told.put(self._status)

    def end_watches(self) -> None:
        """Ends the watches, and those that come late."""
        with self._lock:
            self._ended = True
            for told in self._watches:
                told.put(None)

    def close(self) -> None:
        """Lets its threads go."""
        self._checks.shutdown(wait=False)
        self._watchers.shutdown(wait=False)

    def _check(
        self, request: health_pb2.HealthCheckRequest, context: grpc.ServicerContext
    ) -> health_pb2.HealthCheckResponse:
        if request.service not in self._services:
            context.abort(grpc.StatusCode.NOT_FOUND, f"there is no service {request.service!r}")
        return _Response(status=self._status)

    def _watch(
        self, request: health_pb2.HealthCheckRequest, context: grpc.ServicerContext
    ) -> Iterator[health_pb2.HealthCheckResponse]:
        told: SimpleQueue[int | None] = SimpleQueue()
        with self._lock:
            known = request.service in self._services
            told.put(self._status if known else SERVICE_UNKNOWN)
            if self._ended:
                told.put(None)
            self._watches[told] = request.service
        if not context.add_callback(lambda: told.put(None)):
            told.put(None)
        try:
            for status in iter(told.get, None):
                yield _Response(status=status)
        finally:
            with self._lock:
                del self._watches[told]
