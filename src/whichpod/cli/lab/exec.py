"""`whichpod lab exec`: a command where a pod or a client stands."""

from __future__ import annotations

import os
import shutil
import sys
from typing import Annotated

import typer

from whichpod.cli.lab.options import DEFAULT, LabName
from whichpod.cli.main import typer_main
from whichpod.model.errors import UsageError

_EPILOG = """Examples:

whichpod lab exec -- ./my-client --target {echo}

whichpod lab exec --meshed -- ./my-client --target {echo:50051}

whichpod lab exec --pod echo-0 -- ss -ltn

whichpod lab exec (a shell)

The command is one of this machine, run in this folder with this environment, and in the network of a client
or a pod. {SERVICE} and {SERVICE:PORT} stand for addresses as they are dialled there; NAME_SERVICE_HOST and
NAME_SERVICE_PORT are set as in a container, and WHICHPOD_DNS is where the cluster's DNS is asked. Its exit
status is the command's."""


def main(argv: list[str]) -> int:
    """Runs the command."""
    return typer_main("lab exec", exec_, argv, epilog=_EPILOG)


def exec_(
    command: Annotated[
        list[str] | None, typer.Argument(help="The command, after -- [default: your shell].")
    ] = None,
    *,
    pod: Annotated[
        str, typer.Option(help="In this pod's network, with its first container's variables.")
    ] = "",
    client: Annotated[
        bool, typer.Option("--client", help="Where a client stands; that is the default.")
    ] = False,
    meshed: Annotated[bool, typer.Option("--meshed", help="A client behind a sidecar.")] = False,
    name: LabName = DEFAULT,
) -> int:
    """Run a command where a pod or a client of a lab stands."""
    from whichpod.cli.lab.terminal import attached, passed
    from whichpod.cluster.session.asked import Program

    if pod and (client or meshed):
        raise UsageError(
            "--pod stands instead of --client and --meshed.",
            fix="A pod has a sidecar, or not, by its manifest.",
        )
    words = command or [os.environ.get("SHELL") or "/bin/sh"]
    program = shutil.which(words[0])
    if not program:
        raise UsageError(f"There is no command {words[0]!r}.", fix="It is looked for on this machine.")
    terminal = sys.stdin.isatty() and sys.stdout.isatty()
    argv = (os.path.abspath(program), *words[1:])  # noqa: PTH100  # a link's name may be what is meant
    asks = Program(argv, dict(os.environ), os.getcwd(), pod, meshed, terminal)  # noqa: PTH109
    return attached(name, asks) if terminal else passed(name, asks)
