"""`whichpod lab status`: a lab as it is now."""

from __future__ import annotations

from whichpod.cli.lab.options import DEFAULT, LabName, asked
from whichpod.cli.main import typer_main
from whichpod.cli.options import Json
from whichpod.model.codec import from_json
from whichpod.model.errors import ExitCode
from whichpod.model.lab import LabStatus

_EPILOG = """Examples:

whichpod lab status

whichpod lab status --json | jq '.pods[] | select(.ready | not)'"""


def main(argv: list[str]) -> int:
    """Runs the command."""
    return typer_main("lab status", status, argv, epilog=_EPILOG)


def status(*, name: LabName = DEFAULT, json: Json = False) -> int:
    """Show pods, Services and their endpoints, what sidecars do, and what happened last."""
    from whichpod.cluster.session.asked import Nothing

    found = from_json(LabStatus, asked(name, "status", Nothing()))
    if json:
        print(found.to_text())
        return ExitCode.OK
    from whichpod.report.console import out
    from whichpod.report.lab_terminal import print_status

    print_status(out(), found)
    return ExitCode.OK
