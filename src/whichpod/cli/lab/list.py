"""`whichpod lab list`: the labs that are up."""

from __future__ import annotations

import sys
import time
from typing import Any

from whichpod.cli.main import typer_main
from whichpod.cli.options import Json
from whichpod.model.errors import ExitCode, LabError

_EPILOG = """Examples:

whichpod lab list"""


def main(argv: list[str]) -> int:
    """Runs the command."""
    return typer_main("lab list", list_labs, argv, epilog=_EPILOG)


def list_labs(*, json: Json = False) -> int:
    """List the labs of this user that are up."""
    from whichpod.cluster.session.places import names, owner_of

    found: list[dict[str, Any]] = []
    for name in names():
        try:
            owner = owner_of(name)
        except LabError as gone:
            print(f"whichpod: {gone.message}", file=sys.stderr)
            continue
        if owner:
            up_s = max(0.0, time.time() - owner.started)
            found.append({"name": name, "pid": owner.pid, "version": owner.version, "up_s": round(up_s, 1)})
    if json:
        import json as codec

        print(codec.dumps({"schema_version": 1, "labs": found}, indent=2))
        return ExitCode.OK
    from whichpod.report.lab_terminal import age

    for lab in found:
        print(f"{lab['name']:<16} up {age(lab['up_s'])}, process {lab['pid']}, whichpod {lab['version']}")
    if not found:
        print("No lab is up.")
    return ExitCode.OK
