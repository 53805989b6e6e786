"""`whichpod lab events`: what happened, and happens."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from whichpod.cli.lab.options import DEFAULT, LabName, asked
from whichpod.cli.main import typer_main
from whichpod.cli.options import Json
from whichpod.model.codec import from_json
from whichpod.model.errors import ExitCode
from whichpod.model.lab import EventStatus

_EPILOG = """Examples:

whichpod lab events

whichpod lab events -f

whichpod lab events --json (an object per line)"""


def main(argv: list[str]) -> int:
    """Runs the command."""
    return typer_main("lab events", events, argv, epilog=_EPILOG)


def events(
    *,
    follow: Annotated[bool, typer.Option("-f", "--follow", help="Go on, until Ctrl-C.")] = False,
    last: Annotated[int, typer.Option(help="How many of those that have happened already.")] = 1000,
    name: LabName = DEFAULT,
    json: Json = False,
) -> int:
    """Show what happened in a lab, and what happens."""
    from whichpod.cluster.session.asked import Follow
    from whichpod.report.lab_terminal import event_line

    def told(_kind: str, event: Any) -> None:
        if json:
            import json as codec

            print(codec.dumps({"schema_version": 1, **event}), flush=True)
        else:
            print(event_line(from_json(EventStatus, event)), flush=True)

    asked(name, "events", Follow(max(0, last), follow), told)
    return ExitCode.OK
