"""The command line's top: finds the command, runs it, turns errors into words and exit codes.

Commands are imported when named, so that `whichpod --help` and every command start fast.
"""

from __future__ import annotations

import difflib
import functools
import importlib
import os
import signal
import sys
from collections.abc import Callable
from typing import Any, NoReturn

from whichpod.model.errors import ExitCode, WhichpodError

COMMANDS = {
    "bench": "Load a gRPC target and report each server's share, rate, errors and latencies.",
    "claims": "Settle what is often said of gRPC load balancing: confirmed, refuted, or it depends.",
    "k8s": "Work in your own Kubernetes cluster: look, probe, watch, load, run the matrix.",
    "lab": "Run your own YAML on this machine: pods, Services and a mesh that stay, to break things in.",
    "matrix": "Run every configuration side by side and show how each balances.",
    "probe": "Send RPCs to a gRPC target and tell which backends answered, and whether that is even.",
    "serve": "Run the echo service, which says who answered.",
}

_HELP = """\
Usage: whichpod [--debug] COMMAND [OPTIONS]

Which pod answered? whichpod proves how gRPC traffic is spread over the replicas
behind a name, says why, and shows what evens it out.

Commands:
{commands}

Options:
  --version  Print the version.
  --debug    Show a traceback where something fails.
  --help     Show this, or a command's options: whichpod COMMAND --help

Examples:
  whichpod matrix
  whichpod serve --port 50051
  whichpod probe localhost:50051 -n 100 --policy round_robin --expect even
  whichpod bench localhost:50051 -d 30s --rate 1000 --fail-if 'p99>50ms'

Exit codes: 0 as expected, 1 expectation not met, 2 usage, 3 inconclusive,
4 target, lab or cluster failed, 70 a bug in whichpod, 130 interrupted.
"""


def run(argv: list[str]) -> int:
    """Runs one command line and returns its exit code; prints errors, never a traceback without --debug."""
    head = argv[: argv.index("--")] if "--" in argv else argv
    debug = "--debug" in head
    if debug:
        argv = [a for a in head if a != "--debug"] + argv[len(head) :]
    try:
        return _dispatch(argv)
    except KeyboardInterrupt:
        print("whichpod: interrupted", file=sys.stderr)
        return ExitCode.INTERRUPTED
    except BrokenPipeError:
        # The reader went away (`| head`): not an error, and nothing more can be said on stdout.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return ExitCode.OK
    except WhichpodError as error:
        if debug:
            raise
        print(f"whichpod: {error}", file=sys.stderr)
        return error.exit_code
    except Exception as error:
        if debug:
            raise
        kind = type(error).__name__
        print(
            f"whichpod: a bug in whichpod: {kind}: {error}\nRun it again with --debug and report it.",
            file=sys.stderr,
        )
        return ExitCode.BUG


def _dispatch(argv: list[str]) -> int:
    if not argv or argv[0] in ("--help", "-h", "help"):
        if len(argv) > 1 and argv[1] in COMMANDS:
            return _dispatch([argv[1], "--help"])
        width = max(map(len, COMMANDS)) + 2
        print(
            _HELP.format(commands="\n".join(f"  {c:<{width}}{text}" for c, text in COMMANDS.items())), end=""
        )
        return ExitCode.OK if argv else ExitCode.USAGE
    if argv[0] == "--version":
        from whichpod.version import __version__

        print(f"whichpod {__version__}")
        return ExitCode.OK
    if argv[0] not in COMMANDS:
        near = difflib.get_close_matches(argv[0], COMMANDS, n=1)
        hint = f"Did you mean {near[0]!r}? " if near else ""
        print(f"whichpod: there is no command {argv[0]!r}.\n{hint}See: whichpod --help", file=sys.stderr)
        return ExitCode.USAGE
    signal.signal(signal.SIGTERM, _terminated)
    entry: Callable[[list[str]], int] = importlib.import_module(f"whichpod.cli.{argv[0]}").main
    return entry(argv[1:])


def _terminated(_signal: int, _frame: object) -> NoReturn:
    # SIGTERM ends a run as Ctrl-C does: what there is gets reported, and everything is cleaned up.
    raise KeyboardInterrupt


def typer_main(name: str, command: Callable[..., int], argv: list[str], *, epilog: str) -> int:
    """Parses `argv` by the function's typer annotations, calls it and returns the exit code it gives."""
    import typer
    import typer.core
    import typer.main

    code = ExitCode.OK.value
    failure: BaseException | None = None

    @functools.wraps(command)
    def guarded(*args: Any, **kwargs: Any) -> None:
        # typer turns exceptions into words and codes of its own; ours are said in `run`.
        nonlocal code, failure
        try:
            code = int(command(*args, **kwargs))
        except (Exception, KeyboardInterrupt) as error:
            failure = error

    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)
    app.command(epilog=epilog, context_settings={"max_content_width": 100})(guarded)
    parser = typer.main.get_command(app)
    for option in parser.params:
        if isinstance(option, typer.core.TyperOption) and option.multiple and option.metavar is None:
            # Else it is <list[str]>, as if one were to write a list.
            option.metavar = "<str>"
    try:
        parser(argv, prog_name=f"whichpod {name}")
    except SystemExit as stop:
        if failure is None and stop.code not in (None, 0):
            return int(stop.code) if isinstance(stop.code, int) else ExitCode.USAGE
    if failure is not None:
        raise failure
    return code
