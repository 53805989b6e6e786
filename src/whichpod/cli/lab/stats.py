"""`whichpod lab stats`: a sidecar's counters."""

from __future__ import annotations

from whichpod.cli.lab.config import SidecarOwner
from whichpod.cli.lab.options import DEFAULT, LabName, asked
from whichpod.cli.main import typer_main
from whichpod.cli.options import Json
from whichpod.model.codec import from_json
from whichpod.model.errors import ExitCode
from whichpod.model.lab import SidecarStats

_EPILOG = """Examples:

whichpod lab probe echo --meshed && whichpod lab stats client

whichpod lab stats echo-0"""


def main(argv: list[str]) -> int:
    """Runs the command."""
    return typer_main("lab stats", stats, argv, epilog=_EPILOG)


def stats(owner: SidecarOwner, *, name: LabName = DEFAULT, json: Json = False) -> int:
    """Show a sidecar's counters by endpoint (upstream_rq_*), beside what the last probe counted."""
    from whichpod.cluster.session.asked import Named

    found = from_json(SidecarStats, asked(name, "stats", Named(owner)))
    if json:
        print(found.to_text())
        return ExitCode.OK
    from whichpod.report.console import out
    from whichpod.report.lab_terminal import print_stats

    print_stats(out(), found)
    return ExitCode.OK
