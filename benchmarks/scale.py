"""1,000 backends against 5: what an RPC costs the load engine."""

from __future__ import annotations

from collections.abc import Sequence

from benchmarks.measure import Settings, interleaved, ratio, show
from benchmarks.peers import STREAMS, echo_server, engine
from whichpod.model.plan import Plan

FEW, MANY = 5, 1_000
MOST = 1.3


def run(settings: Settings) -> bool:
    """Whether many backends cost as little as asked."""
    with echo_server("--engine", "fast", "--pods", str(MANY)) as server:
        found = interleaved(
            {
                f"{MANY} backends": lambda: _us(server.addresses, settings.requests),
                f"{FEW} backends": lambda: _us(server.addresses[:FEW], settings.requests),
            },
            settings.rounds,
        )
    show(found)
    many, few = found.values()
    return ratio(f"{MANY} backends by {FEW}", many, few, MOST)


def _us(addresses: Sequence[str], requests: int) -> float:
    report = engine(addresses, Plan(requests=requests, concurrency=STREAMS))
    assert len(report.tally.backends) == len(addresses)
    return report.saturation.cpu_s / report.tally.done * 1e6
