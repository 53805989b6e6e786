"""`whichpod k8s doctor`: what of whichpod works in a cluster, and what doesn't."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from whichpod.cli.interrupts import until_told
from whichpod.cli.k8s.options import Context, Kubeconfig, Namespace
from whichpod.cli.main import typer_main
from whichpod.cli.options import Json
from whichpod.cli.saying import saying
from whichpod.model.errors import ExitCode

if TYPE_CHECKING:
    from whichpod.cluster.kubernetes.doctor import Examination

_EPILOG = """Examples:

whichpod k8s doctor

whichpod k8s doctor --context kind-kind --namespace whichpod

whichpod k8s doctor --json

It changes nothing. Exit code 1 when a right is missing that runs need."""


def main(argv: list[str]) -> int:
    """Runs the command."""
    return typer_main("k8s doctor", doctor, argv, epilog=_EPILOG)


def doctor(
    *, kubeconfig: Kubeconfig = "", context: Context = "", namespace: Namespace = "", json: Json = False
) -> int:
    """Look at the cluster: access, versions, missing rights, network, mesh, and what will be skipped."""

    async def run(says: Callable[[str], None]) -> Examination:
        from whichpod.cluster.kubernetes.api import Api
        from whichpod.cluster.kubernetes.doctor import examine

        says("connecting")
        async with Api.open(kubeconfig, context, says=says) as api:
            says("looking")
            return await examine(api, namespace)

    with saying(quiet=True) as says:
        found = until_told(run(says))
    _show(found, json)
    return ExitCode.OK if found.ok else ExitCode.UNMET


def _show(found: Examination, as_json: bool) -> None:
    if as_json:
        import json

        from whichpod.model.codec import to_json

        said = {"schema_version": 1, "ok": found.ok}
        print(
            json.dumps(said | {"findings": to_json(found.findings), "facts": to_json(found.facts)}, indent=2)
        )
        return
    from rich.table import Table
    from rich.text import Text

    from whichpod.report.console import out

    marks = {True: ("ok", "green"), False: ("NO", "red"), None: ("--", "dim")}
    table = Table.grid(padding=(0, 2, 0, 0))
    for wraps in (False, False, True):
        table.add_column(no_wrap=not wraps, overflow="fold")
    for finding in found.findings:
        mark, style = marks[finding.ok]
        table.add_row(Text(mark, style), finding.name, Text(finding.text))
        if finding.fix:
            table.add_row("", "", Text(finding.fix, "yellow"))
    out().print(table)
    if rules := [rule for finding in found.findings for rule in finding.rules]:
        # As they are, for a file: not wrapped.
        print("\nWhat is missing, as rules of a Role:\nrules:", *rules, sep="\n")
