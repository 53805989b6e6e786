"""grpcio's servers, synchronous and asynchronous, with a service of their own."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from concurrent import futures
from contextlib import AbstractContextManager, contextmanager
from typing import Any, Protocol

import grpc
import pytest

from tests.load.runs import run
from whichpod.load.call import Call, Identify

pytestmark = pytest.mark.usefixtures("forking")

SERVICE, TRAILER = "t.Letters", "x-who"
NAMES = ("synchronous", "asynchronous")
Options = list[tuple[str, Any]]


class Context(Protocol):
    """What both kinds of contexts have."""

    def set_trailing_metadata(self, metadata: tuple[tuple[str, str], ...], /) -> None: ...


def mirror(request: bytes, context: Context) -> bytes:
    context.set_trailing_metadata(((TRAILER, "letters"),))
    return request


def handlers(kind: str, end: threading.Event) -> grpc.GenericRpcHandler[Any, Any]:
    """Mirror answers what it is sent, Refuse refuses, Wait waits until the end."""

    async def aio_mirror(request: bytes, context: Context) -> bytes:
        return mirror(request, context)

    async def aio_refuse(_request: bytes, context: grpc.aio.ServicerContext[bytes, bytes]) -> bytes:
        await context.abort(grpc.StatusCode.FAILED_PRECONDITION, "größer als 5 %")

    async def aio_wait(request: bytes, _context: Context) -> bytes:
        await asyncio.sleep(60)
        return request

    def refuse(_request: bytes, context: grpc.ServicerContext) -> bytes:
        context.abort(grpc.StatusCode.FAILED_PRECONDITION, "größer als 5 %")

    def wait(request: bytes, _context: Context) -> bytes:
        end.wait()
        return request

    one_by_one = {"Mirror": mirror, "Refuse": refuse, "Wait": wait}
    at_once = {"Mirror": aio_mirror, "Refuse": aio_refuse, "Wait": aio_wait}
    methods: dict[str, Any] = one_by_one if kind == "synchronous" else at_once
    made = {name: grpc.unary_unary_rpc_method_handler(method) for name, method in methods.items()}
    return grpc.method_handlers_generic_handler(SERVICE, made)


@contextmanager
def synchronous(options: Options) -> Iterator[int]:
    end = threading.Event()
    pool = futures.ThreadPoolExecutor(16)
    server = grpc.server(pool, handlers=[handlers("synchronous", end)], options=options)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        yield port
    finally:
        end.set()
        server.stop(0).wait()
        pool.shutdown()


@contextmanager
def asynchronous(options: Options) -> Iterator[int]:
    """In a thread with a loop of its own."""
    up: futures.Future[int] = futures.Future()
    end = threading.Event()

    async def serve() -> None:
        server = grpc.aio.server(handlers=[handlers("asynchronous", end)], options=options)
        port = server.add_insecure_port("127.0.0.1:0")
        await server.start()
        up.set_result(port)
        await asyncio.to_thread(end.wait)
        await server.stop(0)

    thread = threading.Thread(target=asyncio.run, args=(serve(),))
    thread.start()
    try:
        yield up.result(20)
    finally:
        end.set()
        thread.join()


def serving(kind: str, *options: tuple[str, Any]) -> AbstractContextManager[int]:
    """The port of such a server."""
    return (synchronous if kind == "synchronous" else asynchronous)(list(options))


def calling(method: str, payload: bytes = b"") -> Call:
    return Call(f"/{SERVICE}/{method}", payload, Identify("trailer", TRAILER))


@pytest.mark.parametrize("kind", NAMES)
def test_another_service(kind: str) -> None:
    with serving(kind) as port:
        small = run(port, call=calling("Mirror", b"abc"), requests=2_000, connections=3, concurrency=10)
        large = run(port, call=calling("Mirror", bytes(300_000)), requests=40, connections=2, concurrency=5)
        rated = run(port, call=calling("Mirror"), requests=300, rate=1_000.0, connections=2)
    for report, count in ((small, 2_000), (large, 40), (rated, 300)):
        assert report.tally.statuses == {"OK": count}, report.evidence.first_error
        assert {name: b.done for name, b in report.tally.backends.items()} == {"letters": count}


@pytest.mark.parametrize("kind", NAMES)
def test_its_failures(kind: str) -> None:
    with serving(kind) as port:
        refused = run(port, call=calling("Refuse"), requests=40, connections=2, concurrency=5)
        unknown = run(port, call=calling("None"), requests=40, connections=2, concurrency=5)
        late = run(port, call=calling("Wait"), requests=8, connections=2, concurrency=4, deadline_s=0.2)
        too_large = run(port, call=calling("Mirror", bytes((4 << 20) + 1)), requests=1)
    assert refused.tally.statuses == {"FAILED_PRECONDITION": 40}
    assert refused.evidence.first_error == "FAILED_PRECONDITION: größer als 5 %"
    assert unknown.tally.statuses == {"UNIMPLEMENTED": 40}
    assert late.tally.statuses == {"DEADLINE_EXCEEDED": 8}
    assert too_large.tally.statuses == {"RESOURCE_EXHAUSTED": 1}


@pytest.mark.parametrize("kind", NAMES)
def test_connections_that_age(kind: str) -> None:
    # Not with a limit of streams too: grpcio's server refuses some within the limit that it tells, its own
    # client's as well, since it counts a stream for a while after its end.
    age = (("grpc.max_connection_age_ms", 100), ("grpc.max_connection_age_grace_ms", 5_000))
    with serving(kind, *age) as port:
        report = run(port, call=calling("Mirror"), duration_s=0.6, connections=2, concurrency=20)
    assert set(report.tally.statuses) == {"OK"}, report.evidence.first_error
    assert report.evidence.connections_opened > 2


def test_connections_that_age_before_the_run_begins() -> None:
    """None may be up when all workers are ready: they are about to be."""
    age = (("grpc.max_connection_age_ms", 1), ("grpc.max_connection_age_grace_ms", 5_000))
    with serving("asynchronous", *age) as port:
        report = run(port, call=calling("Mirror"), requests=20, concurrency=10)
    assert report.tally.statuses == {"OK": 20}, report.evidence.first_error


def test_it_compresses() -> None:
    """Only for clients that take it: answers stay as they are."""
    with serving("synchronous", ("grpc.default_compression_algorithm", 2)) as port:
        report = run(port, call=calling("Mirror", bytes(10_000)), requests=50, concurrency=5)
    assert report.tally.statuses == {"OK": 50}, report.evidence.first_error
