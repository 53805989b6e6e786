"""The fast server against grpcio's and nghttpd, under the load engine."""

from __future__ import annotations

import statistics

from benchmarks.measure import Sample, Settings, cpu_of, held, interleaved, ratio, show
from benchmarks.peers import CONNECTIONS, STREAMS, Server, echo_server, engine, missing, nghttpd
from whichpod.model.plan import Plan

MOST_US = 6.0
SLOW_PART = 15
"""grpcio's server is so much slower that it gets this part of the RPCs."""


def run(settings: Settings) -> bool:
    """Whether the fast server is as cheap as asked."""
    n = settings.requests
    with echo_server("--engine", "fast") as fast, echo_server() as grpcio:
        sides: dict[str, Sample] = {
            "fast server": lambda: _server_us(fast, n),
            "grpcio server": lambda: _server_us(grpcio, n // SLOW_PART),
        }
        if missing("nghttpd"):
            found = interleaved(sides, settings.rounds)
        else:
            with nghttpd() as canned:
                sides["nghttpd (a file)"] = lambda: _server_us(canned, n, to_nghttpd=True)
                found = interleaved(sides, settings.rounds)
    show(found)
    values = list(found.values())
    ratio("fast server by grpcio's", values[0], values[1])
    if len(values) > 2:
        ratio("fast server by nghttpd", values[0], values[2])
    return held("CPU us per real unary echo", statistics.median(values[0]), most=MOST_US)


def _server_us(server: Server, requests: int, *, to_nghttpd: bool = False) -> float:
    plan = Plan(requests=requests, connections=CONNECTIONS, concurrency=STREAMS)
    before = cpu_of(server.pid)
    report = engine([f"127.0.0.1:{server.port}"], plan, to_nghttpd=to_nghttpd)
    return (cpu_of(server.pid) - before) / report.tally.done * 1e6
