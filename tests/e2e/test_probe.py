"""`whichpod probe` and `whichpod serve` as their users run them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.bench import Command
from tests.servers import echoes

COMMAND = [sys.executable, "-m", "whichpod", "probe"]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Command:
    return Command("probe", capsys)


@pytest.fixture(scope="module")
def three() -> Iterator[list[int]]:
    with echoes(3) as servers:
        yield [server.port for server in servers]


def endpoints(ports: list[int]) -> str:
    return ",".join(f"127.0.0.1:{p}" for p in ports)


def test_a_bar_per_backend_then_the_verdict(three: list[int]) -> None:
    args = ("--endpoints", endpoints(three), "--warmup", "1", "--expect", "even", "-n", "60")
    done = subprocess.run([*COMMAND, *args], capture_output=True, text=True, check=False, timeout=80)
    assert done.returncode == 0, done.stdout + done.stderr
    for said in (
        "echo-0", "echo-1", "echo-2", "33.3%", "p99", "BALANCED", "servers hit 3 of 3", "chi-square",
        "coefficient of variation", "Jain's index", "expected even: passed", "60 of 60 RPCs",
    ):  # fmt: skip
        assert said in done.stdout, said
    assert "\x1b" not in done.stdout


@pytest.mark.parametrize(
    ("args", "code"),
    [
        (("--expect", "none"), 0),
        (("--expect", "even"), 1),
        (("--expect", "at-least=2"), 1),
        (("--expect", "weights=echo-0:1,echo-1:1"), 1),
        (("--policy", "round_robin", "--warmup", "1", "--expect", "exact"), 0),
        (("--policy", "round_robin", "--warmup", "1", "--expect", "even", "-n", "3"), 3),
        (("--expect", "refused"), 1),
        ((), 0),
    ],
)
def test_the_exit_code_says_whether_it_was_as_expected(
    run: Command, three: list[int], args: tuple[str, ...], code: int
) -> None:
    done = run(f"ipv4:{endpoints(three)}", *args)
    assert done.code == code, done.out + done.err


def test_one_server_of_five_by_number(run: Command, three: list[int]) -> None:
    done = run(f"127.0.0.1:{three[0]}", "--backends", "5", "--expect", "even")
    assert done.code == 1
    assert "1 of 5" in done.out


def test_json_is_one_object_with_a_version(run: Command, three: list[int]) -> None:
    done = run(f"ipv4:{endpoints(three)}", "--json", "--stream", "bidi", "--messages", "4", "-n", "20")
    data = json.loads(done.out)
    assert data["schema_version"] == 1
    assert data["verdict"]["balance"] == "none"
    assert data["plan"]["messages"] == 4
    assert data["diagnosis"]["code"]
    assert not done.err


def test_ctrl_c_reports_what_there_is(three: list[int]) -> None:
    command = [*COMMAND, f"127.0.0.1:{three[0]}", "--duration", "60s", "--rate", "200", "--json"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    with process:
        # It has sent something once its connection is there.
        while not _connected(process.pid) and process.poll() is None:
            time.sleep(0.01)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=30)
    assert process.returncode == 130, err
    assert json.loads(out)["end_reason"] == "interrupted"
    assert "Traceback" not in err


def _connected(pid: int) -> bool:
    """Whether a process has an established TCP connection."""
    try:
        links = [os.readlink(f"/proc/{pid}/fd/{fd}") for fd in os.listdir(f"/proc/{pid}/fd")]
        ours = {link[8:-1] for link in links if link.startswith("socket:[")}
        tables = "".join(Path(f"/proc/{pid}/net/{v}").read_text() for v in ("tcp", "tcp6"))
    except OSError:
        return False
    return any(line[3] == "01" and line[9] in ours for line in map(str.split, tables.splitlines()))


@pytest.mark.parametrize(
    ("args", "code", "said"),
    [
        (("127.0.0.1:1",), 4, "Nothing listens"),
        (("dns:///no.such.name.invalid:1",), 4, "does not resolve"),
        (("localhost",), 2, "no port"),
        (("127.0.0.1:1", "--policy", "nope"), 2, "no policy 'nope'"),
        (("127.0.0.1:1", "--multi-endpoint", "--endpoint-count", "0"), 2, "--endpoint-count 0"),
        (("127.0.0.1:1", "--tls", "--cert", "/nowhere.pem", "--key", "/nowhere.key"), 2, "/nowhere.pem"),
        (("xds:///echo:1",), 2, "xDS bootstrap"),
    ],
)
def test_errors_take_two_lines(run: Command, args: tuple[str, ...], code: int, said: str) -> None:
    done = run(*args)
    assert done.code == code
    assert said in done.err
    assert 1 <= len(done.err.strip().splitlines()) <= 2, done.err
    assert not done.out
