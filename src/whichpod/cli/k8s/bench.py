"""`whichpod k8s bench`: the load engine in many pods at once."""

from __future__ import annotations

import base64
import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from whichpod.cli.clusters import CLUSTERS, Access, opened_kubernetes
from whichpod.cli.interrupts import until_told
from whichpod.cli.k8s.options import Context, Image, Keep, Kubeconfig, PullPolicy, ReadyTimeout
from whichpod.cli.k8s.probe import FromNamespace, ServiceNamespace, ServicePort, WhichMesh, mesh_of
from whichpod.cli.k8s.saying import saying
from whichpod.cli.main import typer_main
from whichpod.cli.options import (
    Authority,
    Backends,
    Confidence,
    Expected,
    Identify,
    Json,
    Metadata,
    Seed,
    Tolerance,
    UseTls,
    expectation_of,
    metadata_pairs,
    text_or_file,
    with_backends,
)
from whichpod.model.errors import UsageError
from whichpod.model.plan import Arrivals, Plan
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

DURATION, WARMUP = "10s", "1s"
CONNECTIONS, STREAMS, OPEN_STREAMS = 1, 20, 100


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
    duration: Annotated[
        str, typer.Option("-d", "--duration", help="How long to send (30s, 1m30s) [default: 10s].")
    ] = "",
    rate: Annotated[
        float | None, typer.Option(help="RPCs per second of all workers, on a schedule (open loop).")
    ] = None,
    arrivals: Annotated[
        Arrivals | None,
        typer.Option(help="The schedule: evenly spaced, or as independent users [default: constant]."),
    ] = None,
    connections: Annotated[
        int, typer.Option(help="Connections of each worker to each address.")
    ] = CONNECTIONS,
    streams: Annotated[
        int | None,
        typer.Option(help="RPCs in flight per connection, at most [default: 20; with --rate 100]."),
    ] = None,
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
    authority: Authority = "",
    expect: Expected = "",
    tolerance: Tolerance = 0.05,
    confidence: Confidence = 0.99,
    fail_if: Annotated[
        list[str] | None,
        typer.Option(help="Exit with 1 if this holds: p99>50ms, errors>0.1%, rps<1000; repeatable."),
    ] = None,
    seed: Seed = 0,
    report: Annotated[
        Path | None,
        typer.Option(help="Write bench.json, bench.md, bench.csv and HDR logs (.hgrm) into this folder."),
    ] = None,
    kubeconfig: Kubeconfig = "",
    context: Context = "",
    image: Image = "",
    pull_policy: PullPolicy = "",
    keep: Keep = False,
    ready_timeout: ReadyTimeout = CLUSTERS["kubernetes"],
    json: Json = False,
) -> int:
    """Load a Service from many pods at once; one report: per server, share, rate, errors, latencies."""
    from whichpod.cli.bench import check_numbers, exit_code, judge_bench
    from whichpod.cli.bench_call import aim_of, bytes_of, payload_of, unusable
    from whichpod.cli.bench_output import Outputs

    check_numbers(requests, rate, connections, streams, workers)
    if duration and requests is not None:
        raise UsageError("--requests and --duration exclude each other.", fix="Give one of them.")
    if data and data_binary:
        raise UsageError("--data and --data-binary exclude each other.", fix="Give one of them.")
    if arrivals and rate is None:
        raise UsageError("--arrivals belongs to --rate.", fix="Give a rate, such as --rate 1000.")
    timed = requests is None
    plan = Plan(
        requests=requests,
        duration_s=parse_duration(duration or DURATION, "--duration") if timed else None,
        rate=rate, arrivals=arrivals or Arrivals.CONSTANT, connections=connections,
        concurrency=streams or (STREAMS if rate is None else OPEN_STREAMS),
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
