"""`whichpod bench --matrix`: what each configuration costs, measured side by side."""

from __future__ import annotations

import asyncio
import signal
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from whichpod.cli.main import typer_main
from whichpod.cli.options import Json
from whichpod.cli.reports import check_folder, write_all
from whichpod.model.errors import ExitCode
from whichpod.model.performance import Performance, Settings
from whichpod.model.units import parse_duration

if TYPE_CHECKING:
    from whichpod.scenarios.performance.rows import Configuration
    from whichpod.scenarios.performance.run import Watcher

_EPILOG = """Examples:

whichpod bench --matrix

whichpod bench --matrix --quick

whichpod bench --matrix --only direct --only 'edge-*' --repetitions 5 --duration 10s

whichpod bench --matrix --engine grpcio --report reports --json > table.json"""

OPTION = "--matrix"
QUICK = Settings(duration_s=1.0, warmup_s=0.2, repetitions=1)
_DEFAULTS = Settings()


def main(argv: list[str]) -> int:
    """Runs the command; `argv` may have the option --matrix that led here."""
    return typer_main(f"bench {OPTION}", bench_matrix, [a for a in argv if a != OPTION], epilog=_EPILOG)


def bench_matrix(
    *,
    list_rows: Annotated[bool, typer.Option("--list", help="List the rows and end.")] = False,
    only: Annotated[list[str] | None, typer.Option(help="Run just this row; a glob, repeatable.")] = None,
    skip: Annotated[list[str] | None, typer.Option(help="Leave this row out; a glob, repeatable.")] = None,
    repetitions: Annotated[
        int | None, typer.Option(help="Rounds over all rows [default: 3, --quick: 1].")
    ] = None,
    duration: Annotated[
        str, typer.Option(help="Of each of a row's two phases [default: 3s, --quick: 1s].")
    ] = "",
    quick: Annotated[bool, typer.Option("--quick", help="One short round, to see that it works.")] = False,
    warmup: Annotated[
        str, typer.Option(help="Before the low-rate phase [default: 500ms, --quick: 200ms].")
    ] = "",
    rate: Annotated[float, typer.Option(help="RPCs per second of the low-rate phase.")] = _DEFAULTS.rate,
    streams: Annotated[
        int, typer.Option(help="RPCs in flight per connection at saturation.")
    ] = _DEFAULTS.streams,
    pods: Annotated[int, typer.Option(help="Pods, and the client's connections.")] = _DEFAULTS.pods,
    payload_size: Annotated[int, typer.Option(help="Bytes of payload in each request.")] = 0,
    engine: Annotated[str, typer.Option(help="The pods' server: fast or grpcio.")] = _DEFAULTS.engine,
    ready_timeout: Annotated[str, typer.Option(help="How long pods may take to get ready.")] = "30s",
    report: Annotated[
        Path | None,
        typer.Option(help="Write bench-matrix.json, .md and .csv into this folder."),
    ] = None,
    json: Json = False,
) -> int:
    """Measure what each configuration costs: RPCs per second, added latency, CPU per RPC."""
    from whichpod.scenarios.performance.rows import check, chosen

    configurations = chosen(only or [], skip or [])
    if list_rows:
        return _list(configurations, json)
    base = QUICK if quick else _DEFAULTS
    settings = Settings(
        pods=pods,
        streams=streams,
        rate=rate,
        duration_s=parse_duration(duration, "--duration") if duration else base.duration_s,
        warmup_s=parse_duration(warmup, "--warmup") if warmup else base.warmup_s,
        repetitions=base.repetitions if repetitions is None else repetitions,
        engine=engine,
        payload_size=payload_size,
    )
    check(settings)
    check_folder(report)
    from whichpod.cli.bench_matrix_progress import watcher

    with watcher(quiet=json) as watch:
        timeout = parse_duration(ready_timeout, "--ready-timeout")
        table = asyncio.run(_run(configurations, settings, watch, timeout))
    _show(table, report, json)
    return _code(table)


async def _run(
    configurations: list[Configuration], settings: Settings, watch: Watcher | None, ready_timeout_s: float
) -> Performance:
    from whichpod.cluster.loopback import LoopbackCluster
    from whichpod.scenarios.performance.run import run_performance

    task = asyncio.ensure_future(
        run_performance(LoopbackCluster(), configurations, settings, watch, ready_timeout_s=ready_timeout_s)
    )
    # Either signal ends the run in an orderly way; what was measured is shown. A second one changes nothing.
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, lambda: task.cancelling() or task.cancel())
    return await task


def _list(configurations: list[Configuration], as_json: bool) -> int:
    if as_json:
        import json

        rows = [{"name": c.name, "title": c.title, "note": c.note} for c in configurations]
        print(json.dumps({"schema_version": 1, "rows": rows}, indent=2))
        return ExitCode.OK
    width = max(len(c.name) for c in configurations) + 2
    for c in configurations:
        print(f"{c.name:<{width}}{c.title}")
    return ExitCode.OK


def _show(table: Performance, folder: Path | None, as_json: bool) -> None:
    if as_json:
        print(table.to_text())
    else:
        from whichpod.report.console import out
        from whichpod.report.performance_table import print_performance

        print_performance(out(), table)
    if folder:
        from whichpod.report.performance_files import performance_csv, performance_markdown

        files = {
            "bench-matrix.json": table.to_text() + "\n",
            "bench-matrix.md": performance_markdown(table),
            "bench-matrix.csv": performance_csv(table),
        }
        write_all(folder, files)


def _code(table: Performance) -> int:
    if table.end_reason == "interrupted":
        return ExitCode.INTERRUPTED
    outcomes = {row.outcome for row in table.rows}
    if "failed" in outcomes:
        return ExitCode.FAILED
    return ExitCode.OK if "measured" in outcomes else ExitCode.INCONCLUSIVE
