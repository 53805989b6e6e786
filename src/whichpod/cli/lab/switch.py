"""Parts of a lab that can be stopped and started."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from whichpod.cli.lab.options import asked
from whichpod.model.errors import ExitCode


class To(StrEnum):
    """Up or down."""

    UP = "up"
    DOWN = "down"


UpOrDown = Annotated[To, typer.Argument(help="up or down.")]


def switched(name: str, part: str, to: To) -> int:
    """Stops a part or starts it."""
    from whichpod.cluster.session.asked import Switch

    asked(name, "switch", Switch(part, to is To.UP))
    print(f"{part}: {to}.")
    return ExitCode.OK
