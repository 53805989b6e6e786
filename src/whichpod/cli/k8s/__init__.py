"""`whichpod k8s`: in the user's own cluster. Finds the command and runs it."""

from __future__ import annotations

import difflib
import importlib
import sys
from collections.abc import Callable

from whichpod.model.errors import ExitCode

COMMANDS = {
    "doctor": "Look at the cluster: access, versions, missing rights, mesh, and what will be skipped.",
    "manifests": "Print a row's YAML, for kubectl.",
    "up": "Put a row's set-up into the cluster, and leave it there.",
    "test": "Run the guide's tests: without Istio, with it, with balancing in the client.",
    "install-istio": "Install Istio with istioctl, after showing what that will do.",
    "probe": "Probe any Service from inside the cluster, and the mesh.",
    "port-forward-check": "Show what comes in by port-forward beside what comes from inside.",
    "watch": "Tell how a Service's own traffic is spread, without sending any.",
    "bench": "Load a Service from many pods at once.",
    "down": "Remove what runs left in the cluster.",
}

_HELP = """\
Usage: whichpod k8s COMMAND [OPTIONS]

In your own cluster, by your kubeconfig. What a run makes carries its labels, lives
in a namespace of its own, and is removed at the end.

Commands:
{commands}

Options:
  --help  Show this, or a command's options: whichpod k8s COMMAND --help

Examples:
  whichpod k8s doctor
  whichpod matrix --cluster kubernetes --image registry.example/whichpod:1
  whichpod k8s probe echo -n shop --expect even
  whichpod k8s watch echo -n shop --for 1m
  whichpod k8s bench echo -n shop --workers 4 --duration 30s
"""


def main(argv: list[str]) -> int:
    """Runs a command of the group and returns its exit code."""
    if not argv or argv[0] in ("--help", "-h", "help"):
        if len(argv) > 1 and argv[1] in COMMANDS:
            return main([argv[1], "--help"])
        width = max(map(len, COMMANDS)) + 2
        print(_HELP.format(commands="\n".join(f"  {c:<{width}}{t}" for c, t in COMMANDS.items())), end="")
        return ExitCode.OK if argv else ExitCode.USAGE
    if argv[0] not in COMMANDS:
        near = difflib.get_close_matches(argv[0], COMMANDS, n=1)
        hint = f"Did you mean {near[0]!r}? " if near else ""
        print(
            f"whichpod: there is no command 'k8s {argv[0]}'.\n{hint}See: whichpod k8s --help", file=sys.stderr
        )
        return ExitCode.USAGE
    module = importlib.import_module(f"whichpod.cli.k8s.{argv[0].replace('-', '_')}")
    entry: Callable[[list[str]], int] = module.main
    return entry(argv[1:])
