"""`whichpod lab scale`: another number of pods."""

from __future__ import annotations

from typing import Annotated

import typer

from whichpod.cli.lab.options import DEFAULT, LabName, Workload, asked, goes_on, show
from whichpod.cli.main import typer_main
from whichpod.cli.options import Json
from whichpod.model.errors import ExitCode, UsageError

_EPILOG = """Examples:

whichpod lab scale echo 10

whichpod lab scale echo 0"""


def main(argv: list[str]) -> int:
    """Runs the command."""
    return typer_main("lab scale", scale, argv, epilog=_EPILOG)


def scale(
    workload: Workload,
    replicas: Annotated[int, typer.Argument(help="How many pods.")],
    *,
    name: LabName = DEFAULT,
    json: Json = False,
) -> int:
    """Change the number of a workload's pods. Returns when new ones are ready, and others begin to end."""
    from whichpod.cluster.session.asked import Scale

    if replicas < 0:
        raise UsageError(f"{replicas} pods make no sense.", fix="Give 0 or more.")
    with goes_on("scaling"):
        answer = asked(name, "scale", Scale(workload, replicas))
    show(answer, f"{workload}: {answer['ready']} pods ready.", json)
    return ExitCode.OK
