"""`whichpod k8s install-istio`: Istio, by its own tool."""

from __future__ import annotations

import shlex
import sys
from typing import TYPE_CHECKING, Annotated

import typer

from whichpod.cli.interrupts import until_told
from whichpod.cli.k8s.options import Context, Kubeconfig
from whichpod.cli.main import typer_main
from whichpod.cli.options import Json
from whichpod.model.errors import ExitCode, UsageError

if TYPE_CHECKING:
    from whichpod.cluster.kubernetes.istioctl import Installation

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
    json: Json = False,
) -> int:
    """Install Istio with istioctl, after showing what that will do, and label a namespace for sidecars."""
    from whichpod.cluster.kubernetes.istioctl import Installation, found_istioctl, install

    if json and not (dry_run or yes):
        raise UsageError("With --json nobody is asked whether to go on.", fix="Give --yes or --dry-run.")
    program = "istioctl" if dry_run else found_istioctl()
    plan = Installation(program, profile, revision, namespace, kubeconfig, context)
    plan.check()
    if not json:
        _announce(plan)
    if dry_run:
        return _done(plan, installed=False, as_json=json)
    if not yes:
        if not (sys.stdin.isatty() and sys.stderr.isatty()):
            raise UsageError("Nobody can be asked whether to go on.", fix="Give --yes.")
        if not typer.confirm("Go on?", err=True):
            return ExitCode.OK
    # What istioctl writes is for people: with --json it goes where it isn't taken for the answer.
    stream = sys.stderr if json else sys.stdout

    async def run() -> None:
        from whichpod.cluster.kubernetes.api import Api

        async with Api.open(kubeconfig, context) as api:
            await install(api, plan, line=lambda text: print(text, file=stream, flush=True))

    until_told(run())
    return _done(plan, installed=True, as_json=json)


def _announce(plan: Installation) -> None:
    print("This will run:")
    for command in plan.commands:
        print(f"  {shlex.join(command)}")
    if plan.namespace:
        key, value = plan.label
        print(f"and label the namespace {plan.namespace}: {key}={value}")
    sys.stdout.flush()


def _done(plan: Installation, *, installed: bool, as_json: bool) -> int:
    if as_json:
        import json

        key, value = plan.label
        label = {"namespace": plan.namespace, key: value} if plan.namespace else None
        said = {"schema_version": 1, "installed": installed, "commands": plan.commands, "label": label}
        print(json.dumps(said, indent=2))
    elif installed:
        print("Istio is installed. See what it means: whichpod k8s doctor")
    return ExitCode.OK
