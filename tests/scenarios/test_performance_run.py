"""The performance table on the loopback cluster, in small."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from whichpod.cluster.loopback import LoopbackCluster
from whichpod.cluster.protocol import Client
from whichpod.load.progress import LoadProgress
from whichpod.model.errors import UsageError
from whichpod.model.performance import Performance, Settings, Visit
from whichpod.model.usage import Role
from whichpod.model.verdict import Balance
from whichpod.scenarios.performance.rows import CONFIGURATIONS
from whichpod.scenarios.performance.run import HIGH, LOW, run_performance

ROWS = {c.name: c for c in CONFIGURATIONS}
SMALL = Settings(
    pods=2, streams=5, rate=100, duration_s=0.3, warmup_s=0.1, repetitions=2, engine="grpcio", payload_size=10
)


class Heard:
    """Remembers what it is told; cancels the run in the visit that it is asked to."""

    def __init__(self, cancel_in: int = -1) -> None:
        self.visits: list[tuple[str, int]] = []
        self.ended: list[Visit] = []
        self.phases: list[str] = []
        self.says: list[str] = []
        self.task: asyncio.Task[Performance] | None = None
        self._cancel_in = cancel_in

    def visit_started(self, name: str, repetition: int, index: int, total: int) -> None:
        assert index == len(self.visits) < total
        self.visits.append((name, repetition))

    def visit_says(self, text: str) -> None:
        self.says.append(text)

    def visit_loads(self, phase: str, progress: LoadProgress) -> None:
        if phase not in self.phases:
            self.phases.append(phase)
        if len(self.visits) == self._cancel_in + 1 and phase == HIGH and progress.done and self.task:
            self.task.cancel()

    def visit_ended(self, visit: Visit) -> None:
        self.ended.append(visit)


def ran(names: list[str], settings: Settings = SMALL, heard: Heard | None = None) -> Performance:
    async def run() -> Performance:
        chosen = [ROWS[name] for name in names]
        task = asyncio.create_task(run_performance(LoopbackCluster(), chosen, settings, heard))
        if heard:
            heard.task = task
        return await task

    return asyncio.run(run())


def test_a_row_that_the_cluster_has_not_is_skipped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(LoopbackCluster, "mutual_tls", False)
    (mtls,) = ran(["istio-mtls"]).rows
    assert mtls.outcome == "skipped"
    assert "no mutual TLS" in mtls.reason
    assert mtls.figures is None
    assert not mtls.visits


def test_direct_and_an_edge_envoy_end_to_end() -> None:
    heard = Heard()
    table = ran(["direct", "edge-envoy"], heard=heard)
    # Every row once, then every row again.
    assert heard.visits == [("direct", 1), ("edge-envoy", 1), ("direct", 2), ("edge-envoy", 2)]
    assert heard.phases == [LOW, HIGH]
    assert "2 of 2 pods ready" in heard.says
    assert [v.error for v in heard.ended] == [""] * 4
    direct, edge = table.rows
    assert (direct.outcome, edge.outcome) == ("measured", "measured")
    assert table.outcomes()["measured"] == 2
    assert table.end_reason == "completed"
    assert table.environment["cluster"] == "loopback"
    assert table.environment["envoy"]
    assert table.environment["stand-ins"].count("pods are processes") == 1
    for row, has_proxy in ((direct, False), (edge, True)):
        assert [v.repetition for v in row.visits] == [1, 2]
        for visit in row.visits:
            low, high = visit.low, visit.saturated
            assert low
            assert high
            assert (low.done, low.failed, low.dropped) == (30, 0, 0)
            assert 0 < low.p50_ns <= low.p99_ns
            assert high.done > 0
            assert high.failed == 0
            assert (high.hit, high.known) == (2, 2)
            roles = [p.role for p in high.usage.processes]
            assert roles == [Role.CLIENT, Role.SERVER, Role.SERVER, *[Role.PROXY] * has_proxy]
            assert (high.cpu_us["proxy"] > 0) == has_proxy
            assert high.cpu_us["client"] > 0
            assert high.cpu_us["server"] > 0
            assert high.cpu_us["all"] == pytest.approx(sum(high.cpu_us.values()) / 2)
        assert row.figures
        assert row.figures.failed == 0
        assert row.balances[0] in Balance
    assert direct.figures
    assert direct.figures.rps_ratio is None
    assert edge.figures
    assert edge.figures.rps_ratio
    assert len(edge.figures.rps_ratio.samples) == 2
    assert edge.figures.added_p50_ns


def test_a_run_that_is_cancelled_keeps_the_visits_that_were_whole() -> None:
    heard = Heard(cancel_in=1)
    table = ran(["direct", "headless-round-robin"], replace(SMALL, duration_s=1), heard)
    assert table.end_reason == "interrupted"
    assert len(heard.ended) == 1
    direct, headless = table.rows
    assert (direct.outcome, headless.outcome) == ("measured", "not run")
    assert [len(r.visits) for r in table.rows] == [1, 0]
    assert direct.figures
    assert headless.figures is None


def test_what_a_lab_fails_at_makes_a_failed_row_and_the_others_go_on() -> None:
    async def run() -> Performance:
        broken = replace(ROWS["headless-round-robin"], client=Client("echo-headless", port=1))
        chosen = [broken, ROWS["direct"]]
        return await run_performance(LoopbackCluster(), chosen, replace(SMALL, repetitions=1))

    broken, direct = asyncio.run(run()).rows
    assert broken.outcome == "failed"
    assert "has no port 1" in broken.reason
    assert broken.visits[0].error == broken.reason
    assert broken.figures is None
    assert direct.outcome == "measured"


def test_settings_are_refused_before_anything_starts() -> None:
    heard = Heard()
    with pytest.raises(UsageError, match="--streams 0"):
        ran(["direct"], replace(SMALL, streams=0), heard)
    assert not heard.visits
