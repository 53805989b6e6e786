"""A command that is a group of commands: finds the one that is named and runs it."""

from __future__ import annotations

import difflib
import importlib
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from whichpod.model.errors import ExitCode

_HELP = """\
Usage: whichpod {name} COMMAND [OPTIONS]

{about}
Commands:
{commands}

Options:
  --help  Show this, or a command's options: whichpod {name} COMMAND --help

Examples:
{examples}"""


@dataclass(frozen=True, slots=True)
class Group:
    """A group. Its commands are modules of `whichpod.cli.NAME`, imported when named."""

    name: str
    about: str
    commands: Mapping[str, str]
    examples: str

    def main(self, argv: list[str]) -> int:
        """Runs a command of the group and returns its exit code."""
        if not argv or argv[0] in ("--help", "-h", "help"):
            if len(argv) > 1 and argv[1] in self.commands:
                return self.main([argv[1], "--help"])
            print(self._help(), end="")
            return ExitCode.OK if argv else ExitCode.USAGE
        if argv[0] not in self.commands:
            near = difflib.get_close_matches(argv[0], self.commands, n=1)
            hint = f"Did you mean {near[0]!r}? " if near else ""
            print(
                f"whichpod: there is no command '{self.name} {argv[0]}'.\n"
                f"{hint}See: whichpod {self.name} --help",
                file=sys.stderr,
            )
            return ExitCode.USAGE
        module = importlib.import_module(f"whichpod.cli.{self.name}.{argv[0].replace('-', '_')}")
        entry: Callable[[list[str]], int] = module.main
        return entry(argv[1:])

    def _help(self) -> str:
        width = max(map(len, self.commands)) + 2
        commands = "\n".join(f"  {c:<{width}}{text}" for c, text in self.commands.items())
        return _HELP.format(name=self.name, about=self.about, commands=commands, examples=self.examples)
