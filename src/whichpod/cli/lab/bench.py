"""`whichpod lab bench`: load on a Service of a lab."""

from __future__ import annotations

import dataclasses
from typing import Annotated, Any

import typer

from whichpod.cli.bench_plan import (
    DataBinary,
    Duration,
    FailIf,
    Folder,
    PayloadSize,
    Schedule,
    Streams,
    Warmup,
    bench_plan,
)
from whichpod.cli.lab.client import Behind, How, Meshed, Port, Service, client_of
from whichpod.cli.lab.options import DEFAULT, LabName, asked
from whichpod.cli.main import typer_main
from whichpod.cli.options import (
    Authority,
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
)
from whichpod.cluster.protocol import Via
from whichpod.model.codec import from_json
from whichpod.model.plan import Plan
from whichpod.model.report import Report
from whichpod.model.threshold import parse_threshold
from whichpod.model.usage import Usage

CONNECTIONS = 5
_EPILOG = """Examples:

whichpod lab bench echo --meshed -d 10s

whichpod lab bench echo --rate 2000 --fail-if 'p99>50ms' --fail-if 'errors>0.1%'

whichpod lab bench echo-headless --connections 1 --expect even

whichpod lab bench shop --meshed --method shop.v1.Cart/Get --data '{"id": 7}' --identify header:x-pod

It says what client, proxies and servers used of the CPU, too."""


def main(argv: list[str]) -> int:
    """Runs the command."""
    return typer_main("lab bench", bench, argv, epilog=_EPILOG)


def bench(
    service: Service,
    *,
    port: Port = "",
    meshed: Meshed = False,
    via: How = Via.DNS,
    requests: Annotated[
        int | None, typer.Option("-n", "--requests", help="RPCs in all, instead of a duration.")
    ] = None,
    duration: Duration = "",
    rate: Annotated[float | None, typer.Option(help="RPCs per second on a schedule (open loop).")] = None,
    arrivals: Schedule = None,
    connections: Annotated[int, typer.Option(help="Connections to each address.")] = CONNECTIONS,
    streams: Streams = None,
    workers: Annotated[int, typer.Option(help="Processes that share the work.")] = 1,
    warmup: Warmup = "",
    deadline: Deadline = "5s",
    payload_size: PayloadSize = 0,
    method: Method = "",
    data: Data = "",
    data_binary: DataBinary = "",
    identify: Identify = "",
    metadata: Metadata = None,
    backends: Behind = "",
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
    name: LabName = DEFAULT,
    json: Json = False,
) -> int:
    """Load a Service of a lab and report, per pod, the share, the rate, errors and latencies."""
    from whichpod.cli.bench import exit_code, judge_bench
    from whichpod.cli.bench_call import unusable
    from whichpod.cli.bench_output import Outputs

    plan, _ = bench_plan(
        requests=requests, duration=duration, rate=rate, arrivals=arrivals, streams=streams,
        connections=connections, workers=workers, warmup=warmup, deadline=deadline, method=method, data=data,
        data_binary=data_binary, identify=identify, metadata=metadata, payload="", payload_size=payload_size,
        seed=seed,
    )  # fmt: skip
    plan = dataclasses.replace(plan, workers=workers)
    thresholds = [parse_threshold(text) for text in fail_if or []]
    expectation = expectation_of(expect, tolerance, confidence)
    outputs = Outputs(json, report)
    outputs.check()
    client, _ = client_of(
        name, service, port, via, meshed, backends, tls_of(tls, ca, cert, key, server_name), authority
    )
    found, usage = _run(name, client, plan)
    if error := unusable(found):
        raise error
    judge_bench(found, expectation, thresholds)
    outputs.write(found)
    if not json:
        from whichpod.report.console import out
        from whichpod.report.lab_terminal import print_usage

        print_usage(out(), usage, found.tally.done)
    return exit_code(found)


def _run(name: str, client: Any, plan: Plan) -> tuple[Report, Usage]:
    from whichpod.cli.bench_progress import bench_progress
    from whichpod.cluster.session.asked import Probe
    from whichpod.load.progress import LoadProgress

    with bench_progress(plan) as progress:

        def told(kind: str, what: Any) -> None:
            if progress and kind == "progress":
                progress(from_json(LoadProgress, what))

        answer = asked(name, "bench", Probe(client, plan), told)
    return from_json(Report, answer["report"]), from_json(Usage, answer["usage"])
