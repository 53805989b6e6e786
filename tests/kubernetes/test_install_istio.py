"""`whichpod k8s install-istio`, with a program of istioctl's name."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path

import pytest

from tests.kubernetes.standin import ApiServer
from whichpod.cli.main import run


@pytest.fixture
def istioctl(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A program of that name on PATH, which writes down how it is called, and fails when told to."""
    folder = tmp_path / "bin"
    folder.mkdir()
    program = folder / "istioctl"
    program.write_text(
        f'#!/bin/sh\necho "$@" >> {folder}/calls\necho "said: $1"\n'
        f"exit $(cat {folder}/code 2>/dev/null || echo 0)\n"
    )
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    return folder


def test_istio_is_installed_by_its_own_tool(
    istioctl: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with ApiServer() as server:
        server.store.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop"}})
        config = str(server.kubeconfig(tmp_path))
        where = ["--kubeconfig", config, "--context", "stand-in"]
        assert run(["k8s", "install-istio", *where]) == 2  # nobody can be asked
        assert not (istioctl / "calls").exists()
        assert run(["k8s", "install-istio", "-n", "nowhere", "--yes", *where]) == 4
        assert not (istioctl / "calls").exists()
        args = ["--profile", "minimal", "--namespace", "shop", "--yes"]
        assert run(["k8s", "install-istio", *args, *where]) == 0
        shown = capfd.readouterr().out
        assert "said: install" in shown
        assert (istioctl / "calls").read_text().splitlines() == [
            f"x precheck --kubeconfig {config} --context stand-in",
            f"install --set profile=minimal -y --kubeconfig {config} --context stand-in",
        ]
        assert label(server, "istio-injection") == "enabled"
        assert run(["k8s", "install-istio", *args, "--json", *where]) == 0
        caught = capfd.readouterr()
        data = json.loads(caught.out)
        assert data["installed"] is True
        assert data["label"] == {"namespace": "shop", "istio-injection": "enabled"}
        assert [command[1:3] for command in data["commands"]] == [["x", "precheck"], ["install", "--set"]]
        assert "said: install" in caught.err
        assert run(["k8s", "install-istio", "--revision", "canary", "-n", "shop", "--yes", *where]) == 0
        assert (label(server, "istio-injection"), label(server, "istio.io/rev")) == (None, "canary")
        (istioctl / "code").write_text("3")
        assert run(["k8s", "install-istio", "--yes", *where]) == 4
        assert "istioctl x precheck failed with exit code 3: said: x" in capfd.readouterr().err


def label(server: ApiServer, name: str) -> str | None:
    found = server.store.get("Namespace", "", "shop")
    assert found is not None
    value: str | None = (found["metadata"].get("labels") or {}).get(name)
    return value


def test_what_istioctl_would_refuse(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["k8s", "install-istio", "--profile", "large", "--dry-run"]) == 2
    assert "no profile 'large'" in capsys.readouterr().err
    assert run(["k8s", "install-istio", "--revision", "A B", "--dry-run"]) == 2
    assert run(["k8s", "install-istio", "--dry-run", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["installed"] is False
    assert run(["k8s", "install-istio", "--json"]) == 2  # nobody can be asked
    capsys.readouterr()
    assert run(["k8s", "install-istio", "--dry-run"]) == 0
    assert "istioctl install --set profile=default -y" in capsys.readouterr().out
    monkeypatch.setenv("PATH", str(tmp_path))
    assert run(["k8s", "install-istio", "--yes"]) == 2
    assert "istioctl is not on PATH" in capsys.readouterr().err
