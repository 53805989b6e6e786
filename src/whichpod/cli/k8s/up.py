"""`whichpod k8s up`: a row's set-up, to look at and to try things on."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AsyncExitStack
from typing import Annotated, Any

import typer

from whichpod.cli.clusters import CLUSTERS, Access, opened_kubernetes
from whichpod.cli.interrupts import until_told
from whichpod.cli.k8s.options import (
    Context,
    GatewayClass,
    Image,
    Kubeconfig,
    Namespace,
    PullPolicy,
    ReadyTimeout,
)
from whichpod.cli.main import typer_main
from whichpod.cli.options import Json
from whichpod.cli.saying import saying
from whichpod.model.errors import ClusterError, ExitCode, UsageError
from whichpod.model.units import parse_duration

_EPILOG = """Examples:

whichpod k8s up

whichpod k8s up istio --pods 10

whichpod k8s up headless-round-robin --namespace trial

It stays until: whichpod k8s down"""


def main(argv: list[str]) -> int:
    """Runs the command."""
    return typer_main("k8s up", up, argv, epilog=_EPILOG)


def up(
    row: Annotated[str, typer.Argument(help="Which row's set-up: whichpod matrix --list")] = "clusterip",
    *,
    pods: Annotated[int | None, typer.Option(help="Pods behind the Service [default: 5].")] = None,
    kubeconfig: Kubeconfig = "",
    context: Context = "",
    namespace: Namespace = "",
    image: Image = "",
    pull_policy: PullPolicy = "",
    gateway_class: GatewayClass = "",
    keep: Annotated[
        bool, typer.Option("--keep", help="Leave it there even if it doesn't come up, to look at it.")
    ] = False,
    ready_timeout: ReadyTimeout = CLUSTERS["kubernetes"],
    json: Json = False,
) -> int:
    """Put a row's pods and Services into the cluster, wait until they are ready, and leave them there."""
    if pods is not None and pods < 1:
        raise UsageError(f"--pods {pods} makes no sense.", fix="It takes a number above zero.")
    from whichpod.scenarios.scenario import scenarios, selected

    (chosen,) = selected(scenarios(), [row], []) if "*" not in row else (None,)
    if chosen is None:
        raise UsageError("One row at a time can be set up.", fix="Name it: whichpod matrix --list")
    timeout_s = parse_duration(ready_timeout, "--ready-timeout")
    access = Access(kubeconfig, context, namespace, image, pull_policy, keep, gateway_class=gateway_class)

    async def run(says: Callable[[str], None]) -> dict[str, Any]:
        async with AsyncExitStack() as stack:
            cluster = await stack.enter_async_context(opened_kubernetes(access, says))
            bundle = chosen.bundle(pods)
            if why := cluster.missing(bundle, chosen.client):
                raise ClusterError(f"The row {row} can't be set up: {why}")
            lab = await stack.enter_async_context(
                cluster.lab(bundle, client=chosen.client, progress=says, ready_timeout_s=timeout_s)
            )
            assert lab.home is not None
            cluster.keep()
            return {
                "schema_version": 1,
                "run": cluster.settings.run,
                "namespace": lab.home.name,
                "pods": [{"name": p.name, "ip": p.ip, "ready": p.ready} for p in lab.pods],
                "services": [
                    {"name": s.meta.name, "ports": [p.port for p in s.ports], "headless": s.headless}
                    for s in bundle.services
                ],
            }

    with saying(quiet=json) as says:
        found = until_told(run(says))
    _show(found, json)
    return ExitCode.OK


def _show(found: dict[str, Any], as_json: bool) -> None:
    if as_json:
        import json

        print(json.dumps(found, indent=2))
        return
    namespace = found["namespace"]
    print(f"{len(found['pods'])} pods are ready in the namespace {namespace}:")
    width = max((len(pod["name"]) for pod in found["pods"]), default=0) + 2
    for pod in found["pods"]:
        print(f"  {pod['name']:<{width}}{pod['ip']}")
    for service in found["services"]:
        kind = "headless Service" if service["headless"] else "Service"
        ports = ", ".join(map(str, service["ports"]))
        print(f"{kind} {service['name']}, port {ports}. Probe it from inside:")
        print(f"  whichpod k8s probe {service['name']} -n {namespace}")
