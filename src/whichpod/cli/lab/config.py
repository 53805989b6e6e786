"""`whichpod lab config`: what a sidecar got."""

from __future__ import annotations

from typing import Annotated

import typer

from whichpod.cli.lab.options import DEFAULT, LabName, asked
from whichpod.cli.main import typer_main
from whichpod.cli.options import Json
from whichpod.model.codec import from_json
from whichpod.model.errors import ExitCode
from whichpod.model.lab import SidecarConfig

SidecarOwner = Annotated[str, typer.Argument(help="A pod with a sidecar, or client.")]
_EPILOG = """Examples:

whichpod lab config client

whichpod lab config echo-0

whichpod lab config client --raw | jq '.configs[].dynamic_active_clusters'"""


def main(argv: list[str]) -> int:
    """Runs the command."""
    return typer_main("lab config", config, argv, epilog=_EPILOG)


def config(
    owner: SidecarOwner,
    *,
    raw: Annotated[bool, typer.Option("--raw", help="Envoy's own dump, as JSON.")] = False,
    name: LabName = DEFAULT,
    json: Json = False,
) -> int:
    """Show what a sidecar got: its listeners, routes and clusters, in brief or in whole."""
    from whichpod.cluster.session.asked import Named

    answer = asked(name, "config", Named(owner))
    if raw:
        import json as codec

        print(codec.dumps(answer["dump"], indent=2))
        return ExitCode.OK
    found = from_json(SidecarConfig, answer["brief"])
    if json:
        print(found.to_text())
        return ExitCode.OK
    from whichpod.report.console import out
    from whichpod.report.lab_terminal import print_config

    print_config(out(), found)
    return ExitCode.OK
