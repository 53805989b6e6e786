"""1,000 backends against 5: what an RPC costs the load engine."""

from __future__ import annotations

from collections.abc import Sequence

from benchmarks.measure import Settings, interleaved, ratio, show
from benchmarks.peers import STREAMS, echo_server, engine
from whichpod.model.plan import Plan

FEW, MANY = 5, 1_000
MOST = 1.3
WARMUP_S = 1.0


def run(settings: Settings) -> bool:
    """Whether many backends cost as little as asked: with a connection to each, and with as many connections
    to the few as to the many, which tells what the backends cost from what connections cost."""
    with echo_server("--engine", "fast", "--pods", str(MANY)) as server:
        each, equal = f"{FEW} backends, a connection to each", f"{FEW} backends, {MANY // FEW} to each"
        many = f"{MANY} backends, a connection to each"
        found = interleaved(
            {
                many: lambda: _us(server.addresses, 1, settings.requests),
                each: lambda: _us(server.addresses[:FEW], 1, settings.requests),
                equal: lambda: _us(server.addresses[:FEW], MANY // FEW, settings.requests),
            },
            settings.rounds,
        )
    show(found)
    met = ratio(f"{MANY} backends by {FEW}, a connection to each", found[many], found[each], MOST)
    return (
        ratio(f"{MANY} backends by {FEW}, {MANY} connections each", found[many], found[equal], MOST) and met
    )


def _us(addresses: Sequence[str], connections: int, requests: int) -> float:
    # Measured once all connections are up and have been used: what it costs to open them is another matter.
    plan = Plan(requests=requests, connections=connections, concurrency=STREAMS, warmup_s=WARMUP_S)
    report = engine(addresses, plan)
    assert len(report.tally.backends) == len(addresses)
    return report.saturation.cpu_s / report.tally.done * 1e6
