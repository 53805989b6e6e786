"""`whichpod lab delay`: slow pods."""

from __future__ import annotations

from typing import Annotated

import typer

from whichpod.cli.lab.options import DEFAULT, LabName, PodOrWorkload, asked, some
from whichpod.cli.main import typer_main
from whichpod.model.errors import ExitCode

_EPILOG = """Examples:

whichpod lab delay echo-1 100ms

whichpod lab delay echo lognormal:20ms,0.5

whichpod lab heal echo-1

Delays are those of whichpod serve --delay: a time, or a distribution."""


def main(argv: list[str]) -> int:
    """Runs the command."""
    return typer_main("lab delay", delay, argv, epilog=_EPILOG)


def delay(
    pods: PodOrWorkload,
    time: Annotated[str, typer.Argument(help="How long each RPC takes.")],
    *,
    name: LabName = DEFAULT,
) -> int:
    """Make echo pods slow: from now on each RPC takes so long, whatever else is injected."""
    from whichpod.cluster.session.asked import Fault
    from whichpod.echo.faults import parse_delay

    parse_delay(time)
    answer = asked(name, "fault", Fault(pods, {"delay": time}))
    print(f"{some(answer['pods'])}: each RPC takes {time} from now on.")
    return ExitCode.OK
