"""`whichpod matrix`: every configuration side by side."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from whichpod.cli.clusters import CLUSTERS, Access, opened
from whichpod.cli.interrupts import until_told
from whichpod.cli.k8s.options import Context, GatewayClass, Image, Keep, Kubeconfig, Namespace, PullPolicy
from whichpod.cli.main import typer_main
from whichpod.cli.options import Json, ProxyMode
from whichpod.cli.reports import check_folder, write_all
from whichpod.model.errors import ExitCode, UsageError
from whichpod.model.report import Matrix, Row
from whichpod.model.units import parse_duration

if TYPE_CHECKING:
    from whichpod.scenarios.run import Options, Watcher
    from whichpod.scenarios.scenario import Scenario

_EPILOG = """Examples:

whichpod matrix

whichpod matrix --list

whichpod matrix --only 'istio*' --only clusterip --verbose

whichpod matrix --skip edge-caddy --pods 10 --requests 200

whichpod matrix --report reports --json > matrix.json

whichpod matrix --dynamic --only 'scale*' --only 'kill/istio*' --report reports

whichpod matrix --cluster netns --proxy-mode nftables

whichpod matrix --cluster kubernetes --context kind-kind --image registry.example/whichpod:1"""


def main(argv: list[str]) -> int:
    """Runs the command."""
    return typer_main("matrix", matrix, argv, epilog=_EPILOG)


def matrix(
    *,
    list_rows: Annotated[bool, typer.Option("--list", help="List the rows and end.")] = False,
    dynamic: Annotated[
        bool,
        typer.Option("--dynamic", help="Scenarios in time instead: pods come, go, slow down and fail."),
    ] = False,
    at_once: Annotated[
        int | None, typer.Option(help="With --dynamic: scenarios that run at a time [default: 3].")
    ] = None,
    only: Annotated[
        list[str] | None,
        typer.Option(help="Run just this row; with --dynamic SCENARIO or SCENARIO/PATH; a glob, repeatable."),
    ] = None,
    skip: Annotated[list[str] | None, typer.Option(help="Leave this row out; a glob, repeatable.")] = None,
    pods: Annotated[int | None, typer.Option(help="Pods behind the Service [default: 5].")] = None,
    requests: Annotated[
        int | None, typer.Option("-n", "--requests", help="Requests per row [default: 50, or 10 per pod].")
    ] = None,
    engine: Annotated[
        str, typer.Option(help="The pods' server, grpcio or fast; a row about gRPC's own keeps that.")
    ] = "grpcio",
    cluster: Annotated[
        str, typer.Option(help="Where to run: loopback, netns, auto, or kubernetes.")
    ] = "loopback",
    proxy_mode: ProxyMode = "",
    kubeconfig: Kubeconfig = "",
    context: Context = "",
    namespace: Namespace = "",
    image: Image = "",
    pull_policy: PullPolicy = "",
    keep: Keep = False,
    gateway_class: GatewayClass = "",
    scenarios: Annotated[str, typer.Option(help="A folder with rows of your own instead.")] = "",
    ready_timeout: Annotated[
        str, typer.Option(help="How long pods may take to get ready [default: 30s, in Kubernetes 3m].")
    ] = "",
    report: Annotated[
        Path | None,
        typer.Option(help="Write the report into this folder: as JSON, Markdown, JUnit XML and HTML."),
    ] = None,
    verbose: Annotated[bool, typer.Option("-v", "--verbose", help="Show every row's distribution.")] = False,
    json: Json = False,
) -> int:
    """Run every configuration side by side: with the real proxies and no cluster, or in a cluster.

    On this machine: loopback needs no privileges; netns gives every pod a network namespace, with
    kube-proxy's rules in the kernel, as root or in a user namespace; auto is netns where that works.
    """
    access = Access(kubeconfig, context, namespace, image, pull_policy, keep, proxy_mode, gateway_class)
    access.check(cluster)
    if dynamic:
        from whichpod.cli.dynamic import Asked, run_cells

        for option, value in (("--pods", pods), ("--requests", requests)):
            if value is not None:
                raise UsageError(f"{option} means nothing with --dynamic.", fix="Its scenarios say how many.")
        return run_cells(
            Asked(scenarios, only or [], skip or [], at_once, engine, ready_timeout, list_rows),
            cluster,
            access,
            report=report,
            json=json,
            verbose=verbose,
        )
    if at_once is not None:
        raise UsageError("--at-once belongs to --dynamic.", fix="Rows of the matrix run one after another.")
    for option, value in (("--pods", pods), ("--requests", requests)):
        if value is not None and value < 1:
            raise UsageError(f"{option} {value} makes no sense.", fix="It takes a number above zero.")
    if pods == 1:
        raise UsageError("--pods 1 leaves nothing to spread over.", fix="Give it 2 or more.")
    from whichpod.manifest.engines import check_engine
    from whichpod.scenarios.scenario import BUILT_IN, selected
    from whichpod.scenarios.scenario import scenarios as read

    check_engine(engine)
    chosen = selected(read(Path(scenarios) if scenarios else BUILT_IN), only or [], skip or [])
    if list_rows:
        return _list(chosen, json)
    if not only:
        # Asked for by name, such a row is skipped with the reason.
        chosen = [s for s in chosen if not s.elsewhere(cluster)] or chosen
    check_folder(report)
    from whichpod.scenarios.run import Options

    ready_timeout = ready_timeout or CLUSTERS[cluster]
    options = Options(pods, requests, parse_duration(ready_timeout, "--ready-timeout"), engine)
    return run_rows(chosen, options, cluster, access, report=report, json=json, verbose=verbose)


def run_rows(
    chosen: list[Scenario],
    options: Options,
    cluster: str,
    access: Access,
    *,
    report: Path | None,
    json: bool,
    verbose: bool,
) -> int:
    """Runs rows, prints and writes what came of them, and returns the exit code."""
    from whichpod.cli.matrix_progress import watcher

    with watcher(quiet=json) as watch:
        result = until_told(_run(cluster, access, chosen, options, watch))
    _show(result, report, json, verbose)
    return _code(result)


async def _run(
    cluster: str, access: Access, chosen: list[Scenario], options: Options, watch: Watcher | None
) -> Matrix:
    from whichpod.scenarios.run import run_matrix

    async with opened(cluster, access, watch.row_says if watch else None) as place:
        return await run_matrix(place, chosen, options, watch)


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
    if as_json:
        print(result.to_text())
    else:
        from whichpod.report.console import out
        from whichpod.report.matrix_table import print_matrix

        print_matrix(out(), result, verbose=verbose)
    if folder:
        from whichpod.report.junit import matrix_junit
        from whichpod.report.markdown import matrix_markdown
        from whichpod.report.matrix_html import matrix_html

        files = {
            "matrix.json": result.to_text() + "\n",
            "matrix.md": matrix_markdown(result),
            "matrix.xml": matrix_junit(result),
            "matrix.html": matrix_html(result),
        }
        write_all(folder, files)


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
