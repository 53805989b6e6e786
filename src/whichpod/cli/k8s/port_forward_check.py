"""`whichpod k8s port-forward-check`: what comes in by port-forward, beside what comes from inside."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Annotated, Any

import typer

from whichpod.cli.clusters import CLUSTERS, Access, opened_kubernetes
from whichpod.cli.interrupts import until_told
from whichpod.cli.k8s.options import Context, Image, Keep, Kubeconfig, PullPolicy, ReadyTimeout
from whichpod.cli.k8s.probe import FromNamespace, ServiceNamespace, ServicePort
from whichpod.cli.main import typer_main
from whichpod.cli.options import Identify, Json, text_or_file
from whichpod.cli.saying import saying
from whichpod.model.errors import ExitCode, WhichpodError
from whichpod.model.plan import Plan
from whichpod.model.report import Report
from whichpod.model.target import Target
from whichpod.model.units import parse_duration

_EPILOG = """Examples:

whichpod k8s port-forward-check echo -n shop

whichpod k8s port-forward-check cart -n shop --method shop.v1.Cart/Get --identify header:x-pod

kubectl port-forward leads into one pod, past its sidecar. So what is measured through it says nothing about
how a Service's traffic is balanced. This sends the same RPCs both ways and shows both."""


def main(argv: list[str]) -> int:
    """Runs the command."""
    return typer_main("k8s port-forward-check", check, argv, epilog=_EPILOG)


def check(
    service: Annotated[str, typer.Argument(help="The Service.")],
    *,
    namespace: ServiceNamespace = "",
    port: ServicePort = "",
    from_namespace: FromNamespace = "",
    requests: Annotated[int, typer.Option("-c", "--requests", help="RPCs each way.")] = 50,
    method: Annotated[str, typer.Option(help="Call this unary method instead of the echo service.")] = "",
    data: Annotated[str, typer.Option(help="Its request: JSON or @FILE.")] = "",
    identify: Identify = "",
    kubeconfig: Kubeconfig = "",
    context: Context = "",
    image: Image = "",
    pull_policy: PullPolicy = "",
    keep: Keep = False,
    ready_timeout: ReadyTimeout = CLUSTERS["kubernetes"],
    json: Json = False,
) -> int:
    """Send the same RPCs through port-forward and from inside the cluster, and show both distributions."""
    plan = Plan(
        requests=requests,
        method=method.lstrip("/"),
        data=text_or_file(data, "--data"),
        identify=identify,
    )
    plan.check()
    timeout_s = parse_duration(ready_timeout, "--ready-timeout")
    access = Access(kubeconfig, context, from_namespace, image, pull_policy, keep)

    async def run(says: Callable[[str], None]) -> tuple[Report, Report | None, WhichpodError | None]:
        from whichpod.cluster.kubernetes.errand import probe_forwarded, probe_service
        from whichpod.cluster.kubernetes.service import find_service

        async with opened_kubernetes(access, says) as cluster:
            found = await find_service(cluster.api, service, namespace or cluster.api.namespace, port)
            target = Target(service)
            says("sending through port-forward")
            here = await probe_forwarded(cluster, found, target, plan)
            if here.end_reason == "interrupted":
                return here, None, None
            try:
                return (
                    here,
                    await probe_service(cluster, found, target, plan, ready_timeout_s=timeout_s, says=says),
                    None,
                )
            except asyncio.CancelledError:
                return here, None, None
            except WhichpodError as error:
                # What came in by port-forward was measured all the same.
                return here, None, error

    with saying(quiet=json) as says:
        here, inside, error = until_told(run(says))
    from whichpod.judge import judged

    for report in (here, inside):
        if report:
            judged(report, None)
    _show(here, inside, json)
    if error:
        raise error
    if inside is None or inside.end_reason == "interrupted":
        return ExitCode.INTERRUPTED
    known = len(inside.target.known)
    if not (here.tally.done and inside.tally.done):
        return ExitCode.FAILED
    return ExitCode.OK if known > 1 else ExitCode.INCONCLUSIVE


def _show(here: Report, inside: Report | None, as_json: bool) -> None:
    if as_json:
        import json

        found: dict[str, Any] = {
            "schema_version": 1,
            "port_forward": json.loads(here.to_text()),
            "inside": json.loads(inside.to_text()) if inside else None,
        }
        print(json.dumps(found, indent=2))
        return
    from whichpod.report.console import out
    from whichpod.report.terminal import print_report

    console = out()
    console.print("Through port-forward:", style="bold")
    print_report(console, here)
    if inside is None:
        console.print("Nothing was sent from inside the cluster, so there is nothing to compare.")
        return
    console.print(f"From {inside.environment['client']}:", style="bold")
    print_report(console, inside)
    hit = [sum(1 for b in report.tally.backends.values() if b.done) for report in (here, inside)]
    known = len(inside.target.known)
    if known < 2:
        console.print("The Service has one ready pod: there is nothing to compare.")
        return
    console.print(
        f"Port-forward reached {hit[0]} of {known} pods, a client inside {hit[1]} of {known}. "
        "Port-forward leads into one pod, past Services and sidecars: measure balancing from inside."
    )
