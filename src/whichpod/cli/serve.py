"""`whichpod serve`: the echo service."""

from __future__ import annotations

import os


def main(argv: list[str]) -> int:
    """Runs the command; its flags are the echo service's own, which pods in a lab are started with too."""
    from whichpod.echo.args import build_parser, settings_from

    given = build_parser().parse_args(argv)
    settings = settings_from(given, os.environ)
    from whichpod.echo.run import serve

    return serve(settings, os.environ, as_json=given.json)
