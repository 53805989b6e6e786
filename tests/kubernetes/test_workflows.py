"""The workflows, which run elsewhere only: their form, their scripts, and what they name."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.kubernetes.deployed import ROOT, SETUPS

WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
CHECK = Path(sys.executable).with_name("check-jsonschema")
needs_schema = pytest.mark.skipif(not CHECK.exists(), reason="check-jsonschema isn't installed")
WORKFLOW = pytest.mark.parametrize("file", WORKFLOWS, ids=lambda f: f.stem)


def steps(file: Path) -> list[dict[str, Any]]:
    jobs = yaml.safe_load(file.read_text())["jobs"].values()
    return [step for job in jobs for step in job["steps"]]


def check(*files: Path) -> subprocess.CompletedProcess[str]:
    command = [str(CHECK), "--builtin-schema", "vendor.github-workflows", *map(str, files)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60)


@needs_schema
def test_they_are_what_github_takes() -> None:
    done = check(*WORKFLOWS)
    assert done.returncode == 0, done.stdout


@needs_schema
@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ("runs-on: ubuntu-24.04", "run-on: ubuntu-24.04"),
        ("timeout-minutes: 60", "timeout: 60"),
        ("contents: read", "contents: maybe"),
        ("        run: bash .ci/run", "        uses: actions/checkout@v5\n        run: bash .ci/run"),
    ],
)
def test_the_schema_refuses_what_is_wrong(right: str, wrong: str, tmp_path: Path) -> None:
    text = (ROOT / ".github" / "workflows" / "ci.yml").read_text()
    assert right in text
    file = tmp_path / "ci.yml"
    file.write_text(text.replace(right, wrong))
    assert check(file).returncode == 1


@WORKFLOW
def test_they_may_only_read(file: Path) -> None:
    found = yaml.safe_load(file.read_text())
    assert found["permissions"] == {"contents": "read"}
    for job in found["jobs"].values():
        assert "permissions" not in job
        assert job["timeout-minutes"] <= 60
    checkouts = [step for step in steps(file) if step.get("uses", "").startswith("actions/checkout@")]
    assert checkouts
    assert all(step["with"]["persist-credentials"] is False for step in checkouts)


@WORKFLOW
def test_actions_are_of_a_version(file: Path) -> None:
    for step in steps(file):
        if "uses" in step:
            assert re.fullmatch(r"actions/[a-z-]+@(v\d+|[0-9a-f]{40})", step["uses"])


@WORKFLOW
def test_scripts_are_of_bash_and_take_nothing_from_outside(file: Path) -> None:
    scripts = [step["run"] for step in steps(file) if "run" in step]
    assert scripts
    for script in scripts:
        done = subprocess.run(["bash", "-n"], input=script, capture_output=True, text=True, timeout=30)
        assert done.returncode == 0, done.stderr
        # GitHub puts them in as text, so a value could be a command. They come by the environment.
        assert "${{" not in script


@WORKFLOW
def test_scripts_name_files_that_are_there(file: Path) -> None:
    text = "\n".join(step.get("run", "") for step in steps(file))
    named = set(re.findall(r"(?:deploy|\.ci)/[\w./-]+", text))
    assert named
    for name in named:
        assert (ROOT / name).exists()


def test_the_matrix_runs_with_both_sorts_of_sidecars_and_without() -> None:
    file = ROOT / ".github" / "workflows" / "e2e.yml"
    job = yaml.safe_load(file.read_text())["jobs"]["matrix"]
    rows = job["strategy"]["matrix"]["include"]
    assert {row["sidecars"] for row in rows} == {"", "native", "containers"}
    assert all(re.fullmatch(r"kindest/node:v1\.\d+\.\d+@sha256:[0-9a-f]{64}", row["node"]) for row in rows)
    text = "\n".join(step.get("run", "") for step in job["steps"])
    assert "whichpod matrix --cluster kubernetes" in text
    for setup in SETUPS:
        assert f"kubectl apply -k deploy/{setup}" in text
        assert f"--namespace whichpod-{setup}" in text
