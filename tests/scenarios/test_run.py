"""Runs of scenarios on the loopback cluster, cut short in the middle."""

from __future__ import annotations

import asyncio

from whichpod.cluster.loopback import LoopbackCluster
from whichpod.model.report import Matrix, Row
from whichpod.scenarios.run import Options, run_matrix
from whichpod.scenarios.scenario import Scenario, scenarios


class Canceller:
    """Cancels the run once a row's client is sending."""

    def __init__(self) -> None:
        self.task: asyncio.Task[Matrix] | None = None
        self.started: list[str] = []
        self.ended: list[str] = []

    def row_started(self, scenario: Scenario, index: int, total: int) -> None:
        self.started.append(scenario.name)

    def row_says(self, text: str) -> None:
        if text == "sending" and self.task:
            # A client of the row takes five seconds, so a fifth of one is in its midst.
            asyncio.get_running_loop().call_later(1, self.task.cancel)

    def row_ended(self, row: Row) -> None:
        self.ended.append(row.name)


def test_a_run_that_is_cancelled_while_a_client_sends_keeps_what_it_had_and_goes_no_further() -> None:
    rows = {s.name: s for s in scenarios()}

    async def run() -> tuple[Matrix, Canceller]:
        watcher = Canceller()
        chosen = [rows["connection-age"], rows["clusterip"]]
        watcher.task = asyncio.create_task(run_matrix(LoopbackCluster(), chosen, Options(), watcher))
        return await watcher.task, watcher

    matrix, watcher = asyncio.run(run())
    assert matrix.end_reason == "interrupted"
    assert watcher.started == ["connection-age"]
    (row,) = matrix.rows
    assert row.outcome == "inconclusive"
    assert row.report is not None
    assert 0 < row.report.tally.done < 50
    assert row.report.tally.balanced_books
