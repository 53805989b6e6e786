"""Installing Istio with its own tool, after showing what that will do."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import signal
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from whichpod.cluster.kubernetes.api import Api
from whichpod.cluster.kubernetes.kinds import NAMESPACE
from whichpod.cluster.kubernetes.names import REVISION
from whichpod.manifest.meta import well_formed
from whichpod.model.errors import ClusterError, UsageError

PROFILES = ("default", "demo", "minimal", "remote", "empty", "ambient", "preview", "stable", "openshift")
"""Of Istio's releases (istio.io, Installation Configuration Profiles)."""
INJECTION = "istio-injection"
_END_S = 10.0


@dataclass(frozen=True, slots=True)
class Installation:
    """What is to be done."""

    istioctl: str
    """The program."""
    profile: str = "default"
    revision: str = ""
    namespace: str = ""
    """Whose pods get sidecars from now on; empty: none is labelled."""
    kubeconfig: str = ""
    context: str = ""

    @property
    def where(self) -> list[str]:
        """Which cluster, as istioctl takes it."""
        found = ["--kubeconfig", self.kubeconfig] if self.kubeconfig else []
        return found + (["--context", self.context] if self.context else [])

    @property
    def commands(self) -> list[list[str]]:
        """What runs, in order."""
        settings = ["--set", f"profile={self.profile}"]
        if self.revision:
            settings += ["--revision", self.revision]
        return [
            [self.istioctl, "x", "precheck", *self.where],
            [self.istioctl, "install", *settings, "-y", *self.where],
        ]

    @property
    def label(self) -> tuple[str, str]:
        """What the namespace gets: a revision excludes `istio-injection` (istio.io, Sidecar Injection)."""
        return (REVISION, self.revision) if self.revision else (INJECTION, "enabled")

    def check(self) -> None:
        """Raises UsageError for what istioctl or Kubernetes would refuse."""
        if self.profile not in PROFILES:
            raise UsageError(f"Istio has no profile {self.profile!r}.", fix=f"It has {', '.join(PROFILES)}.")
        for name, value in (("revision", self.revision), ("namespace", self.namespace)):
            if value and not well_formed(value, "label"):
                raise UsageError(f"{value!r} can't be a {name}.", fix="Use lower-case letters, digits, '-'.")


def found_istioctl() -> str:
    """The program on PATH. Raises UsageError, with where to get it."""
    program = shutil.which("istioctl")
    if program is None:
        raise UsageError(
            "istioctl is not on PATH.", fix="Get it from istio.io/latest/docs/ops/diagnostic-tools/istioctl"
        )
    return program


async def install(api: Api, installation: Installation, *, line: Callable[[str], None]) -> None:
    """Runs the commands, telling each line that they write, and labels the namespace.

    Cancelled, it ends the program that runs. Raises ClusterError where one fails, or the namespace isn't
    there.
    """
    installation.check()
    if installation.namespace and await api.own(installation.namespace) is None:
        raise ClusterError(
            f"There is no namespace {installation.namespace}.",
            fix=f"Make it: kubectl create namespace {installation.namespace}",
        )
    for command in installation.commands:
        await _run(command, line)
    if installation.namespace:
        key, value = installation.label
        other = INJECTION if key == REVISION else REVISION
        await api.patch(
            NAMESPACE, installation.namespace, {"metadata": {"labels": {key: value, other: None}}}
        )


async def _run(command: Sequence[str], line: Callable[[str], None]) -> None:
    process = await asyncio.create_subprocess_exec(
        *command,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        stdin=asyncio.subprocess.DEVNULL,
    )
    assert process.stdout is not None
    last = ""
    try:
        async for raw in process.stdout:
            last = raw.decode(errors="replace").rstrip()
            line(last)
        code = await process.wait()
    finally:
        if process.returncode is None:
            process.send_signal(signal.SIGTERM)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(process.wait(), _END_S)
            if process.returncode is None:
                process.kill()
                await process.wait()
    if code:
        shown = " ".join(command[1:3])
        raise ClusterError(
            f"istioctl {shown} failed with exit code {code}: {last}", fix="Its output says why."
        )
