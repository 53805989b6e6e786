"""`whichpod bench`: load on a target, and what each server made of it."""

from __future__ import annotations

import dataclasses
from typing import Annotated

import typer

from whichpod.cli.bench_plan import (
    DataBinary,
    Duration,
    FailIf,
    Folder,
    Payload,
    PayloadSize,
    Schedule,
    Streams,
    Warmup,
    bench_plan,
)
from whichpod.cli.interrupts import told_once
from whichpod.cli.main import typer_main
from whichpod.cli.options import (
    Authority,
    Backends,
    Ca,
    Cert,
    Confidence,
    Data,
    Deadline,
    Expected,
    Identify,
    Json,
    Key,
    Metadata,
    Method,
    Seed,
    ServerName,
    Tolerance,
    UseTls,
    expectation_of,
    tls_of,
    with_backends,
)
from whichpod.model.errors import ExitCode
from whichpod.model.expectation import Expectation
from whichpod.model.plan import Plan
from whichpod.model.report import Report
from whichpod.model.target import Target
from whichpod.model.threshold import Threshold, parse_threshold

CONNECTIONS = 5
"""To one address: enough to show that each may end at another server."""

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
    duration: Duration = "",
    rate: Annotated[
        float | None,
        typer.Option(help="RPCs per second on a schedule (open loop); without it each waits for one to end."),
    ] = None,
    arrivals: Schedule = None,
    connections: Annotated[
        int | None,
        typer.Option(help="Connections to each address [default: 5 to a single one, 1 to each of several]."),
    ] = None,
    streams: Streams = None,
    workers: Annotated[int, typer.Option(help="Processes that share the work.")] = 1,
    warmup: Warmup = "",
    deadline: Deadline = "5s",
    payload_size: PayloadSize = 0,
    payload: Payload = "",
    method: Method = "",
    data: Data = "",
    data_binary: DataBinary = "",
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
    fail_if: FailIf = None,
    seed: Seed = 0,
    report: Folder = None,
    csv: Annotated[str, typer.Option(help="Write CSV to this file; - is stdout.")] = "",
    hgrm: Annotated[str, typer.Option(help="Write the latencies' HDR log to this file; - is stdout.")] = "",
    markdown: Annotated[str, typer.Option(help="Write Markdown to this file; - is stdout.")] = "",
    json: Json = False,
) -> int:
    """Load a gRPC target and report, per server, the share, the rate, errors and latencies."""
    from whichpod.cli.bench_call import aim_of
    from whichpod.cli.bench_output import Outputs

    plan, body = bench_plan(
        requests=requests, duration=duration, rate=rate, arrivals=arrivals, streams=streams,
        connections=connections, workers=workers, warmup=warmup, deadline=deadline, method=method, data=data,
        data_binary=data_binary, identify=identify, metadata=metadata, payload=payload,
        payload_size=payload_size, seed=seed,
    )  # fmt: skip
    plan = dataclasses.replace(plan, workers=workers)
    thresholds = [parse_threshold(text) for text in fail_if or []]
    expectation = expectation_of(expect, tolerance, confidence)
    files = {kind: name for kind, name in (("csv", csv), ("hgrm", hgrm), ("markdown", markdown)) if name}
    outputs = Outputs(json, report, files)
    outputs.check()
    aim = dataclasses.replace(
        aim_of(target, endpoints), tls=tls_of(tls, ca, cert, key, server_name), authority=authority
    )
    with told_once():
        found = _run(with_backends(aim, backends), plan, connections, body)
        judge_bench(found, expectation, thresholds)
        outputs.write(found)
    return exit_code(found)


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
