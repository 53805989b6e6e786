"""Options that the commands of `whichpod lab` share, and how they ask a lab."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Annotated, Any

import typer

from whichpod.cli.interrupts import until_told

LabName = Annotated[
    str, typer.Option("--name", envvar="WHICHPOD_LAB", help="The lab that is meant.", show_envvar=True)
]
DEFAULT = "default"
Pod = Annotated[str, typer.Argument(help="The pod.")]
Workload = Annotated[str, typer.Argument(help="The Deployment, or whatever it is: NAME or NAMESPACE/NAME.")]
PodOrWorkload = Annotated[str, typer.Argument(help="A pod, or a Deployment for all of its pods.")]


def asked(
    name: str, op: str, what: object, told: Callable[[str, Any], None] | None = None, **more: Any
) -> Any:
    """What a lab answers. Ctrl-C ends the asking. Raises what the lab raises."""
    from whichpod.cluster.session.client import ask

    return until_told(ask(name, op, what, told=told, **more))


def show(answer: dict[str, Any], text: str, as_json: bool) -> None:
    """Prints what came of it."""
    if as_json:
        import json

        print(json.dumps({"schema_version": 1, **answer}, indent=2))
        return
    print(text)


@contextlib.contextmanager
def goes_on(what: str) -> Any:
    """Says, where the command is interrupted, that the lab isn't."""
    try:
        yield
    except KeyboardInterrupt:
        import sys

        print(f"whichpod: the lab goes on {what}.", file=sys.stderr)
        raise


def some(names: list[str]) -> str:
    """Names for a sentence, the first few where there are many."""
    most = 6
    rest = len(names) - most
    return ", ".join(names[:most]) + (f" and {rest} more" if rest > 0 else "")
