"""`whichpod lab heal`: pods that are well again."""

from __future__ import annotations

from typing import Annotated

import typer

from whichpod.cli.lab.options import DEFAULT, LabName, asked, some
from whichpod.cli.main import typer_main
from whichpod.model.errors import ExitCode

_EPILOG = """Examples:

whichpod lab heal

whichpod lab heal echo-1"""


def main(argv: list[str]) -> int:
    """Runs the command."""
    return typer_main("lab heal", heal, argv, epilog=_EPILOG)


def heal(
    pods: Annotated[str, typer.Argument(help="A pod, or a Deployment [default: all].")] = "",
    *,
    name: LabName = DEFAULT,
) -> int:
    """Make pods well again: no delays, no failures, and those that were stopped go on."""
    from whichpod.cluster.session.asked import Fault

    answer = asked(name, "fault", Fault(pods, None))
    print(f"{some(answer['pods'])}: well.")
    return ExitCode.OK
