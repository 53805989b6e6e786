"""`whichpod lab port-forward`: a port of this machine that leads into a pod."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from whichpod.cli.lab.options import DEFAULT, LabName, asked
from whichpod.cli.main import typer_main
from whichpod.model.errors import ExitCode, UsageError

_EPILOG = """Examples:

whichpod lab port-forward echo 50051

whichpod lab port-forward pod/echo-1 8080:50051

As kubectl's, it leads to one pod of the Service for as long as that lives, past every sidecar."""


def main(argv: list[str]) -> int:
    """Runs the command."""
    return typer_main("lab port-forward", port_forward, argv, epilog=_EPILOG)


def port_forward(
    to: Annotated[str, typer.Argument(help="A Service or a pod: NAME, service/NAME or pod/NAME.")],
    ports: Annotated[str, typer.Argument(help="[LOCAL:]PORT; the Service's port or the pod's.")],
    *,
    address: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    name: LabName = DEFAULT,
) -> int:
    """Lead a port of this machine into a pod, until Ctrl-C."""
    from whichpod.cluster.session.asked import Forward

    local, sign, port = ports.rpartition(":")
    number = (local or "0") if sign else port
    if not port or not (number.isdigit() or not sign) or (number.isdigit() and int(number) > 65535):
        raise UsageError(f"{ports} are no ports.", fix="Write PORT, LOCAL:PORT, or :PORT for a free one.")

    def told(_kind: str, what: Any) -> None:
        print(f"Forwarding from {what['address']} to {what['pod']}, port {what['port']}.", flush=True)

    wanted = int(number) if number.isdigit() else 0
    asked(name, "port-forward", Forward(to, port, wanted, address), told)
    return ExitCode.OK
