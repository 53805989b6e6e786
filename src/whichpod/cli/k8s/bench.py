"""`whichpod k8s bench`: the load engine in many pods at once."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated

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
from whichpod.cli.clusters import CLUSTERS, Access, opened_kubernetes
from whichpod.cli.interrupts import until_told
from whichpod.cli.k8s.options import Context, Image, Keep, Kubeconfig, PullPolicy, ReadyTimeout
from whichpod.cli.k8s.probe import FromNamespace, ServiceNamespace, ServicePort, WhichMesh, mesh_of
from whichpod.cli.main import typer_main
from whichpod.cli.options import (
    Authority,
    Backends,
    Confidence,
    Data,
    Deadline,
    Expected,
    Identify,
    Json,
    Metadata,
    Method,
    Seed,
    Tolerance,
    UseTls,
    expectation_of,
    with_backends,
)
from whichpod.cli.saying import saying
from whichpod.model.errors import UsageError
from whichpod.model.target import Target, Tls
from whichpod.model.threshold import parse_threshold
from whichpod.model.units import parse_duration

if TYPE_CHECKING:
    from whichpod.model.report import Report

_EPILOG = """Examples:

whichpod k8s bench echo -n shop --workers 4 --duration 30s

whichpod k8s bench echo -n shop --workers 10 --rate 50000 --arrivals poisson --fail-if 'p99>50ms'

whichpod k8s bench cart -n shop --workers 2 --method shop.v1.Cart/Get --data '{"id": 7}' --requests 100000

whichpod k8s bench echo -n shop --workers 4 --mesh outside --connections 5 --expect even

whichpod k8s bench dns:///cart.example.com:443 --tls --workers 3 --method shop.v1.Cart/Get

--rate and --requests are of all workers together; --connections and --streams are each worker's own."""

CONNECTIONS = 1
"""Of each worker: there are several workers."""


def main(argv: list[str]) -> int:
    """Runs the command."""
    return typer_main("k8s bench", bench, argv, epilog=_EPILOG)


def bench(
    service: Annotated[
        str, typer.Argument(help="The Service, or an address as the workers reach it: dns:///name:port.")
    ],
    *,
    namespace: ServiceNamespace = "",
    port: ServicePort = "",
    workers: Annotated[int, typer.Option(help="Pods that send.")] = 2,
    mesh: WhichMesh = "auto",
    from_namespace: FromNamespace = "",
    requests: Annotated[
        int | None, typer.Option("-c", "--requests", help="RPCs of all workers, instead of a duration.")
    ] = None,
    duration: Duration = "",
    rate: Annotated[
        float | None, typer.Option(help="RPCs per second of all workers, on a schedule (open loop).")
    ] = None,
    arrivals: Schedule = None,
    connections: Annotated[
        int, typer.Option(help="Connections of each worker to each address.")
    ] = CONNECTIONS,
    streams: Streams = None,
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
    authority: Authority = "",
    expect: Expected = "",
    tolerance: Tolerance = 0.05,
    confidence: Confidence = 0.99,
    fail_if: FailIf = None,
    seed: Seed = 0,
    report: Folder = None,
    kubeconfig: Kubeconfig = "",
    context: Context = "",
    image: Image = "",
    pull_policy: PullPolicy = "",
    keep: Keep = False,
    ready_timeout: ReadyTimeout = CLUSTERS["kubernetes"],
    json: Json = False,
) -> int:
    """Load a Service from many pods at once; one report: per server, share, rate, errors, latencies."""
    from whichpod.cli.bench import exit_code, judge_bench
    from whichpod.cli.bench_call import aim_of, unusable
    from whichpod.cli.bench_output import Outputs

    plan, body = bench_plan(
        requests=requests, duration=duration, rate=rate, arrivals=arrivals, streams=streams,
        connections=connections, workers=workers, warmup=warmup, deadline=deadline, method=method, data=data,
        data_binary=data_binary, identify=identify, metadata=metadata, payload=payload,
        payload_size=payload_size, seed=seed,
    )  # fmt: skip
    thresholds = [parse_threshold(text) for text in fail_if or []]
    expectation = expectation_of(expect, tolerance, confidence)
    outputs = Outputs(json, report, {})
    outputs.check()
    place, timeout_s = mesh_of(mesh), parse_duration(ready_timeout, "--ready-timeout")
    # No Service's name has one of these.
    by_address = ":" in service or "/" in service
    if by_address and (namespace or port):
        raise UsageError(
            f"{service} is an address; --namespace and --port belong to a Service.", fix="Leave them out."
        )
    aim = aim_of(service, "") if by_address else Target(service)
    target = with_backends(
        dataclasses.replace(aim, tls=Tls() if tls else None, authority=authority), backends
    )
    access = Access(kubeconfig, context, from_namespace, image, pull_policy, keep)

    async def run(says: Callable[[str], None]) -> Report:
        from whichpod.cluster.kubernetes import distributed
        from whichpod.cluster.kubernetes.service import find_service
        from whichpod.load.call import echo_call

        async with opened_kubernetes(access, says) as cluster:
            found = None
            if not by_address:
                found = await find_service(cluster.api, service, namespace or cluster.api.namespace, port)
            call = None if plan.method else echo_call(body)
            load = distributed.Load(found, target, plan, call, workers, place, timeout_s)
            return await distributed.bench(
                cluster,
                load,
                says=says,
                progress=lambda p: says(f"sending: {p.done} RPCs done, {p.rps:.0f} per second"),
            )

    with saying(quiet=json) as says:
        found = until_told(run(says))
    if error := unusable(found):
        raise error
    judge_bench(found, expectation, thresholds)
    outputs.write(found)
    return exit_code(found)
