"""Whether memory grows with the number of RPCs."""

from __future__ import annotations

from benchmarks.measure import Settings, held
from benchmarks.peers import CONNECTIONS, STREAMS, echo_server, engine
from whichpod.model.plan import Plan

FEW, MANY = 100_000, 10_000_000
MOST_MB = 20.0
MB = 1 << 20


def run(settings: Settings) -> bool:
    """Whether it stays as flat as asked."""
    many = MANY if settings.requests >= FEW else FEW * 10
    with echo_server("--engine", "fast") as server:
        sizes = {n: _peak(server.port, n) / MB for n in (FEW, many)}
    for n, size in sizes.items():
        print(f"  after {n:,} RPCs: {size:.1f} MB at most")
    return held("MB more", sizes[many] - sizes[FEW], most=MOST_MB)


def _peak(port: int, requests: int) -> int:
    plan = Plan(requests=requests, connections=CONNECTIONS, concurrency=STREAMS)
    report = engine([f"127.0.0.1:{port}"], plan)
    return report.saturation.workers[0].peak_rss_bytes
