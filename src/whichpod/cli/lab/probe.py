"""`whichpod lab probe`: RPCs to a Service of a lab, and which pods answered."""

from __future__ import annotations

import dataclasses
from typing import Annotated, Any

import typer

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
from whichpod.cluster.protocol import Via
from whichpod.model.codec import from_json
from whichpod.model.plan import Plan, Stream
from whichpod.model.report import Report

_EPILOG = """Examples:

whichpod lab probe echo --expect random

whichpod lab probe echo --meshed --expect even

whichpod lab probe echo-headless --policy round_robin -n 200

whichpod lab probe shop --meshed --method shop.v1.Cart/Get --data '{"id": 7}' --identify header:x-pod"""


def main(argv: list[str]) -> int:
    """Runs the command."""
    return typer_main("lab probe", probe, argv, epilog=_EPILOG)


def probe(
    service: Service,
    *,
    port: Port = "",
    meshed: Meshed = False,
    via: How = Via.DNS,
    requests: Annotated[
        int | None,
        typer.Option("-n", "--requests", help="RPCs in all [default: 50, or 10 per channel or pod]."),
    ] = None,
    duration: Duration = "",
    rate: Rate = None,
    clients: Clients = 1,
    connections: Connections = 1,
    concurrency: Concurrency = 1,
    policy: Policy = "",
    service_config: ServiceConfig = "",
    stream: Kind = Stream.UNARY,
    messages: Messages = None,
    method: Method = "",
    data: Data = "",
    identify: Identify = "",
    new_connection_per_request: NewConnections = False,
    payload_size: PayloadSize = 0,
    deadline: Deadline = "5s",
    warmup: Warmup = 0,
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
    seed: Seed = 0,
    name: LabName = DEFAULT,
    json: Json = False,
) -> int:
    """Send RPCs to a Service of a lab; tell which pods answered, whether that is even, and why not."""
    expectation = expectation_of(expect, tolerance, confidence, refused=True)
    plan = probe_plan(
        expectation, requests=requests, duration=duration, rate=rate, clients=clients,
        connections=connections, concurrency=concurrency, policy=policy, service_config=service_config,
        stream=stream, messages=messages, method=method, data=data, identify=identify,
        new_connection_per_request=new_connection_per_request, payload_size=payload_size, deadline=deadline,
        warmup=warmup, metadata=metadata, seed=seed,
    )  # fmt: skip
    plan.check()
    client, pods = client_of(
        name, service, port, via, meshed, backends, tls_of(tls, ca, cert, key, server_name), authority
    )
    if not duration and requests is None:
        plan = dataclasses.replace(plan, requests=max(plan.requests or 0, 10 * pods))
    report = run(name, "probe", client, plan, quiet=json)
    from whichpod.cli.probe import finish

    return finish(report, expectation, json)


def run(name: str, op: str, client: Any, plan: Plan, *, quiet: bool) -> Report:
    """The report of a probe in a lab, with its progress shown."""
    from whichpod.cli.progress import probe_progress
    from whichpod.cluster.session.asked import Probe
    from whichpod.probe.run import Progress

    with probe_progress(plan, quiet=quiet) as progress:

        def told(kind: str, what: Any) -> None:
            if progress and kind == "progress":
                progress(from_json(Progress, what))

        return from_json(Report, asked(name, op, Probe(client, plan), told))
