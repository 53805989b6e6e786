"""`whichpod lab up`: what manifests ask for, running on this machine."""

from __future__ import annotations

import sys
from contextlib import ExitStack, suppress
from typing import TYPE_CHECKING, Annotated

import typer

from whichpod.cli.clusters import Access, local
from whichpod.cli.interrupts import until_told
from whichpod.cli.lab.manifests import Files, Lenient, Pods, Runs, manifests_of, read_and_noted
from whichpod.cli.lab.options import DEFAULT, LabName, asked, goes_on
from whichpod.cli.main import typer_main
from whichpod.cli.options import Json
from whichpod.cli.saying import saying
from whichpod.manifest.engines import GRPCIO
from whichpod.model.codec import from_json
from whichpod.model.errors import ExitCode, LabError, UsageError
from whichpod.model.lab import LabStatus
from whichpod.model.units import parse_duration

if TYPE_CHECKING:
    from whichpod.manifest.bundle import Bundle

_EPILOG = """Examples:

whichpod lab up -f manifests/

whichpod lab up istio --pods 10 -d

whichpod lab up headless-round-robin --pods 100 --engine fast

whichpod lab up -f shop.yaml --run 'shop=./server --listen {ip}:{port}' --cluster auto

kustomize build overlays/dev | whichpod lab up -f - --lenient

Ctrl-C ends it; -d leaves it in the background, until: whichpod lab down"""


def main(argv: list[str]) -> int:
    """Runs the command."""
    return typer_main("lab up", up, argv, epilog=_EPILOG)


def up(
    row: Annotated[str, typer.Argument(help="The set-up of a row of the matrix, instead of manifests.")] = "",
    *,
    files: Files = None,
    run: Runs = None,
    lenient: Lenient = False,
    pods: Pods = None,
    engine: Annotated[
        str, typer.Option(help="The echo server of pods whose manifests name none: grpcio or fast.")
    ] = GRPCIO,
    detach: Annotated[bool, typer.Option("-d", "--detach", help="Leave it in the background.")] = False,
    cluster: Annotated[
        str, typer.Option(help="loopback, netns (network namespaces, the kernel's NAT) or auto.")
    ] = "loopback",
    proxy_mode: Annotated[str, typer.Option(help="Of netns: iptables or nftables [default: iptables].")] = "",
    ready_timeout: Annotated[str, typer.Option(help="How long pods may take to get ready.")] = "30s",
    name: LabName = DEFAULT,
    json: Json = False,
) -> int:
    """Start pods, Services and a mesh from manifests, and stay. Other commands act on it meanwhile."""
    from whichpod.cluster.session.asked import Nothing
    from whichpod.cluster.session.owner import Spec
    from whichpod.cluster.session.places import already_up, owner_of

    with suppress(LabError):  # one that is gone is in nobody's way
        if owner := owner_of(name):
            raise already_up(name, owner)
    Access(proxy_mode=proxy_mode).check(cluster)
    if cluster == "kubernetes":
        raise UsageError("A lab runs on this machine.", fix="In your own cluster: whichpod k8s up")
    timeout_s = parse_duration(ready_timeout, "--ready-timeout")
    manifests = manifests_of(files, row, run, lenient, pods, engine)
    _check(read_and_noted(manifests), cluster, proxy_mode)
    spec = Spec(name, manifests, timeout_s)
    from whichpod.cli.lab.staying import leave, stay

    if detach:
        with saying(quiet=json) as says:
            leave(spec, cluster, proxy_mode, says)
        with goes_on("in the background"):
            answer = asked(name, "status", Nothing())
        _show(from_json(LabStatus, answer), json, staying=False)
        return ExitCode.OK
    with ExitStack() as stack:
        says = stack.enter_context(saying(quiet=json))

        def ready(status: LabStatus) -> None:
            stack.close()
            _show(status, json, staying=True)

        return until_told(stay(spec, cluster, proxy_mode, says, ready))


def _check(bundle: Bundle, cluster: str, proxy_mode: str) -> None:
    """Refuses, before anything starts, what can't run there. Raises UsageError, ManifestError."""
    from whichpod.cluster.local.pods import check_images
    from whichpod.cluster.protocol import Client

    if not bundle.deployments:
        raise UsageError("The manifests have no Deployment, or anything else that has pods.")
    place = local(cluster, proxy_mode)
    check_images(bundle, any_meshed=place.name == "netns")
    for service in sorted(bundle.services, key=lambda s: s.headless)[:1]:
        client = Client(f"{service.meta.namespace}/{service.meta.name}")
        if why := place.missing(bundle, client):
            raise UsageError(why)


def _show(status: LabStatus, as_json: bool, *, staying: bool) -> None:
    if as_json:
        print(status.to_text(), flush=True)
        return
    from whichpod.report.console import out
    from whichpod.report.lab_terminal import print_status

    print_status(out(), status)
    end = "Ctrl-C ends it" if staying else "It runs in the background; whichpod lab down ends it"
    named = "" if status.name == DEFAULT else f" --name {status.name}"
    print(
        f"\n{end}. From another terminal: whichpod lab status{named}, probe, exec, kill, ...", file=sys.stderr
    )
    sys.stdout.flush()
