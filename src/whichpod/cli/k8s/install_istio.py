"""`whichpod k8s install-istio`: Istio, by its own tool."""

from __future__ import annotations

import shlex
import sys
from typing import Annotated

import typer

from whichpod.cli.interrupts import until_told
from whichpod.cli.k8s.options import Context, Kubeconfig
from whichpod.cli.main import typer_main
from whichpod.model.errors import ExitCode, UsageError

_EPILOG = """Examples:

whichpod k8s install-istio --dry-run

whichpod k8s install-istio --profile minimal --namespace shop --context kind-kind --yes

whichpod k8s install-istio --revision canary --namespace shop

whichpod's own runs need no label: their pods ask for sidecars themselves. Installing needs the rights of an
administrator, and istioctl on PATH."""


def main(argv: list[str]) -> int:
    """Runs the command."""
    return typer_main("k8s install-istio", install_istio, argv, epilog=_EPILOG)


def install_istio(
    *,
    profile: Annotated[str, typer.Option(help="Istio's profile: default, minimal, demo, ...")] = "default",
    revision: Annotated[str, typer.Option(help="Install it as this revision, beside another.")] = "",
    namespace: Annotated[
        str, typer.Option("-n", "--namespace", help="Label this one, so that its pods get sidecars.")
    ] = "",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would be done, and end.")] = False,
    yes: Annotated[bool, typer.Option("-y", "--yes", help="Don't ask.")] = False,
    kubeconfig: Kubeconfig = "",
    context: Context = "",
) -> int:
    """Install Istio with istioctl, after showing what that will do, and label a namespace for sidecars."""
    from whichpod.cluster.kubernetes.istioctl import Installation, found_istioctl, install

    program = "istioctl" if dry_run else found_istioctl()
    plan = Installation(program, profile, revision, namespace, kubeconfig, context)
    plan.check()
    print("This will run:")
    for command in plan.commands:
        print(f"  {shlex.join(command)}")
    if namespace:
        key, value = plan.label
        print(f"and label the namespace {namespace}: {key}={value}")
    sys.stdout.flush()
    if dry_run:
        return ExitCode.OK
    if not yes:
        if not (sys.stdin.isatty() and sys.stderr.isatty()):
            raise UsageError("Nobody can be asked whether to go on.", fix="Give --yes.")
        if not typer.confirm("Go on?", err=True):
            return ExitCode.OK

    async def run() -> None:
        from whichpod.cluster.kubernetes.api import Api

        async with Api.open(kubeconfig, context) as api:
            await install(api, plan, line=lambda text: print(text, flush=True))

    until_told(run())
    print("Istio is installed. See what it means: whichpod k8s doctor")
    return ExitCode.OK
