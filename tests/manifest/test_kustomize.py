"""Folders that kustomize builds, with the real kubectl where it is."""

from __future__ import annotations

import shutil
import time
from pathlib import Path

import pytest

from whichpod.manifest.kustomize import build
from whichpod.manifest.load import load
from whichpod.model.errors import ManifestError, MissingToolError, UsageError

needs_kubectl = pytest.mark.skipif(not shutil.which("kubectl"), reason="kubectl is not on PATH")


@pytest.fixture
def overlay(tmp_path: Path, echo: str) -> Path:
    """A base and an overlay that gives it another name and number of replicas."""
    base, over = tmp_path / "base", tmp_path / "over"
    base.mkdir()
    over.mkdir()
    (base / "kustomization.yaml").write_text("resources: [echo.yaml]\n")
    (base / "echo.yaml").write_text(echo)
    (over / "kustomization.yml").write_text(
        "resources: [../base]\nnamePrefix: my-\nreplicas: [{name: echo, count: 7}]\n"
    )
    return over


@needs_kubectl
def test_an_overlay(overlay: Path) -> None:
    bundle = load(overlay)
    assert [(d.meta.name, d.replicas) for d in bundle.deployments] == [("my-echo", 7)]
    assert bundle.services[0].where.file == f"{overlay} (kustomize)"


@needs_kubectl
def test_an_error_names_the_file_that_kustomize_names(overlay: Path) -> None:
    kustomization = overlay / "kustomization.yml"
    kustomization.write_text(kustomization.read_text() + "buildMetadata: [originAnnotations]\n")
    echo = overlay.parent / "base" / "echo.yaml"
    echo.write_text(
        echo.read_text().replace(
            "  ports:\n  - {name: grpc, port", "  shiny: 1\n  ports:\n  - {name: grpc, port"
        )
    )
    with pytest.raises(ManifestError, match=r"Service my-echo \(\.\./base/echo\.yaml\): spec\.shiny"):
        load(overlay)


@needs_kubectl
def test_kustomizes_own_errors_are_passed_on(overlay: Path) -> None:
    (overlay.parent / "base" / "echo.yaml").unlink()
    with pytest.raises(UsageError, match=r"over: kustomize can't build it: .*echo\.yaml"):
        load(overlay)


def tool(folder: Path, name: str, script: str) -> str:
    folder.mkdir()
    (folder / name).write_text(f"#!/bin/sh\n{script}\n")
    (folder / name).chmod(0o755)
    return str(folder)


def test_without_kubectl(overlay: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(MissingToolError, match="Install kubectl or kustomize"):
        load(overlay)
    monkeypatch.setenv("PATH", tool(tmp_path / "bin", "kustomize", 'echo "$1 $2"'))
    assert build(overlay) == f"build {overlay}\n"


def ended(pid: int) -> None:
    """Waits until a process is gone, or waits to be reaped by whoever adopted it."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except OSError:
            return
        if state in "ZX":
            return
        time.sleep(0.01)
    raise AssertionError(f"{pid} goes on")


def test_a_build_that_does_not_end(overlay: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    pid = tmp_path / "pid"
    script = f"sleep 1000 & echo $! > {pid}; wait"
    monkeypatch.setenv("PATH", tool(tmp_path / "bin", "kubectl", script), prepend=":")
    with pytest.raises(UsageError, match=r"has not ended within 0\.5 s"):
        build(overlay, timeout_s=0.5)
    ended(int(pid.read_text()))
