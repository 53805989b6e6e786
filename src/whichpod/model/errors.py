"""Errors that a user meets, each with the exit code that the command ends with."""

from __future__ import annotations

from enum import IntEnum


class ExitCode(IntEnum):
    """What the process's exit status says."""

    OK = 0
    """Everything was as expected."""
    UNMET = 1
    """An expectation was not met."""
    USAGE = 2
    """The command, its options or its input are wrong; nothing was started."""
    INCONCLUSIVE = 3
    """The sample can't tell."""
    FAILED = 4
    """The target, the lab or the cluster failed."""
    BUG = 70
    """A bug in whichpod (EX_SOFTWARE of sysexits.h)."""
    INTERRUPTED = 130
    """Stopped by Ctrl-C (128 + SIGINT)."""


class WhichpodError(Exception):
    """Base of every error that a user is meant to read.

    `message` names the thing and the cause; `fix` is the way out. Together they take one or two lines.
    """

    exit_code = ExitCode.BUG

    def __init__(self, message: str, *, fix: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.fix = fix

    def __str__(self) -> str:
        return f"{self.message}\n{self.fix}" if self.fix else self.message


class UsageError(WhichpodError):
    """The input is wrong; refused before anything starts."""

    exit_code = ExitCode.USAGE


class MissingExtraError(UsageError):
    """An optional part is not installed."""

    def __init__(self, what: str, extra: str) -> None:
        super().__init__(f"{what} is not installed.", fix=f"Install it: pip install 'whichpod[{extra}]'")
        self.extra = extra


class MissingToolError(UsageError):
    """A program that is needed is not on PATH; `how` says what brings it."""

    def __init__(self, what: str, tool: str, how: str) -> None:
        super().__init__(f"{what} needs {tool}, which is not on PATH.", fix=how)
        self.tool = tool


class ManifestError(UsageError):
    """A manifest is broken or uses what isn't understood; says file and line."""

    def __init__(self, file: str, line: int, message: str, *, fix: str = "") -> None:
        super().__init__(f"{file}:{line}: {message}", fix=fix)
        self.file = file
        self.line = line


class TargetError(WhichpodError):
    """The target of a probe can't be used: no such name, nothing listening, not gRPC."""

    exit_code = ExitCode.FAILED


class LabError(WhichpodError):
    """The lab could not do what was asked: a pod never got ready, a proxy refused its configuration."""

    exit_code = ExitCode.FAILED


class ClusterError(WhichpodError):
    """The user's Kubernetes cluster can't be reached, forbids what is needed, or broke."""

    exit_code = ExitCode.FAILED


ERRORS: dict[str, type[WhichpodError]] = {
    kind.__name__: kind for kind in (UsageError, TargetError, LabError, ClusterError)
}
"""What a process hands to another as what it is."""


class ClusterLostError(ClusterError):
    """The cluster went away, or no longer knows the user: whatever is tried next would fail as well."""
