"""What a lab is to run: the options that say it, and how they are read."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from whichpod.manifest.engines import GRPCIO, check_engine
from whichpod.model.errors import UsageError

if TYPE_CHECKING:
    from whichpod.cluster.session.asked import Manifests
    from whichpod.manifest.bundle import Bundle
    from whichpod.scenarios.scenario import Scenario

Files = Annotated[
    list[str] | None,
    typer.Option("-f", "--filename", help="A file, a folder (kustomizations are built) or -; repeatable."),
]
Runs = Annotated[
    list[str] | None,
    typer.Option(
        "--run",
        help="IMAGE=COMMAND: a program of this machine in place of an image (name or glob, any tag). It gets"
        " the container's arguments and variables; {ip} and {port} are where it listens. Repeatable.",
    ),
]
Lenient = Annotated[
    bool, typer.Option("--lenient", help="Leave out, with a warning, what is not understood.")
]
Pods = Annotated[
    list[str] | None,
    typer.Option(help="NUMBER of pods, or WORKLOAD=NUMBER, instead of what is written; repeatable."),
]


def manifests_of(
    files: list[str] | None,
    row: str,
    runs: list[str] | None,
    lenient: bool,
    pods: list[str] | None,
    engine: str = GRPCIO,
) -> Manifests:
    """What is asked for, with all files read. Raises UsageError for what makes no sense or can't be read."""
    from whichpod.cluster.local.runs import parse_run
    from whichpod.cluster.session.asked import Manifests, Run

    check_engine(engine)
    folder = str(Path.cwd())
    if bool(files) == bool(row):
        raise UsageError(
            "Give manifests with -f, or the name of a row, not both."
            if files
            else "What is to run is not said.",
            fix="For example: whichpod lab up -f manifests/, or a row's set-up: whichpod lab up istio",
        )
    chosen = _row(row) if row else None
    return Manifests(
        texts=tuple(_texts_of_row(chosen) if chosen else _texts(files or [])),
        lenient=lenient,
        runs=tuple(Run(*parse_run(text), folder) for text in runs or []),
        replicas=dict(map(_replicas, pods or [])),
        engine=(chosen and chosen.engine) or engine,
    )


def read_and_noted(manifests: Manifests) -> Bundle:
    """The bundle; what has no effect in a lab is said on stderr. Raises ManifestError, UsageError."""
    from whichpod.cluster.session.reading import read

    bundle = read(manifests)
    for note in dict.fromkeys(map(str, bundle.notes)):
        print(f"whichpod: {note}", file=sys.stderr)
    return bundle


def _row(name: str) -> Scenario:
    from whichpod.scenarios.scenario import scenarios, selected

    (chosen, *others) = selected(scenarios(), [name], [])
    if others:
        raise UsageError("One row at a time can be set up.", fix="Name it: whichpod matrix --list")
    return chosen


def _texts_of_row(row: Scenario) -> list[tuple[str, str]]:
    return [(f"{row.name}/{p.name}", p.read_text(encoding="utf-8")) for p in row.manifests]


def _texts(files: list[str]) -> list[tuple[str, str]]:
    from whichpod.manifest.load import read_texts

    found: list[tuple[str, str]] = []
    for name in files:
        if name == "-":
            found.append(("stdin", sys.stdin.read()))
        else:
            found += read_texts(Path(name))
    return found


def _replicas(text: str) -> tuple[str, int]:
    workload, _, number = text.rpartition("=")
    if not number.isdigit():
        raise UsageError(f"--pods {text} makes no sense.", fix="Write --pods 10, or --pods echo=10.")
    return workload, int(number)
