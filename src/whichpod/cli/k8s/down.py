"""`whichpod k8s down`: removes what runs left in a cluster."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any

import typer

from whichpod.cli.interrupts import until_told
from whichpod.cli.k8s.options import Context, Kubeconfig
from whichpod.cli.main import typer_main
from whichpod.cli.options import Json
from whichpod.cli.saying import saying
from whichpod.model.errors import ExitCode, UsageError
from whichpod.model.units import parse_duration

if TYPE_CHECKING:
    from whichpod.cluster.kubernetes.sweep import Leftover

_EPILOG = """Examples:

whichpod k8s down

whichpod k8s down --run k2m4x7

whichpod k8s down --yes --context kind-kind

whichpod k8s down --dry-run --json

Only what carries whichpod's labels is removed, and namespaces only if a run made them."""


def main(argv: list[str]) -> int:
    """Runs the command."""
    return typer_main("k8s down", down, argv, epilog=_EPILOG)


def down(
    *,
    run: Annotated[str, typer.Option(help="What this run made [default: what all runs made].")] = "",
    namespace: Annotated[
        list[str] | None,
        typer.Option(
            "-n", "--namespace", help="Look here too, where namespaces can't be listed; repeatable."
        ),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be removed, and end.")] = False,
    yes: Annotated[bool, typer.Option("-y", "--yes", help="Don't ask.")] = False,
    timeout: Annotated[str, typer.Option(help="How long removing may take.")] = "2m",
    kubeconfig: Kubeconfig = "",
    context: Context = "",
    json: Json = False,
) -> int:
    """Remove what runs left in the cluster: after kill -9, --keep, or `k8s up`."""
    timeout_s = parse_duration(timeout, "--timeout")
    # A colleague's run may be under way: what belongs to nobody in particular is asked for.
    asks = not (run or yes or dry_run)
    if asks and (json or not (sys.stdin.isatty() and sys.stderr.isatty())):
        raise UsageError(
            "Whose runs are meant is not said, and nobody can be asked.", fix="Give --run or --yes."
        )

    async def work(says: Callable[[str], None], chosen: list[Leftover] | None) -> list[Leftover]:
        from whichpod.cluster.kubernetes.api import Api
        from whichpod.cluster.kubernetes.sweep import leftovers, remove

        async with Api.open(kubeconfig, context, says=says) as api:
            if chosen is None:
                chosen = await leftovers(api, run=run, namespaces=namespace or ())
                if asks or dry_run:
                    return chosen
            await remove(api, chosen, within_s=timeout_s, says=says)
            return chosen

    with saying(quiet=json) as says:
        found = until_told(work(says, None))
    if not found and not json:
        whose = f"of the run {run}" if run else "of whichpod's"
        print(f"There is nothing {whose} in the cluster.")
        return ExitCode.OK
    if dry_run:
        _show(found, "would be removed", json)
        return ExitCode.OK
    if asks and found:
        _show(found, "would be removed", as_json=False)
        if not typer.confirm("Remove all of it?", err=True):
            return ExitCode.OK
        with saying(quiet=json) as says:
            until_told(work(says, found))
    _show(found, "removed", json)
    return ExitCode.OK


def _show(found: list[Leftover], what: str, as_json: bool) -> None:
    if as_json:
        import json

        objects: list[dict[str, Any]] = [
            {"kind": x.kind.kind, "namespace": x.namespace, "name": x.name, "run": x.run, "since": x.since}
            for x in found
        ]
        print(json.dumps({"schema_version": 1, "what": what, "objects": objects}, indent=2))
        return
    for leftover in found:
        print(f"{leftover} (run {leftover.run}, since {leftover.since}): {what}")
