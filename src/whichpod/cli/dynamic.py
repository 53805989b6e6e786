"""`whichpod matrix --dynamic`: scenarios in time."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, cast

from whichpod.cli.clusters import CLUSTERS, Access, opened
from whichpod.cli.interrupts import until_told
from whichpod.cli.reports import check_folder, write_all
from whichpod.model.dynamic import Cell, Dynamic
from whichpod.model.errors import ExitCode, UsageError
from whichpod.model.units import parse_duration

if TYPE_CHECKING:
    from whichpod.scenarios.dynamic.run import DynamicOptions, Place, Watcher
    from whichpod.scenarios.dynamic.scenario import DynamicCell


@dataclass(frozen=True, slots=True)
class Asked:
    """What the command line asks for."""

    scenarios: str
    only: list[str]
    skip: list[str]
    at_once: int | None
    engine: str
    ready_timeout: str
    list_cells: bool


def run_cells(
    asked: Asked, cluster: str, access: Access, *, report: Path | None, json: bool, verbose: bool
) -> int:
    """Runs cells, prints and writes what came of them, and returns the exit code."""
    from whichpod.cli.dynamic_progress import watcher
    from whichpod.manifest.engines import check_engine
    from whichpod.scenarios.dynamic.run import AT_ONCE, DynamicOptions
    from whichpod.scenarios.dynamic.scenario import BUILT_IN, chosen_cells, dynamic_scenarios

    check_engine(asked.engine)
    at_once = AT_ONCE if asked.at_once is None else asked.at_once
    if at_once < 1:
        raise UsageError(f"--at-once {at_once} makes no sense.", fix="It takes a number above zero.")
    found = dynamic_scenarios(Path(asked.scenarios) if asked.scenarios else BUILT_IN)
    cells = chosen_cells(found, asked.only, asked.skip)
    if asked.list_cells:
        return _list(cells, json, at_once)
    check_folder(report)
    timeout_s = parse_duration(asked.ready_timeout or CLUSTERS[cluster], "--ready-timeout")
    options = DynamicOptions(at_once, timeout_s, asked.engine)
    with watcher(quiet=json) as watch:
        result = until_told(_run(cluster, access, cells, options, watch))
    _show(result, report, json, verbose)
    return code(result)


async def _run(
    cluster: str, access: Access, cells: list[DynamicCell], options: DynamicOptions, watch: Watcher | None
) -> Dynamic:
    from whichpod.scenarios.dynamic.run import run_dynamic

    async with opened(cluster, access, None) as place:
        if not hasattr(place, "live"):
            raise UsageError(
                f"--dynamic does not run with --cluster {cluster}.",
                fix="What happens there is the cluster's; say --cluster loopback.",
            )
        return await run_dynamic(cast("Place", place), cells, options, watch)


def _list(cells: list[DynamicCell], as_json: bool, at_once: int) -> int:
    from whichpod.scenarios.dynamic.run import budget_s

    if as_json:
        import json

        found = [
            {
                "name": c.name,
                "scenario": c.scenario.title,
                "path": c.title,
                "seconds": c.seconds,
                "expect": [e.text for e in c.expect],
            }
            for c in cells
        ]
        print(json.dumps({"schema_version": 1, "cells": found}, indent=2))
        return ExitCode.OK
    width = max(len(c.name) for c in cells) + 2
    for cell in cells:
        expected = ", ".join(e.text for e in cell.expect) or "nothing"
        print(f"{cell.name:<{width}}{cell.scenario.title}; {cell.title} (expects {expected})")
    print(f"{len(cells)} cells, about {budget_s(cells, at_once):.0f} s, {at_once} at a time.")
    return ExitCode.OK


def _show(result: Dynamic, folder: Path | None, as_json: bool, verbose: bool) -> None:
    if as_json:
        print(result.to_text())
    else:
        from whichpod.report.console import out
        from whichpod.report.dynamic_terminal import print_dynamic

        print_dynamic(out(), result, verbose=verbose)
    if folder:
        from whichpod.report.dynamic_html import dynamic_html
        from whichpod.report.dynamic_junit import dynamic_junit
        from whichpod.report.dynamic_markdown import dynamic_markdown

        files = {
            "dynamic.json": result.to_text() + "\n",
            "dynamic.md": dynamic_markdown(result),
            "dynamic.xml": dynamic_junit(result),
            "dynamic.html": dynamic_html(result),
        }
        write_all(folder, files)


def code(result: Dynamic) -> int:
    """The worst that happened: a lab that failed is told from an expectation that was not met."""
    if result.end_reason == "interrupted":
        return ExitCode.INTERRUPTED
    if all(cell.outcome == "skipped" for cell in result.cells):
        return ExitCode.INCONCLUSIVE  # nothing ran, so nothing was shown

    def of(cell: Cell) -> ExitCode:
        if cell.outcome == "failed":
            return ExitCode.FAILED if cell.broken else ExitCode.UNMET
        return ExitCode.INCONCLUSIVE if cell.outcome == "inconclusive" else ExitCode.OK

    found = {of(cell) for cell in result.cells}
    order = (ExitCode.FAILED, ExitCode.UNMET, ExitCode.INCONCLUSIVE)
    return next((c for c in order if c in found), ExitCode.OK)
