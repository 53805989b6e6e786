"""The matrix as its users run it."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest

from tests.cli.bench import Command, Ran
from tests.e2e.rows import BASE, HEADLESS, rigged, row

pytestmark = pytest.mark.usefixtures("forking")

COMMAND = [sys.executable, "-m", "whichpod", "matrix"]


@pytest.fixture
def matrix(capsys: pytest.CaptureFixture[str]) -> Command:
    return Command("matrix", capsys)


def row_of(done: Ran, name: str) -> dict[str, Any]:
    rows = json.loads(done.out)["rows"]
    return next(r for r in rows if r["name"] == name)


@pytest.mark.timeout(300)
def test_every_configuration_behaves_as_it_is_said_to(tmp_path: Path) -> None:
    command = [*COMMAND, "--json", "--report", str(tmp_path / "reports")]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=280)
    data = json.loads(done.stdout)
    assert {r["name"]: r["outcome"] for r in data["rows"] if r["outcome"] not in ("passed", "skipped")} == {}
    assert done.returncode == 0, done.stderr
    assert data["schema_version"] == 1
    assert data["environment"].keys() >= {
        "whichpod",
        "python",
        "grpcio",
        "envoy",
        "nginx",
        "caddy",
        "cluster",
    }
    rows = {r["name"]: r for r in data["rows"]}
    assert len(rows) == 24
    assert "gateway-grpcroute" not in rows  # it runs in a cluster only
    for r in rows.values():
        if r["outcome"] == "passed":
            assert r["verdict"]["outcome"] == "passed"
            assert r["backends_known"] == len(r["counts"])
            assert r["backends_hit"] == sum(1 for c in r["counts"].values() if c)
            tally = r["report"]["tally"]
            assert tally["scheduled"] == sum(tally[k] for k in ("done", "failed", "dropped", "in_flight"))
            assert tally["failed"] == (20 if r["name"] == "istio-strict-plain" else 0)
    assert sorted(rows["istio"]["counts"].values()) == [10] * 5
    assert rows["local-connections"]["report"]["evidence"]["connections_open"] == 50
    assert rows["clusterip-connections"]["report"]["evidence"]["connections_open"] == 5
    assert rows["connection-age"]["report"]["evidence"]["connections_opened"] > 2
    assert rows["istio-stream"]["verdict"]["unit"] == "message"
    suite = ET.parse(tmp_path / "reports" / "matrix.xml").find("testsuite")
    assert suite is not None
    assert suite.get("tests") == "24"
    assert json.loads((tmp_path / "reports" / "matrix.json").read_text()) == data
    assert (
        "| [istio](#istio) | balanced (even) | 5 of 5 |" in (tmp_path / "reports" / "matrix.md").read_text()
    )


def test_a_rigged_proxy_fails_the_row_that_expects_even(matrix: Command, tmp_path: Path) -> None:
    done = matrix("--scenarios", str(rigged(tmp_path)), "--json")
    assert done.code == 1, done.err
    found = row_of(done, "rigged")
    assert found["outcome"] == "failed"
    assert found["verdict"]["balance"] == "skewed"
    assert max(found["counts"].values()) > 20


def test_more_pods_and_other_counts(matrix: Command) -> None:
    done = matrix("--only", "headless-round-robin", "--pods", "12", "--json")
    assert done.code == 0, done.err
    assert sorted(row_of(done, "headless-round-robin")["counts"].values()) == [10] * 12
    done = matrix("--only", "istio", "--pods", "7", "--requests", "35", "--json")
    assert sorted(row_of(done, "istio")["counts"].values()) == [5] * 7


def test_the_table_is_plain_in_a_pipe(matrix: Command) -> None:
    done = matrix("--only", "clusterip", "--verbose")
    assert done.code == 0
    assert "\x1b" not in done.out + done.err
    assert re.search(r"clusterip +not balanced \(none\) +1 of 5 +50/0/0/0/0 +as expected", done.out)
    assert "[1/1] clusterip: as expected" in done.err
    assert "echo-4" in done.out


def test_listing_starts_nothing(matrix: Command) -> None:
    assert "istio-tcp-port" in matrix("--list").out
    listed = json.loads(matrix("--list", "--json").out)
    assert {"name": "clusterip", "title": "ClusterIP Service, one channel", "expectation": "none"} in listed[
        "rows"
    ]


def test_a_row_that_can_not_run_is_skipped_with_the_way_to_get_it(
    monkeypatch: pytest.MonkeyPatch, matrix: Command
) -> None:
    monkeypatch.setattr("whichpod.cluster.local.binaries.shutil.which", lambda *_, **__: None)
    done = matrix("--only", "edge-haproxy", "--json")
    assert done.code == 3, "nothing ran"
    found = row_of(done, "edge-haproxy")
    assert found["outcome"] == "skipped"
    assert "apt install haproxy" in found["reason"]


def test_interrupting_shows_what_ran_and_leaves_nothing(tmp_path: Path) -> None:
    folder, reports = tmp_path / "tmp", tmp_path / "reports"
    folder.mkdir()
    process = subprocess.Popen(
        [*COMMAND, "--only", "clusterip", "--only", "connection-age", "--report", str(reports)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"TMPDIR": str(folder)},
    )
    with process:
        assert process.stderr is not None
        assert process.stderr.readline().startswith("[1/2] clusterip: as expected")
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert "(interrupted): 1 as expected" in out
    data = json.loads((reports / "matrix.json").read_text())
    assert data["end_reason"] == "interrupted"
    assert [r["name"] for r in data["rows"]] == ["clusterip"]
    assert list(folder.iterdir()) == []


BROKEN = {
    "syntax": ("kind: [", "broken.yaml:"),
    "kind": ("apiVersion: v1\nkind: Gizmo\nmetadata: {name: x}\n", "broken.yaml:"),
    "field": (
        "apiVersion: v1\nkind: Service\nmetadata: {name: x}\nspec:\n  selector: {app: echo}\n"
        "  ports: [{port: 1}]\n  colour: red\n",
        "broken.yaml:7: Service x: spec.colour is not understood",
    ),
}


@pytest.mark.parametrize("case", list(BROKEN))
def test_yaml_that_is_broken_or_not_understood_is_refused_by_line(
    matrix: Command, tmp_path: Path, case: str
) -> None:
    text, said = BROKEN[case]
    (tmp_path / "broken.yaml").write_text(text)
    done = matrix("--scenarios", str(row(tmp_path, "mine", *HEADLESS, tmp_path / "broken.yaml")))
    assert done.code == 2
    assert said in done.err
    assert "Traceback" not in done.err
    assert not done.out


def changed(tmp_path: Path, old: str, new: str) -> Path:
    text = (BASE / "echo.yaml").read_text()
    assert old in text
    file = tmp_path / "changed.yaml"
    file.write_text(text.replace(old, new))
    return file


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("grpc: {port: 50051}", "grpc: {port: 50052}", "ready"),
        ("args: [serve]", "args: [serve, --nope]", "--nope"),
        ("image: whichpod", "image: mystery:1.0", "mystery"),
    ],
)
def test_pods_that_never_run_fail_the_row_in_words(
    matrix: Command, tmp_path: Path, old: str, new: str, said: str
) -> None:
    file = changed(tmp_path, old, new)
    folder = row(tmp_path, "mine", file, BASE / "service-headless.yaml")
    done = matrix("--scenarios", str(folder), "--ready-timeout", "2s" if said == "ready" else "60s", "--json")
    assert done.code == 4, done.err
    found = row_of(done, "mine")
    assert found["outcome"] == "failed"
    assert said in found["reason"]


def test_an_envoy_that_refuses_its_configuration_is_quoted(matrix: Command, tmp_path: Path) -> None:
    from whichpod.scenarios.scenario import BUILT_IN

    text = (BUILT_IN / "edge-envoy" / "edge.yaml").read_text()
    (tmp_path / "edge.yaml").write_text(text.replace("lb_policy: ROUND_ROBIN", "lb_policy: ROUND_TRIP"))
    folder = row(
        tmp_path, "mine", *HEADLESS, BASE / "service-edge.yaml", tmp_path / "edge.yaml",
        client='service = "edge"\nport = 8080\nbackends = "echo-headless"', plan="requests = 50",
    )  # fmt: skip
    done = matrix("--scenarios", str(folder), "--json")
    assert done.code == 4
    assert "ROUND_TRIP" in row_of(done, "mine")["reason"]


def test_a_missing_extra_is_named() -> None:
    code = (
        "import sys; sys.modules['yaml'] = None\n"
        "from whichpod.cli.main import run; sys.exit(run(['matrix', '--only', 'clusterip']))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "pip install 'whichpod[lab]'" in done.stderr
