"""`whichpod lab apply`: other manifests."""

from __future__ import annotations

from whichpod.cli.lab.manifests import Files, Lenient, Pods, Runs, manifests_of
from whichpod.cli.lab.options import DEFAULT, LabName, asked, goes_on, show
from whichpod.cli.main import typer_main
from whichpod.cli.options import Json
from whichpod.model.errors import ExitCode

_EPILOG = """Examples:

whichpod lab apply -f manifests/

whichpod lab apply -f shop.yaml -f destination-rule.yaml

The manifests are all that is to hold: what is no longer among them ends. Pods whose template has changed are
replaced step by step; a DestinationRule or VirtualService reaches the sidecars at once."""


def main(argv: list[str]) -> int:
    """Runs the command."""
    return typer_main("lab apply", apply, argv, epilog=_EPILOG)


def apply(
    *,
    files: Files = None,
    run: Runs = None,
    lenient: Lenient = False,
    pods: Pods = None,
    name: LabName = DEFAULT,
    json: Json = False,
) -> int:
    """Have other manifests hold. Returns when the pods that they ask for are ready."""
    import sys

    manifests = manifests_of(files, "", run, lenient, pods)
    with goes_on("applying them"):
        answer = asked(name, "apply", manifests)
    for note in dict.fromkeys(answer["notes"]):
        print(f"whichpod: {note}", file=sys.stderr)
    show(answer, f"Applied: {answer['ready']} pods ready.", json)
    return ExitCode.OK
