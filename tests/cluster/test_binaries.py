from __future__ import annotations

import importlib.metadata
import importlib.util
import shutil
from pathlib import Path

import pytest

from whichpod.cluster.local import binaries
from whichpod.model.errors import MissingExtraError, UsageError

NAMES = ("envoy", "nginx", "caddy")


@pytest.mark.parametrize("name", NAMES)
def test_the_wheels_bring_real_programs(name: str) -> None:
    with binaries.find(name).open("rb") as file:
        assert file.read(4) == b"\x7fELF"
    assert binaries.version(name).count(".") == 2
    assert binaries.missing(name) is None


@pytest.fixture
def _bare(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A machine without any of the programs."""

    def no_files(name: str) -> None:
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    monkeypatch.setattr(importlib.metadata, "files", no_files)
    monkeypatch.setattr(shutil, "which", lambda name, path: None)


@pytest.mark.usefixtures("_bare")
@pytest.mark.parametrize("name", NAMES)
def test_without_the_extra_it_is_named(name: str) -> None:
    with pytest.raises(MissingExtraError, match=r"whichpod\[lab\]"):
        binaries.find(name)
    assert "not installed" in str(binaries.missing(name))


@pytest.mark.usefixtures("_bare")
def test_haproxy_comes_from_the_system() -> None:
    with pytest.raises(UsageError, match="apt install haproxy"):
        binaries.find("haproxy")


def test_a_wrapper_script_is_not_the_program(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    script = tmp_path / "haproxy"
    script.write_text("#!/bin/sh\n")
    script.chmod(0o755)
    monkeypatch.setattr(shutil, "which", lambda name, path: str(script))
    assert binaries.missing("haproxy")
