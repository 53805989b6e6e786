"""`whichpod lab fail`: failing pods."""

from __future__ import annotations

from typing import Annotated

import typer

from whichpod.cli.lab.options import DEFAULT, LabName, PodOrWorkload, asked, some
from whichpod.cli.main import typer_main
from whichpod.model.errors import ExitCode

_EPILOG = """Examples:

whichpod lab fail echo-1

whichpod lab fail echo --rate 0.1 --code RESOURCE_EXHAUSTED

whichpod lab fail echo-1 --how after-headers (which Envoy neither retries nor counts for outlier detection)"""


def main(argv: list[str]) -> int:
    """Runs the command."""
    return typer_main("lab fail", fail, argv, epilog=_EPILOG)


def fail(
    pods: PodOrWorkload,
    *,
    rate: Annotated[float, typer.Option(help="Share of the RPCs that fail, 0 to 1.")] = 1.0,
    code: Annotated[str, typer.Option(help="The status that they fail with.")] = "UNAVAILABLE",
    how: Annotated[
        str, typer.Option(help="After what: trailers-only, after-headers or after-message.")
    ] = "trailers-only",
    name: LabName = DEFAULT,
) -> int:
    """Make echo pods fail: from now on, whatever else is injected."""
    from whichpod.cluster.session.asked import Fault
    from whichpod.echo.faultfile import faults_over
    from whichpod.echo.faults import Faults

    faults = {"fail_rate": rate, "fail_code": code, "fail_how": how}
    faults_over(Faults(), faults, "lab fail")
    answer = asked(name, "fault", Fault(pods, faults))
    print(f"{some(answer['pods'])}: {rate:.0%} of the RPCs fail with {code.upper()} from now on.")
    return ExitCode.OK
