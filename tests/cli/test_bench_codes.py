"""How `whichpod bench` ends: its exit codes, what it refuses, and Ctrl-C."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.cli.bench import Bench
from tests.probe.test_methods import others
from tests.servers import echo, echoes, tcp
from whichpod.cli.bench import exit_code
from whichpod.echo.faults import Failure
from whichpod.model.plan import Plan
from whichpod.model.report import Report, Saturation, ThresholdResult
from whichpod.model.tally import Tally
from whichpod.model.target import Target
from whichpod.model.verdict import Balance

pytestmark = pytest.mark.usefixtures("forking")


@pytest.fixture(scope="module")
def servers() -> Iterator[str]:
    with echoes(2) as both:
        yield ",".join(f"127.0.0.1:{server.port}" for server in both)


@pytest.mark.parametrize(
    ("options", "code"),
    [
        ((), 0),
        (("--expect", "even"), 0),
        (("--expect", "weights=echo-0:1,echo-1:3"), 1),
        (("--expect", "at-least=3"), 1),
        (("--fail-if", "errors>0", "--fail-if", "done<400", "--fail-if", "backends<2"), 0),
        (("--fail-if", "p50<1h"), 1),
        (("--fail-if", "spread==even"), 1),
        (("--fail-if", "spread!=even", "--expect", "exact"), 0),
        (("--fail-if", "share.max>40%", "--fail-if", "errors>1"), 1),
        (("--backends", "3", "--fail-if", "backends<3"), 1),
        (("--expect", "refused"), 2),
    ],
)
def test_the_code_says_what_came_of_it(
    bench: Bench, servers: str, options: tuple[str, ...], code: int
) -> None:
    ran = bench("--endpoints", servers, "-n", "400", *options)
    assert ran.code == code, ran


def test_one_server_can_t_tell_the_spread(bench: Bench, servers: str) -> None:
    one = servers.partition(",")[0]
    ran = bench(one, "-n", "50", "--fail-if", "spread!=even")
    assert ran.code == 3
    assert "can't tell" in ran.out
    assert "--backends N" in ran.out
    assert bench(one, "-n", "50", "--expect", "even").code == 3


def test_servers_that_fail_everything(bench: Bench) -> None:
    with echo(failure=Failure(1.0, "RESOURCE_EXHAUSTED")) as server:
        at = f"127.0.0.1:{server.port}"
        plain = bench(at, "-n", "20")
        errors = bench(at, "-n", "20", "--fail-if", "errors>10%")
        times = bench(at, "-n", "20", "--fail-if", "p99>1s")
    assert (plain.code, errors.code, times.code) == (4, 1, 3)
    assert "20 failed (20 RESOURCE_EXHAUSTED)" in plain.out


def made(**changes: object) -> Report:
    report = Report(Target("echo:1"), Plan(rate=10.0), Tally(scheduled=9, done=9), tool="bench")
    for name, value in changes.items():
        setattr(report, name, value)
    return report


def test_the_worst_decides() -> None:
    saturated = Saturation(saturated=True)
    ok, held, unknown = (ThresholdResult("x", "", failed) for failed in (False, True, None))
    assert exit_code(made()) == 0
    assert exit_code(made(saturation=saturated)) == 3, "in open loop the schedule was not kept"
    assert exit_code(made(saturation=saturated, plan=Plan())) == 0
    assert exit_code(made(saturation=saturated, thresholds=(ok,))) == 0, "what was asked could be told"
    assert exit_code(made(thresholds=(ok, unknown))) == 3
    assert exit_code(made(thresholds=(unknown, held), saturation=saturated)) == 1
    assert exit_code(made(tally=Tally())) == 4
    assert exit_code(made(tally=Tally(), thresholds=(unknown,))) == 3
    assert exit_code(made(end_reason="target failed")) == 4
    assert exit_code(made(end_reason="interrupted", thresholds=(held,))) == 130


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("127.0.0.1:1",), "Nothing listens"),
        (("unix:/nowhere/socket",), "/nowhere/socket"),
        (("dns:///no.such.name.invalid:1",), "does not resolve"),
        (("dns://127.0.0.1:1/echo:1",), "does not resolve"),
        (("127.0.0.1:1", "--method", "a.B/C", "--data", "{}"), "Nothing listens"),
    ],
)
def test_a_target_that_can_t_be_used(bench: Bench, options: tuple[str, ...], said: str) -> None:
    ran = bench(*options, "-n", "10")
    assert ran.code == 4
    assert said in ran.err
    assert len(ran.err.strip().splitlines()) <= 2
    assert not ran.out


@pytest.mark.parametrize(
    ("options", "said"),
    [((), "has no echo service"), (("--method", "a.v1.B/C"), "has no method a.v1.B/C")],
)
def test_a_target_without_that_method(bench: Bench, options: tuple[str, ...], said: str) -> None:
    with others(1) as target:
        ran = bench(target.address, "-n", "10", *options)
    assert ran.code == 4
    assert said in ran.err
    assert not ran.out


def test_a_target_that_speaks_something_else(bench: Bench) -> None:
    with tcp(b"HTTP/1.1 400 Bad Request\r\n\r\n") as port:
        ran = bench(f"127.0.0.1:{port}", "-n", "10")
    assert ran.code == 4
    assert "does not speak gRPC" in ran.err


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ((), "No target was given"),
        (("a:1", "--endpoints", "b:1"), "instead of a target"),
        (("localhost",), "no port"),
        (("http://localhost:1",), "none of gRPC's"),
        (("xds:///echo:1",), "no xDS client"),
        (("unix-abstract:x",), "abstract"),
        (("--endpoints", "127.0.0.1:1,[::1]:1"), "mixes IPv4 and IPv6"),
        (("a:1", "-n", "0"), "--requests 0"),
        (("a:1", "-n", "many"), "--requests"),
        (("a:1", "-n", "5", "-d", "5s"), "exclude each other"),
        (("a:1", "-d", "0s"), "--duration 0"),
        (("a:1", "-d", "soon"), "--duration 'soon'"),
        (("a:1", "--rate", "0"), "--rate 0"),
        (("a:1", "--rate", "nan"), "--rate nan"),
        (("a:1", "--rate", "inf"), "--rate inf"),
        (("a:1", "--arrivals", "poisson"), "belongs to --rate"),
        (("a:1", "--rate", "5", "--arrivals", "bursty"), "bursty"),
        (("a:1", "--connections", "0"), "--connections 0"),
        (("a:1", "--streams", "-1"), "--streams -1"),
        (("a:1", "--workers", "0"), "--workers 0"),
        (("127.0.0.1:1", "--workers", "9", "--connections", "2"), "--workers 9"),
        (("127.0.0.1:1", "--connections", "99999999"), "more than this process may open"),
        (("127.0.0.1:1", "--streams", "9999999"), "--streams 9999999"),
        (("a:1", "--warmup", "x"), "--warmup 'x'"),
        (("a:1", "--deadline", "0s"), "--deadline 0"),
        (("a:1", "--payload-size", "-1"), "--payload-size -1"),
        (("a:1", "--payload", "x", "--payload-size", "1"), "exclude each other"),
        (("a:1", "--payload", "@/nowhere"), "/nowhere can't be read"),
        (("a:1", "--method", "Check"), "is no method"),
        (("a:1", "--method", "a.B/C", "--payload", "x"), "belong to the echo service"),
        (("a:1", "--data", "{}"), "belong to --method"),
        (("a:1", "--data-binary", "x"), "belong to --method"),
        (("a:1", "--method", "a.B/C", "--data", "{}", "--data-binary", "x"), "exclude each other"),
        (("a:1", "--method", "a.B/C", "--data-binary", "@/nowhere"), "/nowhere can't be read"),
        (("a:1", "--identify", "peer"), "belong to --method"),
        (("a:1", "--method", "a.B/C", "--identify", "pod"), "'pod' is not understood"),
        (("127.0.0.1:1", "-H", "grpc-timeout: 1S"), "gRPC's own"),
        (("a:1", "-H", "novalue"), "has no key"),
        (("127.0.0.1:1", "--ca", "/nowhere.pem"), "/nowhere.pem"),
        (("127.0.0.1:1", "--cert", "/nowhere.pem"), "both a certificate and its key"),
        (("a:1", "--expect", "evn"), "no expectation 'evn'"),
        (("a:1", "--confidence", "2"), "--confidence 2"),
        (("a:1", "--backends", "0"), "--backends 0"),
        (("a:1", "--fail-if", "p99>50"), "has no unit"),
        (("a:1", "--fail-if", "latency>1s"), "Known: p50"),
        (("a:1", "--fail-if", "p99>1s", "--fail-if", "spread!=evn"), "one of even, random"),
        (("a:1", "--json", "--csv", "-"), "mixed on stdout"),
        (("a:1", "--hgrm", "-", "--markdown", "-"), "mixed on stdout"),
        (("a:1", "--csv", "/"), "is a folder"),
        (("a:1", "--markdown", "/nowhere/report.md"), "no such folder"),
        (("a:1", "--report", "/dev/null"), "not a folder"),
        (("a:1", "--nope"), "--nope"),
    ],
)
def test_bad_input_is_refused_before_anything_starts(
    bench: Bench, options: tuple[str, ...], said: str
) -> None:
    ran = bench(*options)
    assert ran.code == 2
    assert said in ran.err
    assert not ran.out
    if "Usage:" not in ran.err:
        assert len(ran.err.strip().splitlines()) <= 2, ran.err


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_reports_what_there_is(servers: str, number: signal.Signals, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "whichpod", "bench", "--endpoints", servers, "-d", "60s", "--json",
               "--warmup", "0s", "--workers", "2", "--csv", str(tmp_path / "out.csv")]  # fmt: skip
    with ExitStack() as stack:
        ours, theirs = pty.openpty()
        stack.callback(os.close, ours)
        env = os.environ | {"TERM": "xterm", "COLUMNS": "120", "LINES": "30"}
        process = stack.enter_context(
            subprocess.Popen(
                command, stdout=subprocess.PIPE, stderr=theirs, text=True, env=env, start_new_session=True
            )
        )
        os.close(theirs)
        seen = b""
        # Its live progress says when RPCs have been done.
        while b"echo-1" not in seen:
            seen += os.read(ours, 65_536)
        # As a terminal does it, `timeout` and service managers: to its workers, too.
        os.killpg(process.pid, number)
        # A second one, from whoever thinks that the first was not heard.
        os.killpg(process.pid, number)
        out, _ = process.communicate(timeout=30)
    assert process.returncode == 130
    report = Report.from_text(out)
    assert report.end_reason == "interrupted"
    assert not any(worker.lost for worker in report.saturation.workers)
    assert report.tally.done > 0
    assert report.tally.balanced_books
    assert report.verdict is not None
    assert report.verdict.balance is not Balance.SINGLE
    assert (tmp_path / "out.csv").read_text().count("\n") == 4
