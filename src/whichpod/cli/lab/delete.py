"""`whichpod lab delete`: the end of a pod, in order."""

from __future__ import annotations

from whichpod.cli.lab.options import DEFAULT, LabName, Pod, asked, goes_on, show, some
from whichpod.cli.main import typer_main
from whichpod.cli.options import Json
from whichpod.model.errors import ExitCode

_EPILOG = """Examples:

whichpod lab delete echo-1

Endpoints lose the pod at once; its containers get their hooks, SIGTERM, and their grace."""


def main(argv: list[str]) -> int:
    """Runs the command."""
    return typer_main("lab delete", delete, argv, epilog=_EPILOG)


def delete(pod: Pod, *, name: LabName = DEFAULT, json: Json = False) -> int:
    """End a pod in order, as kubectl delete pod does. Returns when another one in its place is ready."""
    from whichpod.cluster.session.asked import Named

    with goes_on("with it"):
        answer = asked(name, "delete", Named(pod))
    instead = answer["instead"]
    text = f"{pod} ends; {some(instead)} took its place." if instead else f"{pod} ends."
    show(answer, text, json)
    return ExitCode.OK
