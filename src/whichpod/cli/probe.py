"""`whichpod probe`: RPCs to a target, and who answered."""

from __future__ import annotations

import dataclasses
import sys
from typing import Annotated

import typer

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
from whichpod.cli.probe_options import (
    Clients,
    Concurrency,
    Connections,
    Duration,
    Kind,
    Messages,
    NewConnections,
    PayloadSize,
    Policy,
    Rate,
    ServiceConfig,
    Warmup,
)
from whichpod.cli.probe_plan import probe_plan
from whichpod.model.errors import ExitCode, UsageError
from whichpod.model.expectation import Expectation
from whichpod.model.plan import Plan, Stream
from whichpod.model.report import Report
from whichpod.model.target import Target

ENDPOINTS = 5
"""Ports that --multi-endpoint means."""
_EPILOG = """Examples:

whichpod probe localhost:50051

whichpod probe dns:///echo-headless:50051 --policy round_robin -n 100 --expect even

whichpod probe echo:50051 --clients 10 --connections 5 -n 1000 --backends 5

whichpod probe localhost:50051 --multi-endpoint --expect even

whichpod probe shop:8080 --method shop.v1.Cart/Get --data '{"id": 7}' --identify header:x-pod

whichpod probe echo:50051 --duration 30s --rate 200 --stream bidi --messages 20 --json"""


def main(argv: list[str]) -> int:
    """Runs the command."""
    return typer_main("probe", probe, argv, epilog=_EPILOG)


def probe(
    target: Annotated[
        str,
        typer.Argument(
            help="host:port, dns:///name:port, dns://SERVER/name:port, ipv4:a:p,b:p, unix:PATH or xds:///name:port."
        ),
    ] = "",
    *,
    requests: Annotated[
        int | None,
        typer.Option(
            "-n", "--requests", help="RPCs in all [default: 50, or 10 per channel if that is more]."
        ),
    ] = None,
    duration: Duration = "",
    rate: Rate = None,
    clients: Clients = 1,
    connections: Connections = 1,
    concurrency: Concurrency = 1,
    policy: Policy = "",
    service_config: ServiceConfig = "",
    endpoints: Annotated[str, typer.Option(help="A static list a:p,b:p instead of a target.")] = "",
    multi_endpoint: Annotated[
        bool, typer.Option("--multi-endpoint", help="Consecutive ports from the target's on.")
    ] = False,
    endpoint_count: Annotated[
        int | None, typer.Option(help="How many ports --multi-endpoint means [default: 5].")
    ] = None,
    stream: Kind = Stream.UNARY,
    messages: Messages = None,
    method: Method = "",
    data: Data = "",
    identify: Identify = "",
    new_connection_per_request: NewConnections = False,
    share_subchannels: Annotated[
        bool,
        typer.Option(
            "--share-subchannels", help="Let channels share connections, as gRPC does unless told otherwise."
        ),
    ] = False,
    payload_size: PayloadSize = 0,
    deadline: Deadline = "5s",
    warmup: Warmup = 0,
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
    seed: Seed = 0,
    json: Json = False,
) -> int:
    """Send RPCs to a gRPC target; tell which backends answered, whether that is even, and why not."""
    expectation = expectation_of(expect, tolerance, confidence, refused=True)
    plan = probe_plan(
        expectation, requests=requests, duration=duration, rate=rate, clients=clients,
        connections=connections, concurrency=concurrency, policy=policy, service_config=service_config,
        stream=stream, messages=messages, method=method, data=data, identify=identify,
        new_connection_per_request=new_connection_per_request, shared_subchannels=share_subchannels,
        payload_size=payload_size, deadline=deadline, warmup=warmup, metadata=metadata, seed=seed,
    )  # fmt: skip
    aim, listed = _target(target, endpoints, multi_endpoint, endpoint_count)
    if listed and not plan.policy and not plan.service_config:
        plan = dataclasses.replace(plan, policy="round_robin")
    plan.check()
    aim = dataclasses.replace(aim, tls=tls_of(tls, ca, cert, key, server_name), authority=authority)
    with told_once():
        report = _run(with_backends(aim, backends), plan, quiet=json)
        return finish(report, expectation, json)


def _target(target: str, endpoints: str, multi_endpoint: bool, count: int | None) -> tuple[Target, bool]:
    """The target, and whether it is a static list, which asks for a policy that uses all of it."""
    from whichpod.probe.endpoints import consecutive, parse_endpoints

    if count is not None and not multi_endpoint:
        raise UsageError("--endpoint-count belongs to --multi-endpoint.", fix="Give that too.")
    if endpoints and (target or multi_endpoint):
        raise UsageError("--endpoints stands instead of a target.", fix="Leave the target away.")
    if endpoints:
        return parse_endpoints(endpoints), True
    if not target:
        raise UsageError("No target was given.", fix="For example: whichpod probe localhost:50051")
    if multi_endpoint:
        return consecutive(target, ENDPOINTS if count is None else count), True
    return Target(target), False


def _run(target: Target, plan: Plan, *, quiet: bool) -> Report:
    from whichpod.cli.progress import probe_progress
    from whichpod.probe.resolve import known_backends
    from whichpod.probe.run import probe as run_probe

    with probe_progress(plan, quiet=quiet) as progress:
        return run_probe(known_backends(target), plan, progress=progress)


def finish(report: Report, expectation: Expectation | None, as_json: bool) -> int:
    """Judges and prints a report, and returns the exit code."""
    from whichpod.judge import judged

    verdict = judged(report, expectation).verdict
    if as_json:
        print(report.to_text())
    else:
        from whichpod.report.console import out
        from whichpod.report.terminal import print_report

        print_report(out(), report)
    sys.stdout.flush()
    if report.end_reason == "interrupted":
        return ExitCode.INTERRUPTED
    if verdict is None or verdict.outcome is None:
        return ExitCode.OK if report.tally.done else ExitCode.FAILED
    return {"passed": ExitCode.OK, "failed": ExitCode.UNMET, "inconclusive": ExitCode.INCONCLUSIVE}[
        verdict.outcome
    ]
