"""`whichpod lab dns`: the cluster's DNS, down and up."""

from __future__ import annotations

from whichpod.cli.lab.options import DEFAULT, LabName
from whichpod.cli.lab.switch import UpOrDown, switched
from whichpod.cli.main import typer_main

_EPILOG = """Examples:

whichpod lab dns down

whichpod lab dns up"""


def main(argv: list[str]) -> int:
    """Runs the command."""
    return typer_main("lab dns", dns, argv, epilog=_EPILOG)


def dns(to: UpOrDown, *, name: LabName = DEFAULT) -> int:
    """Stop the cluster's DNS, or start it again. Who has looked a name up already may not notice."""
    return switched(name, "dns", to)
