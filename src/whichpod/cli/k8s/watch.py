"""`whichpod k8s watch`: how a Service's own traffic is spread."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

import typer

from whichpod.cli.interrupts import until_told
from whichpod.cli.k8s.options import Context, Kubeconfig
from whichpod.cli.k8s.probe import ServiceNamespace, ServicePort
from whichpod.cli.main import typer_main
from whichpod.cli.options import Confidence, Expected, Json, Tolerance, expectation_of
from whichpod.model.errors import ExitCode, UsageError
from whichpod.model.units import parse_duration

if TYPE_CHECKING:
    from whichpod.cluster.kubernetes.observe import Round
    from whichpod.model.expectation import Expectation

_EPILOG = """Examples:

whichpod k8s watch echo -n shop

whichpod k8s watch echo -n shop --for 5m --every 15s --expect even

whichpod k8s watch cart -n shop --metrics-port 9090

whichpod k8s watch cart -n shop --for 0

It sends no RPC. It reads the counters that pods keep anyway, through the API server: those of Istio's
sidecars (istio_requests_total), of gRPC servers (grpc_server_handled_total, or what gRPC measures itself,
grpc_server_call_duration), or of OpenTelemetry (rpc_server_call_duration, rpc_server_duration)."""


def main(argv: list[str]) -> int:
    """Runs the command."""
    return typer_main("k8s watch", watch, argv, epilog=_EPILOG)


def watch(
    service: Annotated[str, typer.Argument(help="The Service.")],
    *,
    namespace: ServiceNamespace = "",
    port: ServicePort = "",
    for_: Annotated[str, typer.Option("--for", help="How long; 0: until Ctrl-C.")] = "30s",
    every: Annotated[str, typer.Option(help="How often pods are read.")] = "5s",
    metrics_port: Annotated[
        int,
        typer.Option(
            help="Where pods give metrics [default: the sidecar's, else as annotated].", show_default=False
        ),
    ] = 0,
    metrics_path: Annotated[str, typer.Option(help="The path there.")] = "/metrics",
    expect: Expected = "",
    tolerance: Tolerance = 0.05,
    confidence: Confidence = 0.99,
    kubeconfig: Kubeconfig = "",
    context: Context = "",
    json: Json = False,
) -> int:
    """Tell how a Service's own traffic is spread over its pods, without sending any."""
    for_s = 0.0 if for_ == "0" else parse_duration(for_, "--for")
    every_s = parse_duration(every, "--every")
    if every_s <= 0:
        raise UsageError(f"--every {every} makes no sense.", fix="It takes a time above zero, such as 5s.")
    if not 0 <= metrics_port <= 65535:
        raise UsageError(f"--metrics-port {metrics_port} is no port.", fix="It takes 1 to 65535.")
    expectation = expectation_of(expect, tolerance, confidence)
    from whichpod.cluster.kubernetes.observed import check

    check(expectation)

    async def run(each: Callable[[Round], None]) -> Round:
        from whichpod.cluster.kubernetes.api import Api
        from whichpod.cluster.kubernetes.observe import Metrics, observe
        from whichpod.cluster.kubernetes.service import find_service

        async with Api.open(kubeconfig, context) as api:
            found = await find_service(api, service, namespace or api.namespace, port)
            metrics = Metrics(metrics_port, metrics_path)
            last = await observe(api, found, metrics, for_s=for_s, every_s=every_s, each=each)
            last.report.environment["context"] = api.where.partition(" ")[0]
            return last

    with _rounds(expectation, quiet=json) as each:
        last = until_told(run(each))
    return _finish(last, expectation, as_json=json)


@contextmanager
def _rounds(expectation: Expectation | None, *, quiet: bool) -> Iterator[Callable[[Round], None]]:
    """Where each round is told: a table that changes on a terminal, a line in a pipe."""
    from whichpod.cluster.kubernetes.observed import conclude
    from whichpod.report.console import block, err

    console = err()
    if console.is_terminal and not quiet:
        from rich.console import Group
        from rich.live import Live

        from whichpod.report.traffic_terminal import traffic_table

        with Live(console=console, transient=True, auto_refresh=False) as live:

            def show(now: Round) -> None:
                table = traffic_table(
                    conclude(now, expectation), now.source or "", now.unread, block(console)
                )
                verdict = now.report.verdict
                said = verdict.sentence if verdict else ""
                live.update(Group(table, f"round {now.number}: {said}"), refresh=True)

            yield show
        return

    def line(now: Round) -> None:
        if not quiet:
            verdict = conclude(now, expectation).verdict
            said = verdict.headline if verdict and now.report.tally.done else "nothing came yet"
            print(f"round {now.number}: {now.report.tally.done} RPCs, {said}", file=sys.stderr)

    yield line


def _finish(last: Round, expectation: Expectation | None, *, as_json: bool) -> int:
    from whichpod.cluster.kubernetes.observed import conclude

    report = conclude(last, expectation)
    report.environment["counters"] = last.source or "none"
    if as_json:
        print(report.to_text())
    else:
        from whichpod.report.console import out
        from whichpod.report.traffic_terminal import print_traffic

        print_traffic(out(), report, last.source or "", last.unread)
    sys.stdout.flush()
    if report.end_reason == "interrupted":
        return ExitCode.INTERRUPTED
    if last.lost:
        return last.lost.exit_code
    if not report.tally.done:
        return ExitCode.INCONCLUSIVE
    if report.verdict is None or report.verdict.outcome is None:
        return ExitCode.OK
    codes = {"passed": ExitCode.OK, "failed": ExitCode.UNMET, "inconclusive": ExitCode.INCONCLUSIVE}
    return codes[report.verdict.outcome]
