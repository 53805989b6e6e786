"""What is in deploy/, as it is written and as kubectl renders it."""

from __future__ import annotations

import functools
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.kubectl import KUBECTL
from whichpod.cluster.kubernetes.dress import read_documents

Document = dict[str, Any]
ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
SETUPS = ("without-istio", "with-istio")
NOT_OBJECTS = ("kustomization.yaml", "kind.yaml")
"""What kustomize and kind read themselves."""
PATCHES = {"no-sidecar.yaml", "sidecar.yaml"}
OBJECTS = sorted(
    path.relative_to(DEPLOY).as_posix()
    for path in DEPLOY.rglob("*.yaml")
    if path.name not in (*NOT_OBJECTS, *PATCHES)
)


def written(name: str) -> list[Document]:
    """The objects of a file in deploy/."""
    return read_documents(DEPLOY / name)


def rendered(setup: str) -> list[Document]:
    """The objects of a set-up; skips the test where nothing can render it."""
    return [dict(d) for d in yaml.safe_load_all(kustomize(DEPLOY / setup)) if d]


@functools.cache
def kustomize(folder: Path) -> str:
    """What `kubectl apply -k` would send. kubectl before 1.21 knows no folders among `resources`."""
    if KUBECTL:
        command = [KUBECTL, "kustomize", str(folder)]
        client = subprocess.run([KUBECTL, "version", "--client"], capture_output=True, text=True, timeout=30)
        if "Kustomize Version: v" not in client.stdout and not shutil.which("kustomize"):
            pytest.skip(f"This kubectl is too old: {client.stdout.strip()}")
    elif tool := shutil.which("kustomize"):
        command = [tool, "build", str(folder)]
    else:
        pytest.skip("Neither kubectl nor kustomize is here to render the folders.")
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    # A warning (of something deprecated) is a fault too.
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout
