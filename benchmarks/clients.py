"""The load engine against h2load, on nghttpd and on the fast server, and grpcio's aio client for scale."""

from __future__ import annotations

import asyncio
import multiprocessing
import resource
import statistics
from collections.abc import Awaitable, Callable
from multiprocessing.queues import SimpleQueue

from benchmarks.measure import Sample, Settings, held, interleaved, ratio, show
from benchmarks.peers import (
    CONNECTIONS,
    ECHO_PATH,
    NGHTTPD_PATH,
    STREAMS,
    echo_server,
    engine,
    engine_us,
    h2load_us,
    missing,
    nghttpd,
)
from whichpod.model.plan import Plan

MOST = 1.5
LEAST_RPS = 150_000
AIO_PART = 20
"""grpcio's client is so much slower that it gets this part of the RPCs."""


def run(settings: Settings) -> bool:
    """Whether the engine is as cheap and as fast as asked."""
    met = True
    n = settings.requests
    with_h2load = not missing("h2load")
    if not missing("nghttpd"):
        with nghttpd() as server:
            port = server.port
            sides: dict[str, Sample] = {"engine to nghttpd": lambda: engine_us(port, n, to_nghttpd=True)}
            if with_h2load:
                sides["h2load to nghttpd"] = lambda: h2load_us(port, n, NGHTTPD_PATH)
            found = interleaved(sides, settings.rounds)
            show(found)
            if with_h2load:
                ours, theirs = found.values()
                met &= ratio("engine by h2load", ours, theirs, MOST)
            rps = [_rps(port, n) for _ in range(settings.rounds)]
            show({"engine to nghttpd": rps}, "RPCs per second from one process")
            met &= held("RPCs per second", statistics.median(rps), least=LEAST_RPS)
    with echo_server("--engine", "fast") as server:
        port = server.port
        sides = {"engine to fast server": lambda: engine_us(port, n)}
        if with_h2load:
            sides["h2load to fast server"] = lambda: h2load_us(port, n, ECHO_PATH)
        sides["grpcio aio to fast server"] = lambda: _aio_us(port, n // AIO_PART)
        found = interleaved(sides, settings.rounds)
        show(found)
        values = list(found.values())
        if with_h2load:
            met &= ratio("engine by h2load", values[0], values[1], MOST)
        ratio("engine by grpcio aio", values[0], values[-1])
    return met


def _rps(port: int, requests: int) -> float:
    plan = Plan(requests=requests, connections=CONNECTIONS, concurrency=STREAMS)
    return engine([f"127.0.0.1:{port}"], plan, to_nghttpd=True).rps


def _aio_us(port: int, requests: int) -> float:
    context = multiprocessing.get_context("spawn")
    queue: SimpleQueue[float] = context.SimpleQueue()
    process = context.Process(target=_aio, args=(port, requests, queue))
    process.start()
    cpu = queue.get()
    process.join()
    return cpu / requests * 1e6


def _aio(port: int, requests: int, queue: SimpleQueue[float]) -> None:
    asyncio.run(_load(port, requests, queue))


async def _load(port: int, requests: int, queue: SimpleQueue[float]) -> None:
    import grpc.aio

    options = [("grpc.use_local_subchannel_pool", 1)]
    channels = [grpc.aio.insecure_channel(f"127.0.0.1:{port}", options) for _ in range(CONNECTIONS)]
    calls = [channel.unary_unary(ECHO_PATH, None, None) for channel in channels]
    left = requests

    async def caller(call: Callable[[bytes], Awaitable[bytes]]) -> None:
        nonlocal left
        while left > 0:
            left -= 1
            await call(b"")

    await asyncio.gather(*(call(b"") for call in calls))
    before = resource.getrusage(resource.RUSAGE_SELF)
    await asyncio.gather(*(caller(call) for call in calls for _ in range(STREAMS)))
    after = resource.getrusage(resource.RUSAGE_SELF)
    queue.put(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    for channel in channels:
        await channel.close(None)
