"""`whichpod lab restart`: a rolling restart."""

from __future__ import annotations

from whichpod.cli.lab.options import DEFAULT, LabName, Workload, asked, goes_on, show, some
from whichpod.cli.main import typer_main
from whichpod.cli.options import Json
from whichpod.model.errors import ExitCode

_EPILOG = """Examples:

whichpod lab restart echo

It keeps to the workload's strategy, as kubectl rollout restart does: maxSurge and maxUnavailable, Recreate,
one after the other for a StatefulSet."""


def main(argv: list[str]) -> int:
    """Runs the command."""
    return typer_main("lab restart", restart, argv, epilog=_EPILOG)


def restart(workload: Workload, *, name: LabName = DEFAULT, json: Json = False) -> int:
    """Replace a workload's pods, a few at a time. Returns when the new ones are ready."""
    from whichpod.cluster.session.asked import Named

    with goes_on("restarting"):
        answer = asked(name, "restart", Named(workload))
    show(answer, f"{workload}: {len(answer['pods'])} new pods ready: {some(answer['pods'])}.", json)
    return ExitCode.OK
