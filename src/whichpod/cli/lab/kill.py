"""`whichpod lab kill`: a signal for a pod."""

from __future__ import annotations

import signal
from typing import Annotated

import typer

from whichpod.cli.lab.options import DEFAULT, LabName, Pod, asked
from whichpod.cli.main import typer_main
from whichpod.model.errors import ExitCode, UsageError

_EPILOG = """Examples:

whichpod lab kill echo-1

whichpod lab kill echo-1 --signal STOP (it hangs: connections are accepted and never answered)

whichpod lab kill echo-1 --signal CONT

whichpod lab kill echo-1 -c istio-proxy (its sidecar)

A container that ends is started again, as a kubelet does it: at once, then after 10 s, 20 s and so on."""


def main(argv: list[str]) -> int:
    """Runs the command."""
    return typer_main("lab kill", kill, argv, epilog=_EPILOG)


def kill(
    pod: Pod,
    *,
    signal_: Annotated[str, typer.Option("--signal", "-s", help="KILL, STOP, CONT, TERM, ...")] = "KILL",
    container: Annotated[
        str, typer.Option("--container", "-c", help="One of its containers only; istio-proxy is its sidecar.")
    ] = "",
    name: LabName = DEFAULT,
) -> int:
    """Send a signal to a pod's processes."""
    from whichpod.cluster.session.asked import Kill

    number = _number(signal_)
    asked(name, "kill", Kill(pod, number, container))
    print(f"{pod}{f', {container}' if container else ''}: {signal.Signals(number).name} sent.")
    return ExitCode.OK


def _number(text: str) -> int:
    known = {s.name.removeprefix("SIG"): int(s) for s in signal.Signals}
    wanted = text.upper().removeprefix("SIG")
    if wanted in known:
        return known[wanted]
    if text.isdigit() and int(text) in known.values():
        return int(text)
    raise UsageError(f"There is no signal {text!r}.", fix="Common ones: KILL, STOP, CONT, TERM.")
