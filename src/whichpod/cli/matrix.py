"""`whichpod matrix`: every configuration side by side."""

from __future__ import annotations

import asyncio
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from whichpod.cli.main import typer_main
from whichpod.cli.options import Json
from whichpod.model.errors import ExitCode, UsageError
from whichpod.model.report import Matrix, Row
from whichpod.model.units import parse_duration

if TYPE_CHECKING:
    from whichpod.cluster.protocol import Cluster
    from whichpod.scenarios.run import Options, Watcher
    from whichpod.scenarios.scenario import Scenario

_EPILOG = """Examples:

whichpod matrix

whichpod matrix --list

whichpod matrix --only 'istio*' --only clusterip --verbose

whichpod matrix --skip edge-caddy --pods 10 --requests 200

whichpod matrix --report reports --json > matrix.json"""

CLUSTERS = ("loopback",)


def main(argv: list[str]) -> int:
    """Runs the command."""
    return typer_main("matrix", matrix, argv, epilog=_EPILOG)


def matrix(
    *,
    list_rows: Annotated[bool, typer.Option("--list", help="List the rows and end.")] = False,
    only: Annotated[list[str] | None, typer.Option(help="Run just this row; a glob, repeatable.")] = None,
    skip: Annotated[list[str] | None, typer.Option(help="Leave this row out; a glob, repeatable.")] = None,
    pods: Annotated[int | None, typer.Option(help="Pods behind the Service [default: 5].")] = None,
    requests: Annotated[
        int | None, typer.Option("-n", "--requests", help="Requests per row [default: 50, or 10 per pod].")
    ] = None,
    engine: Annotated[
        str, typer.Option(help="The pods' server, grpcio or fast; a row about gRPC's own keeps that.")
    ] = "grpcio",
    cluster: Annotated[str, typer.Option(help="Where to run: loopback.")] = "loopback",
    scenarios: Annotated[str, typer.Option(help="A folder with rows of your own instead.")] = "",
    ready_timeout: Annotated[str, typer.Option(help="How long pods may take to get ready.")] = "30s",
    report: Annotated[
        Path | None,
        typer.Option(help="Write matrix.json, matrix.md and matrix.xml (JUnit) into this folder."),
    ] = None,
    verbose: Annotated[bool, typer.Option("-v", "--verbose", help="Show every row's distribution.")] = False,
    json: Json = False,
) -> int:
    """Run every configuration side by side, with the real proxies and no cluster."""
    for option, value in (("--pods", pods), ("--requests", requests)):
        if value is not None and value < 1:
            raise UsageError(f"{option} {value} makes no sense.", fix="It takes a number above zero.")
    if pods == 1:
        raise UsageError("--pods 1 leaves nothing to spread over.", fix="Give it 2 or more.")
    from whichpod.scenarios.engines import check_engine
    from whichpod.scenarios.scenario import BUILT_IN, selected
    from whichpod.scenarios.scenario import scenarios as read

    check_engine(engine)
    chosen = selected(read(Path(scenarios) if scenarios else BUILT_IN), only or [], skip or [])
    if list_rows:
        return _list(chosen, json)
    if report and report.exists() and not report.is_dir():
        raise UsageError(f"--report {report} is not a folder.", fix="Name a folder; it is made if need be.")
    from whichpod.cli.matrix_progress import watcher
    from whichpod.scenarios.run import Options

    options = Options(pods, requests, parse_duration(ready_timeout, "--ready-timeout"), engine)
    with watcher(quiet=json) as watch:
        result = asyncio.run(_run(_cluster(cluster), chosen, options, watch))
    _show(result, report, json, verbose)
    return _code(result)


def _cluster(name: str) -> Cluster:
    if name != "loopback":
        raise UsageError(f"There is no cluster {name!r}.", fix=f"Known: {', '.join(CLUSTERS)}.")
    from whichpod.cluster.loopback import LoopbackCluster

    return LoopbackCluster()


async def _run(cluster: Cluster, chosen: list[Scenario], options: Options, watch: Watcher | None) -> Matrix:
    from whichpod.scenarios.run import run_matrix

    task = asyncio.ensure_future(run_matrix(cluster, chosen, options, watch))
    # Either signal ends the run in an orderly way; what ran is shown. A second one changes nothing.
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, lambda: task.cancelling() or task.cancel())
    return await task


def _list(chosen: list[Scenario], as_json: bool) -> int:
    if as_json:
        import json

        rows = [{"name": s.name, "title": s.title, "expectation": str(s.expectation)} for s in chosen]
        print(json.dumps({"schema_version": 1, "rows": rows}, indent=2))
        return ExitCode.OK
    width = max(len(s.name) for s in chosen) + 2
    for s in chosen:
        print(f"{s.name:<{width}}{s.title} (expects {s.expectation})")
    return ExitCode.OK


def _show(result: Matrix, folder: Path | None, as_json: bool, verbose: bool) -> None:
    if folder:
        from whichpod.report.junit import matrix_junit
        from whichpod.report.markdown import matrix_markdown

        folder.mkdir(parents=True, exist_ok=True)
        (folder / "matrix.json").write_text(result.to_text() + "\n", encoding="utf-8")
        (folder / "matrix.md").write_text(matrix_markdown(result), encoding="utf-8")
        (folder / "matrix.xml").write_text(matrix_junit(result), encoding="utf-8")
        print(f"Reports are in {folder}: matrix.json, matrix.md, matrix.xml", file=sys.stderr)
    if as_json:
        print(result.to_text())
        return
    from whichpod.report.console import out
    from whichpod.report.matrix_table import print_matrix

    print_matrix(out(), result, verbose=verbose)


def _code(result: Matrix) -> int:
    """The worst that happened: a lab that failed is told from an expectation that was not met."""
    if result.end_reason == "interrupted":
        return ExitCode.INTERRUPTED

    def of(row: Row) -> ExitCode:
        if row.outcome == "failed":
            return ExitCode.UNMET if row.verdict else ExitCode.FAILED
        return ExitCode.INCONCLUSIVE if row.outcome == "inconclusive" else ExitCode.OK

    if all(row.outcome == "skipped" for row in result.rows):
        return ExitCode.INCONCLUSIVE  # nothing ran, so nothing was shown
    found = {of(row) for row in result.rows}
    order = (ExitCode.FAILED, ExitCode.UNMET, ExitCode.INCONCLUSIVE)
    return next((code for code in order if code in found), ExitCode.OK)
