"""Labs in the background, for tests of the commands."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.cluster.manifests import ROUND_ROBIN, deployment, service
from whichpod.cli.main import run

QUICK = "readinessProbe: {grpc: {port: 50051}, periodSeconds: 1, failureThreshold: 2}"


def manifests(*, rule: str = ROUND_ROBIN, **of_deployment: str) -> str:
    parts = (
        deployment(replicas=3, sidecar=True, probe=QUICK, **of_deployment),
        service(),
        service("direct", headless=True),
        rule,
    )
    return "\n---\n".join(parts)


class Commands:
    """Runs commands as a user does, in this process."""

    def __init__(self, capfd: pytest.CaptureFixture[str], folder: Path) -> None:
        self._capfd = capfd
        self.folder = folder
        self.err = ""

    def lab(self, *argv: str, code: int = 0) -> str:
        """What a command prints; it must end with `code`."""
        self._capfd.readouterr()
        try:
            ended = run(["lab", *argv])
        finally:
            said = self._capfd.readouterr()
            self.err = said.err
        assert ended == code, (said.out, said.err)
        assert "Traceback" not in said.err
        return said.out

    def json(self, *argv: str, code: int = 0) -> Any:
        return json.loads(self.lab(*argv, "--json", code=code))

    def write(self, name: str, text: str) -> str:
        (self.folder / name).write_text(text)
        return str(self.folder / name)

    @property
    def pods(self) -> dict[str, Any]:
        return {p["name"]: p for p in self.json("status")["pods"]}

    def until_restarted(self, name: str, times: int) -> None:
        """Waits until a pod is ready after so many restarts."""
        deadline = time.monotonic() + 20
        while not ((pod := self.pods[name])["ready"] and pod["restarts"] == times):
            assert time.monotonic() < deadline, pod
            time.sleep(0.05)

    @property
    def ready(self) -> list[str]:
        return sorted(name for name, p in self.pods.items() if p["ready"])


@contextmanager
def runtime(folder: Path) -> Iterator[None]:
    """A folder of its own for labs to be found in."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_RUNTIME_DIR", str(folder))
        patch.delenv("WHICHPOD_LAB", raising=False)
        yield


def wait_for(commands: Commands, name: str, **state: object) -> None:
    """Follows the lab's events until a pod's state is as said."""
    with subprocess.Popen(
        [sys.executable, "-m", "whichpod", "lab", "events", "-f", "--json"], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout
        for _ in process.stdout:
            if commands.pods[name].items() >= state.items():
                break
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=20)
        assert process.returncode == 130


@contextmanager
def beside(commands: Commands, *more: str) -> Iterator[None]:
    """More of manifests for a while."""
    commands.lab("apply", "-f", commands.write("more.yaml", "\n---\n".join((manifests(), *more))))
    try:
        yield
    finally:
        commands.lab("apply", "-f", str(commands.folder / "echo.yaml"))
