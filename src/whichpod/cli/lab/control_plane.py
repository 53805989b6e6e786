"""`whichpod lab control-plane`: what configures sidecars, down and up."""

from __future__ import annotations

from whichpod.cli.lab.options import DEFAULT, LabName
from whichpod.cli.lab.switch import UpOrDown, switched
from whichpod.cli.main import typer_main

_EPILOG = """Examples:

whichpod lab control-plane down

whichpod lab control-plane up"""


def main(argv: list[str]) -> int:
    """Runs the command."""
    return typer_main("lab control-plane", control_plane, argv, epilog=_EPILOG)


def control_plane(to: UpOrDown, *, name: LabName = DEFAULT) -> int:
    """Stop what configures sidecars, or start it again. They go on with what they have."""
    return switched(name, "control-plane", to)
