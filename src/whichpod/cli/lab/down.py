"""`whichpod lab down`: the end of a lab."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from whichpod.cli.interrupts import until_told
from whichpod.cli.lab.options import DEFAULT, LabName
from whichpod.cli.main import typer_main
from whichpod.model.errors import ExitCode, LabError

_EPILOG = """Examples:

whichpod lab down

whichpod lab down --all"""


def main(argv: list[str]) -> int:
    """Runs the command."""
    return typer_main("lab down", down, argv, epilog=_EPILOG)


def down(
    *,
    all_: Annotated[bool, typer.Option("--all", help="All labs of this user.")] = False,
    name: LabName = DEFAULT,
) -> int:
    """End a lab, and wait until nothing is left of it."""
    from whichpod.cluster.session.client import end
    from whichpod.cluster.session.places import names

    chosen = names() if all_ else [name]
    for one in chosen:
        try:
            until_told(end(one))
        except LabError as error:
            if not all_:
                raise
            print(f"whichpod: {error.message}", file=sys.stderr)
        else:
            print(f"The lab {one} has ended.")
    if not chosen:
        print("No lab is up.")
    return ExitCode.OK
