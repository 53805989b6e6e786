"""Scenarios in time to render, built by hand."""

from __future__ import annotations

from tests.judge.answers.play import COMES, at, played, step
from whichpod.model.dynamic import Cell, Dynamic
from whichpod.model.events import LabEvent
from whichpod.model.plan import Plan
from whichpod.model.question import Answer, Finding
from whichpod.model.report import Report
from whichpod.model.tally import Tally
from whichpod.model.target import Target


def cell(path: str = "headless", outcome: str = "passed") -> Cell:
    def who(n: int, seconds: float) -> str:
        if 6 <= seconds < 7 and n % 3 == 0:
            return "!echo-1"
        return f"echo-{n % (4 if seconds >= 4 else 2)}"

    report = Report(Target("echo:50051"), Plan(), Tally(statuses={"OK": 483, "UNAVAILABLE": 17}))
    report.timeline = played(who)
    report.evidence = type(report.evidence)(first_error="UNAVAILABLE: <gone>")
    events = [LabEvent(at(-1), "ready", f"echo-{n}") for n in range(2)]
    events += [LabEvent(at(when), kind, what) for when, kind, what in COMES]
    return Cell(
        f"scale/{path}",
        "scale",
        path,
        "Scale & back",
        f"The <{path}> path",
        outcome,  # type: ignore[arg-type]
        why="What it is about.",
        because="It is so.",
        reason="" if outcome == "passed" else "bad \x00 <reason>",
        answers=[
            Answer("new_first_s", 0.5, "a new pod's first RPC", "0.50 s", "s"),
            Answer("new_hit", 2.0, "new pods that got any", "2 of 2"),
            Answer("failed", 17.0, "failed", "17 of 500 (3.4 %)"),
            Answer("failed_share", 3.4, "failed, share", "3.4 %", "%", minor=True),
        ],
        findings=[Finding("new_hit == 2", "passed", "2 of 2")],
        began_ns=at(0),
        steps=[step("out", 2, until=4), step("in", 8)],
        events=events,
        serving=("echo",),
        reports=[report],
        duration_s=12.5,
    )


def dynamic() -> Dynamic:
    skipped = Cell("scale/istio", "scale", "istio", "Scale & back", "Sidecars", reason="Envoy was not found.")
    cells = [
        cell(),
        cell("clusterip", "failed"),
        cell("edge", "inconclusive"),
        skipped,
        cell("own", "measured"),
    ]
    return Dynamic({"whichpod": "0", "cluster": "loopback"}, cells, "2026-01-01T00:00:00+00:00", 40.0, 3)
