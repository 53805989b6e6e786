"""What `whichpod bench` prints and writes."""

from __future__ import annotations

import csv
import io
import json
import os
import pty
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.bench import Bench
from tests.report.test_hgrm import parsed
from tests.servers import echo, echoes
from whichpod.echo.server import EchoServer
from whichpod.model.report import Report

pytestmark = pytest.mark.usefixtures("forking")

COMMAND = [sys.executable, "-m", "whichpod", "bench"]


@pytest.fixture(scope="module")
def three() -> Iterator[str]:
    with echoes(3) as servers:
        yield ",".join(f"127.0.0.1:{server.port}" for server in servers)


def piped(*args: str, **env: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [*COMMAND, *args], capture_output=True, check=False, timeout=80, env=os.environ | env
    )


def test_a_person_gets_servers_totals_the_verdict_and_the_conditions(bench: Bench, three: str) -> None:
    ran = bench("--endpoints", three, "-n", "300", "--fail-if", "errors>0", "--fail-if", "spread!=even")
    assert ran.code == 0, ran
    for said in (
        "closed loop, 1 connection to each of 3 addresses x 20 streams", "echo-0", "echo-2", "33.3%",
        "300 of 300 RPCs done", "0 failed", "p99.99", "loop lag", "3 connections open, 3 in all",
        "BALANCED", "class even", "errors>0", "spread!=even",
    ):  # fmt: skip
        assert said in ran.out, said
    assert not ran.err


def test_nothing_but_text_goes_into_a_pipe(three: str) -> None:
    ran = piped("--endpoints", three, "-n", "60", PYTHONIOENCODING="ascii")
    assert ran.returncode == 0
    assert b"\x1b" not in ran.stdout
    assert b"###" in ran.stdout
    assert not ran.stderr


def test_a_terminal_without_colour_gets_none(three: str) -> None:
    out = on_a_terminal("--endpoints", three, "-n", "60", NO_COLOR="1")
    assert b"\x1b[3" not in out
    assert b"\x1b[9" not in out


def test_json_is_the_report_and_reads_back(bench: Bench, three: str) -> None:
    ran = bench("--endpoints", three, "-n", "300", "--rate", "2000", "--fail-if", "rps<1", "--json")
    data = json.loads(ran.out)
    assert (data["schema_version"], data["tool"]) == (1, "bench")
    assert data["thresholds"][0]["text"] == "rps<1"
    report = Report.from_text(ran.out)
    assert report.to_text() == ran.out.strip()
    assert report.tally.latency.count == sum(e.done for e in report.tally.backends.values()) == 300
    assert report.tally.service.percentile(50) <= report.tally.latency.percentile(50)


def test_a_folder_of_reports(bench: Bench, three: str, tmp_path: Path) -> None:
    folder = tmp_path / "new" / "reports"
    ran = bench("--endpoints", three, "-n", "300", "--rate", "3000", "--report", str(folder))
    assert "300 of 300 RPCs" in ran.out
    assert "Reports are in" in ran.err
    found = sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())
    assert found == [
        "bench.csv", "bench.json", "bench.md", "latency.hgrm",
        "servers/echo-0.hgrm", "servers/echo-1.hgrm", "servers/echo-2.hgrm", "service.hgrm",
    ]  # fmt: skip
    report = Report.from_text((folder / "bench.json").read_text())
    for file, histogram in (
        ("latency.hgrm", report.tally.latency),
        ("service.hgrm", report.tally.service),
        ("servers/echo-1.hgrm", report.tally.by_label()["echo-1"].latency),
    ):
        lines, footer = parsed((folder / file).read_text())
        assert footer["Total count"] == histogram.count
        assert all(round(value * 1e6) == histogram.percentile(100 * p) for value, p, _ in lines)
    rows = list(csv.DictReader(io.StringIO((folder / "bench.csv").read_text())))
    assert [row["server"] for row in rows] == ["echo-0", "echo-1", "echo-2", ""]
    assert "| echo-1 |" in (folder / "bench.md").read_text()


def test_names_don_t_lead_out_of_the_folder(bench: Bench, tmp_path: Path) -> None:
    with echo(pod="../../evil") as one, echo(pod="..\\..\\evil") as two:
        listed = f"127.0.0.1:{one.port},127.0.0.1:{two.port}"
        bench("--endpoints", listed, "-n", "10", "--report", str(tmp_path / "r"))
    assert len(list((tmp_path / "r" / "servers").iterdir())) == 2
    assert [path.name for path in tmp_path.iterdir()] == ["r"]


@pytest.mark.parametrize(
    ("option", "start"),
    [("--csv", "scope,server"), ("--hgrm", "       Value"), ("--markdown", "# Load on")],
)
def test_single_outputs_go_to_a_file_or_to_stdout(
    bench: Bench, three: str, tmp_path: Path, option: str, start: str
) -> None:
    file = tmp_path / "out"
    both = bench("--endpoints", three, "-n", "30", option, str(file))
    assert file.read_text().startswith(start)
    assert "30 of 30 RPCs" in both.out
    alone = bench("--endpoints", three, "-n", "30", option, "-")
    assert alone.out.startswith(start)
    assert not alone.err


def test_what_can_t_be_written_at_the_end_is_said_after_the_report(
    bench: Bench, three: str, tmp_path: Path
) -> None:
    ran = bench("--endpoints", three, "-n", "30", "--csv", "/dev/full")
    assert ran.code == 4
    assert "30 of 30 RPCs" in ran.out
    assert "/dev/full can't be written: No space left on device." in ran.err


def test_progress_is_drawn_on_a_terminal_and_erased(three: str) -> None:
    out = on_a_terminal("--endpoints", three, "-d", "1s", "--warmup", "0s")
    assert b" of 1 s" in out
    assert b"rps" in out
    assert b"echo-1" in out
    assert b"\x1b[2K" in out, "a drawn line is erased"


def on_a_terminal(*args: str, **env: str) -> bytes:
    """What a command writes on a terminal, both streams."""
    ours, theirs = pty.openpty()
    changed = os.environ | {"TERM": "xterm-256color", "COLUMNS": "120", "LINES": "30"} | env
    process = subprocess.Popen([*COMMAND, *args], stdin=theirs, stdout=theirs, stderr=theirs, env=changed)
    os.close(theirs)
    out = b""
    try:
        while True:
            out += os.read(ours, 65_536)
    except OSError:
        pass  # the other end is closed
    finally:
        os.close(ours)
    assert process.wait(30) == 0, out
    return out


def test_silent_servers_and_a_single_one(bench: Bench) -> None:
    with echo() as server:
        ran = bench(at(server), "-n", "40", "--backends", "2")
    assert "unseen 1" in ran.out
    assert "NOT BALANCED" in ran.out


def at(server: EchoServer) -> str:
    return f"127.0.0.1:{server.port}"
