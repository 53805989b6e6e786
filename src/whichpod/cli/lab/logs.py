"""`whichpod lab logs`: what a pod has written."""

from __future__ import annotations

import sys
from typing import Annotated, Any

import typer

from whichpod.cli.lab.options import DEFAULT, LabName, Pod, asked
from whichpod.cli.main import typer_main
from whichpod.model.errors import ExitCode

_EPILOG = """Examples:

whichpod lab logs echo-0

whichpod lab logs echo-0 -f --tail 20

whichpod lab logs shop-1 -c sidecar --previous"""


def main(argv: list[str]) -> int:
    """Runs the command."""
    return typer_main("lab logs", logs, argv, epilog=_EPILOG)


def logs(
    pod: Pod,
    *,
    container: Annotated[
        str, typer.Option("-c", "--container", help="Only this one's; istio-proxy is the sidecar.")
    ] = "",
    follow: Annotated[
        bool, typer.Option("-f", "--follow", help="Go on, until Ctrl-C or the pod's end.")
    ] = False,
    tail: Annotated[int | None, typer.Option(help="Only so many lines of what is there already.")] = None,
    previous: Annotated[
        bool, typer.Option("-p", "--previous", help="Of the container's life before this one.")
    ] = False,
    name: LabName = DEFAULT,
) -> int:
    """Show what a pod's containers have written, earlier lives first."""
    from whichpod.cluster.session.asked import Logs

    def told(_kind: str, text: Any) -> None:
        sys.stdout.write(text)
        sys.stdout.flush()

    asked(name, "logs", Logs(pod, container, tail, follow, previous), told)
    return ExitCode.OK
