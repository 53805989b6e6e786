"""`whichpod k8s probe`: a Service of the cluster, probed from inside it."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated

import typer

from whichpod.cli.clusters import CLUSTERS, Access, opened_kubernetes
from whichpod.cli.interrupts import until_told
from whichpod.cli.k8s.options import Context, Image, Keep, Kubeconfig, PullPolicy, ReadyTimeout
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
from whichpod.cli.probe_options import (
    Clients,
    Concurrency,
    Connections,
    Duration,
    Kind,
    Messages,
    PayloadSize,
    Policy,
    Rate,
    ServiceConfig,
    Warmup,
)
from whichpod.cli.probe_plan import probe_plan
from whichpod.cli.saying import saying
from whichpod.model.errors import UsageError
from whichpod.model.plan import Stream
from whichpod.model.target import Target, Tls
from whichpod.model.units import parse_duration

if TYPE_CHECKING:
    from whichpod.cluster.kubernetes.errand import Mesh
    from whichpod.model.report import Report

_EPILOG = """Examples:

whichpod k8s probe echo -n shop --expect even

whichpod k8s probe cart -n shop --method shop.v1.Cart/Get --data '{"id": 7}' --identify header:x-pod

whichpod k8s probe echo -n shop --mesh outside --connections 5

whichpod k8s probe echo-headless -n shop --mesh outside --policy round_robin -c 200 --expect even

A client outside the cluster that comes in by port-forward goes past the mesh; see port-forward-check."""

FromNamespace = Annotated[
    str, typer.Option("--from", help="Namespace for the client's Job [default: one of its own].")
]
ServiceNamespace = Annotated[
    str, typer.Option("-n", "--namespace", help="The Service's namespace [default: the context's].")
]
ServicePort = Annotated[
    str, typer.Option(help="Its port, by number or name [default: the one that is gRPC's].")
]
WhichMesh = Annotated[
    str,
    typer.Option("--mesh", help="inside: with a sidecar; outside: without; auto: inside if there is Istio."),
]


def main(argv: list[str]) -> int:
    """Runs the command."""
    return typer_main("k8s probe", probe, argv, epilog=_EPILOG)


def probe(
    service: Annotated[str, typer.Argument(help="The Service.")],
    *,
    namespace: ServiceNamespace = "",
    port: ServicePort = "",
    mesh: WhichMesh = "auto",
    xds: Annotated[bool, typer.Option("--xds", help="Without a proxy, over xds:/// from istiod.")] = False,
    from_namespace: FromNamespace = "",
    requests: Annotated[
        int | None,
        typer.Option("-c", "--requests", help="RPCs in all [default: 50, or 10 per channel or pod]."),
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
    payload_size: PayloadSize = 0,
    deadline: Deadline = "5s",
    warmup: Warmup = 0,
    metadata: Metadata = None,
    backends: Backends = "",
    tls: UseTls = False,
    authority: Authority = "",
    expect: Expected = "",
    tolerance: Tolerance = 0.05,
    confidence: Confidence = 0.99,
    seed: Seed = 0,
    kubeconfig: Kubeconfig = "",
    context: Context = "",
    image: Image = "",
    pull_policy: PullPolicy = "",
    keep: Keep = False,
    ready_timeout: ReadyTimeout = CLUSTERS["kubernetes"],
    json: Json = False,
) -> int:
    """Probe a Service from a Job in the cluster, inside the mesh where there is one."""
    from whichpod.cli.probe import finish

    expectation = expectation_of(expect, tolerance, confidence, refused=True)
    plan = probe_plan(
        expectation, requests=requests, duration=duration, rate=rate, clients=clients,
        connections=connections, concurrency=concurrency, policy=policy, service_config=service_config,
        stream=stream, messages=messages, method=method, data=data, identify=identify,
        payload_size=payload_size, deadline=deadline, warmup=warmup, metadata=metadata, seed=seed,
    )  # fmt: skip
    place = mesh_of(mesh)
    plan.check()
    target = with_backends(Target(service, tls=Tls() if tls else None, authority=authority), backends)
    access = Access(kubeconfig, context, from_namespace, image, pull_policy, keep)
    timeout_s = parse_duration(ready_timeout, "--ready-timeout")

    async def run(says: Callable[[str], None]) -> Report:
        from whichpod.cluster.kubernetes.errand import probe_service
        from whichpod.cluster.kubernetes.service import find_service

        async with opened_kubernetes(access, says) as cluster:
            found = await find_service(cluster.api, service, namespace or cluster.api.namespace, port)
            now = plan
            if not duration and requests is None:
                enough = max(plan.requests or 0, 10 * len(found.ready))
                now = dataclasses.replace(plan, requests=enough)
            return await probe_service(
                cluster,
                found,
                target,
                now,
                mesh=place,
                xds=xds,
                ready_timeout_s=timeout_s,
                says=says,
                progress=lambda _, said: says(f"sending: {said.get('done', 0)} RPCs done"),
            )

    with saying(quiet=json) as says:
        report = until_told(run(says))
    return finish(report, expectation, json)


def mesh_of(text: str) -> Mesh:
    """The option as what it means. Raises UsageError."""
    from whichpod.cluster.kubernetes.errand import MESHES

    if text in MESHES:
        return MESHES[text]
    raise UsageError(f"There is no --mesh {text}.", fix="It takes auto, inside or outside.")
