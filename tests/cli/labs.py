"""Labs in the background, for tests of the commands."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from whichpod.cli.main import run


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
