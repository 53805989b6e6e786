"""`whichpod bench`: load on a target, and what each server made of it."""

from __future__ import annotations

import base64
import dataclasses
from pathlib import Path
from typing import Annotated

import typer

from whichpod.cli.main import typer_main
from whichpod.cli.options import (
    Authority,
    Backends,
    Ca,
    Cert,
    Confidence,
    Expected,
    Identify,
    Json,
    Key,
    Metadata,
    Seed,
    ServerName,
    Tolerance,
    UseTls,
    expectation_of,
    metadata_pairs,
    text_or_file,
    tls_of,
    with_backends,
)
from whichpod.model.errors import ExitCode, UsageError
from whichpod.model.expectation import Expectation
from whichpod.model.plan import Arrivals, Plan
from whichpod.model.report import Report
from whichpod.model.target import Target
from whichpod.model.threshold import Threshold, parse_threshold
from whichpod.model.units import parse_duration

DURATION, WARMUP = "10s", "1s"
CONNECTIONS = 5
"""To one address: enough to show that each may end at another server."""
STREAMS, OPEN_STREAMS = 20, 100
"""In closed loop, and in open loop, where it is a limit that is best not reached."""

_EPILOG = """Examples:

whichpod bench localhost:50051

whichpod bench dns:///echo-headless:50051 -d 30s --rate 5000 --fail-if 'p99>50ms' --fail-if 'errors>0.1%'

whichpod bench echo:50051 -n 100000 --connections 10 --backends 5 --fail-if 'spread!=even'

whichpod bench shop:8080 --method shop.v1.Cart/Get --data '{"id": 7}' --identify header:x-pod

whichpod bench --endpoints 10.0.0.1:50051,10.0.0.2:50051 --rate 2000 --arrivals poisson --report reports

whichpod bench --matrix (what each configuration costs, measured side by side; it has a --help of its own)"""


def main(argv: list[str]) -> int:
    """Runs the command, or the performance table's where it is asked for."""
    if "--matrix" in argv:
        from whichpod.cli.bench_matrix import main as bench_matrix

        return bench_matrix(argv)
    return typer_main("bench", bench, argv, epilog=_EPILOG)


def bench(
    target: Annotated[
        str,
        typer.Argument(
            help="host:port, dns:///name:port, dns://SERVER/name:port, ipv4:a:p,b:p or unix:PATH."
        ),
    ] = "",
    *,
    endpoints: Annotated[str, typer.Option(help="A static list a:p,b:p instead of a target.")] = "",
    requests: Annotated[
        int | None, typer.Option("-n", "--requests", help="RPCs in all, instead of a duration.")
    ] = None,
    duration: Annotated[
        str, typer.Option("-d", "--duration", help="How long to send (30s, 1m30s) [default: 10s].")
    ] = "",
    rate: Annotated[
        float | None,
        typer.Option(help="RPCs per second on a schedule (open loop); without it each waits for one to end."),
    ] = None,
    arrivals: Annotated[
        Arrivals | None,
        typer.Option(help="The schedule: evenly spaced, or as independent users [default: constant]."),
    ] = None,
    connections: Annotated[
        int | None,
        typer.Option(help="Connections to each address [default: 5 to a single one, 1 to each of several]."),
    ] = None,
    streams: Annotated[
        int | None,
        typer.Option(help="RPCs in flight per connection, at most [default: 20; with --rate 100]."),
    ] = None,
    workers: Annotated[int, typer.Option(help="Processes that share the work.")] = 1,
    warmup: Annotated[
        str,
        typer.Option(help="Send so long first, which isn't measured [default: 1s; with --requests none]."),
    ] = "",
    deadline: Annotated[str, typer.Option(help="Deadline of each RPC.")] = "5s",
    payload_size: Annotated[int, typer.Option(help="Random bytes to echo.")] = 0,
    payload: Annotated[str, typer.Option(help="What to echo: text, or the bytes of @FILE.")] = "",
    method: Annotated[
        str, typer.Option(help="Call this unary method, package.Service/Method, instead of the echo service.")
    ] = "",
    data: Annotated[
        str, typer.Option(help="Its request: JSON or @FILE; the types are learnt by reflection.")
    ] = "",
    data_binary: Annotated[
        str, typer.Option(help="Its request as serialised bytes: @FILE. Needs no reflection.")
    ] = "",
    identify: Identify = "",
    metadata: Metadata = None,
    backends: Backends = "",
    tls: UseTls = False,
    ca: Ca = "",
    cert: Cert = "",
    key: Key = "",
    server_name: ServerName = "",
    authority: Authority = "",
    expect: Expected = "",
    tolerance: Tolerance = 0.05,
    confidence: Confidence = 0.99,
    fail_if: Annotated[
        list[str] | None,
        typer.Option(
            help="Exit with 1 if this holds: p99>50ms, errors>0.1%, rps<1000, spread!=even, backend.p99>1s;"
            " repeatable."
        ),
    ] = None,
    seed: Seed = 0,
    report: Annotated[
        Path | None,
        typer.Option(help="Write bench.json, bench.md, bench.csv and HDR logs (.hgrm) into this folder."),
    ] = None,
    csv: Annotated[str, typer.Option(help="Write CSV to this file; - is stdout.")] = "",
    hgrm: Annotated[str, typer.Option(help="Write the latencies' HDR log to this file; - is stdout.")] = "",
    markdown: Annotated[str, typer.Option(help="Write Markdown to this file; - is stdout.")] = "",
    json: Json = False,
) -> int:
    """Load a gRPC target and report, per server, the share, the rate, errors and latencies."""
    from whichpod.cli.bench_call import aim_of, bytes_of, payload_of
    from whichpod.cli.bench_output import Outputs

    check_numbers(requests, rate, connections, streams, workers)
    if duration and requests is not None:
        raise UsageError("--requests and --duration exclude each other.", fix="Give one of them.")
    if arrivals and rate is None:
        raise UsageError("--arrivals belongs to --rate.", fix="Give a rate, such as --rate 1000.")
    if data and data_binary:
        raise UsageError("--data and --data-binary exclude each other.", fix="Give one of them.")
    timed = requests is None
    plan = Plan(
        requests=requests,
        duration_s=parse_duration(duration or DURATION, "--duration") if timed else None,
        rate=rate, arrivals=arrivals or Arrivals.CONSTANT,
        concurrency=streams or (STREAMS if rate is None else OPEN_STREAMS), workers=workers,
        warmup_s=parse_duration(warmup or (WARMUP if timed else "0s"), "--warmup"),
        deadline_s=parse_duration(deadline, "--deadline"), method=method.lstrip("/"),
        data=text_or_file(data, "--data"), identify=identify, metadata=metadata_pairs(metadata or []),
        message=base64.b64encode(bytes_of(data_binary, "--data-binary")).decode(), seed=seed,
    )  # fmt: skip
    body = payload_of(plan, payload, payload_size)
    plan = dataclasses.replace(plan, payload_size=len(body))
    plan.check()
    thresholds = [parse_threshold(text) for text in fail_if or []]
    expectation = expectation_of(expect, tolerance, confidence)
    files = {kind: name for kind, name in (("csv", csv), ("hgrm", hgrm), ("markdown", markdown)) if name}
    outputs = Outputs(json, report, files)
    outputs.check()
    aim = dataclasses.replace(
        aim_of(target, endpoints), tls=tls_of(tls, ca, cert, key, server_name), authority=authority
    )
    found = _run(with_backends(aim, backends), plan, connections, body)
    judge_bench(found, expectation, thresholds)
    outputs.write(found)
    return exit_code(found)


