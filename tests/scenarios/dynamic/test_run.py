"""Scenarios in time on the loopback cluster, and cut short."""

from __future__ import annotations

import asyncio
from pathlib import Path

from whichpod.cluster.loopback import LoopbackCluster
from whichpod.model.dynamic import Cell, Dynamic
from whichpod.scenarios.dynamic.paths import read_paths
from whichpod.scenarios.dynamic.run import run_dynamic
from whichpod.scenarios.dynamic.scenario import DynamicCell, read_dynamic

TEXT = """
title = "A pod more, then a pod dies"
[load]
rate = 40
duration_s = 5.0
deadline_s = 5.0
[[steps]]
name = "out"
at_s = 0.2
do = "scale"
deployment = "echo"
replicas = 6
[[steps]]
name = "late"
at_s = 0.5
do = "newcomer"
[[steps]]
name = "kill"
at_s = 0.6
do = "signal"
signal = "KILL"
pod = "serving"
[[questions]]
ask = "first-rpc"
step = "out"
[[questions]]
ask = "newcomer"
step = "late"
[[questions]]
ask = "spread"
[[cells]]
path = "headless"
expect = ["new_hit == 0", "newcomer_failed == 0"]
[[cells]]
name = "wrong"
path = "headless"
expect = ["new_hit == 1"]
"""


def cells(folder: Path) -> tuple[DynamicCell, ...]:
    scenario = folder / "both"
    scenario.mkdir()
    (scenario / "scenario.toml").write_text(TEXT)
    return read_dynamic(scenario, read_paths()).cells


def test_what_holds_passes_what_does_not_fails_and_both_are_told(tmp_path: Path) -> None:
    result = asyncio.run(run_dynamic(LoopbackCluster(), cells(tmp_path)))
    good, bad = result.cells
    assert good.outcome == "passed", good.reason
    assert bad.outcome in ("failed", "inconclusive"), bad.reason  # inconclusive: a machine that is too busy
    assert not bad.broken
    assert "new_hit == 1" in bad.reason
    for cell in (good, bad):
        assert [s.name for s in cell.steps] == ["out", "late", "kill"]
        assert cell.steps[2].pod in {e.what for e in cell.events if e.kind == "died"}
        timeline = cell.timeline()
        assert timeline is not None
        tally = cell.reports[0].tally
        done = sum(i.done for line in timeline.lines.values() for i in line.intervals.values())
        assert done == tally.done
        assert tally.balanced_books
    assert Dynamic.from_text(result.to_text()).to_text() == result.to_text()


class Canceller:
    """Cancels the run once a client is sending."""

    def __init__(self) -> None:
        self.task: asyncio.Task[Dynamic] | None = None
        self.ended: list[str] = []

    def began(self, cells: int, seconds: float) -> None:
        assert cells
        assert seconds

    def cell_started(self, cell: DynamicCell) -> None:
        pass

    def cell_says(self, cell: DynamicCell, text: str) -> None:
        if text.startswith("scale") and self.task:
            self.task.cancel()

    def cell_ended(self, found: Cell) -> None:
        self.ended.append(found.name)


def test_a_run_that_is_cancelled_keeps_what_was_measured(tmp_path: Path) -> None:
    async def run() -> tuple[Dynamic, Canceller]:
        watcher = Canceller()
        watcher.task = asyncio.create_task(
            run_dynamic(LoopbackCluster(), cells(tmp_path)[:1], watcher=watcher)
        )
        return await watcher.task, watcher

    result, _ = asyncio.run(run())
    assert result.end_reason == "interrupted"
    (cell,) = result.cells
    assert cell.outcome == "inconclusive"
    assert cell.reports[0].end_reason == "interrupted"
    assert cell.reports[0].tally.balanced_books


def test_steps_that_the_load_is_too_short_for_leave_it_open(tmp_path: Path) -> None:
    scenario = tmp_path / "short"
    scenario.mkdir()
    text = TEXT.replace("duration_s = 5.0", "duration_s = 1.0").replace("at_s = 0.6", "at_s = 60")
    (scenario / "scenario.toml").write_text(text)
    cells = read_dynamic(scenario, read_paths()).cells[:1]
    (cell,) = asyncio.run(run_dynamic(LoopbackCluster(), cells)).cells
    assert cell.outcome == "inconclusive"
    assert "before all steps" in cell.reason
    assert cell.reports
