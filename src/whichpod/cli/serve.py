"""`whichpod serve`: the echo service."""

from __future__ import annotations

import os


def main(argv: list[str]) -> int:
    """Runs the command; its flags are the echo service's own, which pods in a lab are started with too."""
    from whichpod.echo.args import settings_from_args
    from whichpod.echo.run import serve

    return serve(settings_from_args(argv, os.environ), os.environ)