def check_numbers(
    requests: int | None, rate: float | None, connections: int | None, streams: int | None, workers: int
) -> None:
    """Raises UsageError for one that isn't above zero, naming its option."""
    given = {
        "--requests": requests, "--rate": rate, "--connections": connections, "--streams": streams,
        "--workers": workers,
    }  # fmt: skip
    for option, value in given.items():
        if value is not None and not value > 0:
            raise UsageError(f"{option} {value:g} makes no sense.", fix="It takes a number above zero.")


def _run(target: Target, plan: Plan, connections: int | None, body: bytes) -> Report:
    from whichpod.cli.bench_call import addresses_of, unusable
    from whichpod.cli.bench_progress import bench_progress
    from whichpod.cluster.calling import call_of
    from whichpod.load.run import bench as run_bench
    from whichpod.load.run import check
    from whichpod.model.metadata import wire_metadata
    from whichpod.model.pem import read_client

    wire_metadata(plan.metadata)
    if target.tls is not None:
        read_client(target.tls)
    target, addresses = addresses_of(target)
    each = connections or (CONNECTIONS if len(addresses) == 1 else 1)
    plan = dataclasses.replace(plan, connections=each)
    check(plan, addresses)
    call = call_of(target, plan, body)
    with bench_progress(plan) as progress:
        report = run_bench(target, plan, call, addresses=addresses, progress=progress)
    if error := unusable(report):
        raise error
    return report


def judge_bench(report: Report, expectation: Expectation | None, thresholds: list[Threshold]) -> None:
    """Fills in the verdict, the diagnosis and what the thresholds say."""
    from whichpod.judge import judged
    from whichpod.judge.thresholds import check_thresholds

    judged(report, expectation)
    report.thresholds = check_thresholds(report, thresholds)


def exit_code(report: Report) -> ExitCode:
    """The worst that happened: a condition that holds, then one that can't be told, then a failed target.

    What was asked decides. Where nothing was, a client in open loop that did not keep its schedule has
    measured nothing that can be relied on.
    """
    if report.end_reason == "interrupted":
        return ExitCode.INTERRUPTED
    outcome = report.verdict.outcome if report.verdict else None
    results = {result.failed for result in report.thresholds}
    if outcome == "failed" or True in results:
        return ExitCode.UNMET
    if outcome == "inconclusive" or None in results:
        return ExitCode.INCONCLUSIVE
    if not report.tally.done or report.end_reason == "target failed":
        return ExitCode.FAILED
    asked = outcome is not None or report.thresholds
    late = report.saturation.saturated and report.plan.open_loop and not asked
    return ExitCode.INCONCLUSIVE if late else ExitCode.OK
