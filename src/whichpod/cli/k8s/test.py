"""`whichpod k8s test`: the guide's three scripts."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from whichpod.cli.clusters import CLUSTERS, Access
from whichpod.cli.k8s.options import Context, Image, Keep, Kubeconfig, Namespace, PullPolicy, ReadyTimeout
from whichpod.cli.main import typer_main
from whichpod.cli.options import Json
from whichpod.cli.reports import check_folder
from whichpod.model.errors import UsageError
from whichpod.model.units import parse_duration

_EPILOG = """Examples:

whichpod k8s test --image registry.example/whichpod:1

whichpod k8s test --without-istio

whichpod k8s test --with-istio --client-lb --context kind-kind --verbose

More rows: whichpod matrix --cluster kubernetes"""

SETS = {
    "without-istio": ("clusterip", "clusterip-connections"),
    "with-istio": ("istio", "istio-least-request", "istio-port-forward", "istio-tcp-port"),
    "client-lb": ("clusterip-round-robin", "headless-pick-first", "headless-round-robin", "multi-endpoint"),
}
"""The rows of each script."""


def main(argv: list[str]) -> int:
    """Runs the command."""
    return typer_main("k8s test", run_tests, argv, epilog=_EPILOG)


def run_tests(
    *,
    without_istio: Annotated[
        bool, typer.Option("--without-istio", help="A plain Service, with one connection and with several.")
    ] = False,
    with_istio: Annotated[
        bool, typer.Option("--with-istio", help="Sidecars, and what goes past them.")
    ] = False,
    client_lb: Annotated[
        bool,
        typer.Option("--client-lb", help="Balancing in the client, headless Service or not."),
    ] = False,
    pods: Annotated[int | None, typer.Option(help="Pods behind the Service [default: 5].")] = None,
    requests: Annotated[
        int | None, typer.Option("-n", "--requests", help="Requests per row [default: 50, or 10 per pod].")
    ] = None,
    kubeconfig: Kubeconfig = "",
    context: Context = "",
    namespace: Namespace = "",
    image: Image = "",
    pull_policy: PullPolicy = "",
    keep: Keep = False,
    ready_timeout: ReadyTimeout = CLUSTERS["kubernetes"],
    report: Annotated[
        Path | None,
        typer.Option(help="Write the report into this folder: as JSON, Markdown, JUnit XML and HTML."),
    ] = None,
    verbose: Annotated[bool, typer.Option("-v", "--verbose", help="Show every row's distribution.")] = False,
    json: Json = False,
) -> int:
    """Run the guide's tests in the cluster: without Istio, with it, and with balancing in the client."""
    for option, value in (("--pods", pods), ("--requests", requests)):
        if value is not None and value < 2:
            raise UsageError(f"{option} {value} makes no sense.", fix="Give it 2 or more.")
    check_folder(report)
    from whichpod.cli.matrix import run_rows
    from whichpod.scenarios.run import Options
    from whichpod.scenarios.scenario import scenarios, selected

    asked = {"without-istio": without_istio, "with-istio": with_istio, "client-lb": client_lb}
    sets = [name for name, on in asked.items() if on] or list(SETS)
    chosen = selected(scenarios(), [row for name in sets for row in SETS[name]], [])
    access = Access(kubeconfig, context, namespace, image, pull_policy, keep)
    options = Options(pods, requests, parse_duration(ready_timeout, "--ready-timeout"))
    return run_rows(chosen, options, "kubernetes", access, report=report, json=json, verbose=verbose)
