"""`whichpod bench --matrix` as a user meets it."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from whichpod.cli.main import run
from whichpod.cluster.loopback import LoopbackCluster

TINY = [
    "bench", "--matrix", "--quick", "--duration", "300ms", "--rate", "50", "--pods", "2", "--streams", "3",
    "--engine", "grpcio",
]  # fmt: skip


def test_rows_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["bench", "--matrix", "--list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 9
    assert lines[0].startswith("direct ")
    assert run(["bench", "--list", "--matrix", "--only", "edge-*", "--json"]) == 0
    listed = json.loads(capsys.readouterr().out)
    assert [r["name"] for r in listed["rows"]] == ["edge-envoy", "edge-nginx", "edge-caddy", "edge-haproxy"]


def test_help_is_its_own(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["bench", "--matrix", "--help"]) == 0
    text = capsys.readouterr().out
    assert "whichpod bench --matrix" in text
    assert "--repetitions" in text


def test_options_that_the_docs_name_exist(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["bench", "--matrix", "--help"]) == 0
    option = re.compile(r"(?<![\w-])--[a-z][a-z-]+")
    known = set(option.findall(capsys.readouterr().out))
    page = Path(__file__).parents[2] / "docs" / "bench-matrix.md"
    assert set(option.findall(page.read_text())) == known - {"--help"}


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--only", "nope"], "There is no row 'nope'"),
        (["--repetitions", "0"], "--repetitions 0"),
        (["--duration", "soon"], "--duration 'soon'"),
        (["--warmup", "x"], "--warmup 'x'"),
        (["--rate", "0"], "--rate 0"),
        (["--pods", "1"], "--pods 1"),
        (["--engine", "steam"], "no engine 'steam'"),
        (["--report", "/dev/null"], "is not a folder"),
        (["--nope"], "--nope"),
    ],
)
def test_what_can_not_be_measured_is_refused(
    options: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["bench", "--matrix", *options]) == 2
    assert said in capsys.readouterr().err


@pytest.fixture
def no_mutual_tls(monkeypatch: pytest.MonkeyPatch) -> None:
    """A cluster in which one row can't be measured."""
    monkeypatch.setattr(LoopbackCluster, "mutual_tls", False)


@pytest.mark.usefixtures("no_mutual_tls")
def test_reports_and_json_and_a_skipped_row(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "new" / "reports"
    code = run([*TINY, "--only", "direct", "--only", "istio-mtls", "--json", "--report", str(folder)])
    out, err = capsys.readouterr()
    assert code == 0
    data = json.loads(out)
    assert data == json.loads((folder / "bench-matrix.json").read_text())
    assert [r["outcome"] for r in data["rows"]] == ["measured", "skipped"]
    assert data["settings"]["repetitions"] == 1
    assert (folder / "bench-matrix.md").read_text().startswith("# What load balancing costs")
    assert len((folder / "bench-matrix.csv").read_text().splitlines()) == 2
    assert "bench-matrix.json" in err


@pytest.mark.usefixtures("no_mutual_tls")
def test_a_table_of_which_nothing_ran_is_inconclusive(capsys: pytest.CaptureFixture[str]) -> None:
    assert run([*TINY, "--only", "istio-mtls"]) == 3
    assert "istio-mtls: skipped" in capsys.readouterr().out


def test_an_interrupted_run_shows_what_there_is() -> None:
    command = [sys.executable, "-m", "whichpod", *TINY, "--only", "direct", "--repetitions", "1000"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        assert process.stderr
        assert "[1/1000] direct, repetition 1" in process.stderr.readline()
        os.kill(process.pid, signal.SIGINT)
        out, _ = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 130
    assert "(interrupted): 1 measured." in out
