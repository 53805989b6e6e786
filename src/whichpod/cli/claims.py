"""`whichpod claims`: what is often said of gRPC load balancing, held against runs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from whichpod.cli.clusters import Access, local
from whichpod.cli.interrupts import until_told
from whichpod.cli.main import typer_main
from whichpod.cli.options import Json
from whichpod.cli.reports import check_folder, write_all
from whichpod.model.claims import Claims, Ruling
from whichpod.model.errors import ExitCode, UsageError
from whichpod.model.units import parse_duration

if TYPE_CHECKING:
    from whichpod.scenarios.claims.claim import Claim

_EPILOG = """Examples:

whichpod claims --list

whichpod claims

whichpod claims --only only-istio --only 'connection*' --verbose

whichpod claims --report reports --json > claims.json"""


def main(argv: list[str]) -> int:
    """Runs the command."""
    return typer_main("claims", claims, argv, epilog=_EPILOG)


def claims(
    *,
    list_claims: Annotated[bool, typer.Option("--list", help="List the claims and end.")] = False,
    only: Annotated[
        list[str] | None, typer.Option(help="Settle just this claim; a glob, repeatable.")
    ] = None,
    cluster: Annotated[str, typer.Option(help="Where to run: loopback, netns or auto.")] = "loopback",
    ready_timeout: Annotated[str, typer.Option(help="How long pods may take to get ready.")] = "30s",
    report: Annotated[
        Path | None, typer.Option(help="Write claims.json and claims.md into this folder.")
    ] = None,
    verbose: Annotated[
        bool, typer.Option("-v", "--verbose", help="Show what was run for each claim, too.")
    ] = False,
    json: Json = False,
) -> int:
    """Run what settles each claim, and say whether it is confirmed, refuted, or depends on something."""
    Access().check(cluster)
    if cluster == "kubernetes":
        raise UsageError(
            "Claims are settled in a lab of this machine.", fix="Run rows in your cluster: whichpod matrix."
        )
    from whichpod.scenarios.claims.catalogue import selected

    chosen = selected(only or [])
    if list_claims:
        return _list(chosen, json)
    check_folder(report)
    from whichpod.cli.claims_progress import watcher
    from whichpod.scenarios.claims.run import run_claims

    place = local(cluster)
    timeout_s = parse_duration(ready_timeout, "--ready-timeout")
    with watcher(quiet=json) as watch:
        found = until_told(run_claims(place, chosen, watch, ready_timeout_s=timeout_s))
    _show(found, report, json, verbose)
    return _code(found)


def _list(chosen: list[Claim], as_json: bool) -> int:
    if as_json:
        import json

        rows = [{"name": c.name, "claim": c.text, "told_by": c.told_by} for c in chosen]
        print(json.dumps({"schema_version": 1, "claims": rows}, indent=2))
        return ExitCode.OK
    width = max(len(c.name) for c in chosen) + 2
    for c in chosen:
        print(f"{c.name:<{width}}{c.text}")
    return ExitCode.OK


def _show(found: Claims, folder: Path | None, as_json: bool, verbose: bool) -> None:
    if as_json:
        print(found.to_text())
    else:
        from whichpod.report.claims import print_claims
        from whichpod.report.console import out

        print_claims(out(), found, verbose=verbose)
    if folder:
        from whichpod.report.claims import claims_markdown

        write_all(folder, {"claims.json": found.to_text() + "\n", "claims.md": claims_markdown(found)})


def _code(found: Claims) -> int:
    """A claim that is refuted is no failure; one that could not be settled leaves a question open."""
    if found.end_reason == "interrupted":
        return ExitCode.INTERRUPTED
    if found.end_reason == "target failed":
        return ExitCode.FAILED
    return ExitCode.INCONCLUSIVE if found.rulings()[Ruling.UNSETTLED] else ExitCode.OK
