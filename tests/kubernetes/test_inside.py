"""What runs in a client's container, run for real: a process, a server, a sidecar's endpoints."""

from __future__ import annotations

import http.client
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Literal

import pytest

from tests.servers import served
from whichpod.cluster.kubernetes.jobs import INSIDE
from whichpod.cluster.kubernetes.result import PROGRESS, ResultReader, read_progress, read_result
from whichpod.cluster.kubernetes.task import INDEX, QUIT, READY, Task
from whichpod.load.call import Call, Identify
from whichpod.model.errors import ClusterError, ExitCode, TargetError, UsageError
from whichpod.model.plan import Plan
from whichpod.model.target import Target

HEALTH = Call("/grpc.health.v1.Health/Check", b"", Identify("servers"))


class Sidecar(ThreadingHTTPServer):
    """The two endpoints of a sidecar that a client needs."""

    daemon_threads = True

    def __init__(self, not_ready: int) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.not_ready = not_ready
        """So many times it says that it isn't ready."""
        self.asked: list[str] = []
        self.asked_once = threading.Event()

    def env(self) -> dict[str, str]:
        """What tells a client where it is. The first of two addresses has no one."""
        at, nobody = f"http://127.0.0.1:{self.server_port}", f"http://127.0.0.1:{closed_port()}"
        return {
            READY: f"{nobody}/healthz/ready {at}/healthz/ready",
            QUIT: f"{nobody}/quitquitquit {at}/quitquitquit",
        }


class _Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self._answer("GET")

    def do_POST(self) -> None:
        self._answer("POST")

    def _answer(self, method: str) -> None:
        sidecar = self.server
        assert isinstance(sidecar, Sidecar)
        sidecar.asked.append(f"{method} {self.path}")
        sidecar.asked_once.set()
        ready = method == "POST" or len(sidecar.asked) > sidecar.not_ready
        self.send_response(200 if ready else 503)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        pass


@contextmanager
def sidecar(not_ready: int = 0) -> Iterator[Sidecar]:
    with Sidecar(not_ready) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


def closed_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port: int = listening.getsockname()[1]
        return port


@contextmanager
def client(
    task: Task | None, env: dict[str, str] | None = None, argv: Sequence[str] = INSIDE[1:]
) -> Iterator[subprocess.Popen[str]]:
    """As a container has it: a process that is told all by its environment; standard error in the log too."""
    process = subprocess.Popen(
        [sys.executable, *argv],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=os.environ | (task.env() if task else {}) | (env or {}),
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate()


def ran(task: Task | None, env: dict[str, str] | None = None) -> tuple[int, list[str]]:
    """Its exit code and its log."""
    with client(task, env) as process:
        log, _ = process.communicate(timeout=30)
        return process.returncode, log.splitlines()


def ask(port: int, path: str) -> bytes:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        connection.request("GET", path)
        return connection.getresponse().read()
    finally:
        connection.close()


def at_its_gate(process: subprocess.Popen[str]) -> int:
    """Waits until it says at which port it waits."""
    assert process.stdout is not None
    port = (read_progress(process.stdout.readline()) or {})["waits_at"]
    assert isinstance(port, int)
    return port


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with served("--engine", "fast") as (_, port):
        yield f"127.0.0.1:{port}"


def test_a_probe_is_reported(server: str) -> None:
    code, log = ran(Task("probe", Target(server), Plan(requests=20)))
    report = read_result(log)
    assert code == ExitCode.OK
    assert report.tool == "probe"
    assert report.tally.done == 20
    assert report.end_reason == "completed"
    assert report.target.address == server


@pytest.mark.parametrize("call", [None, HEALTH])
def test_a_load_is_reported(server: str, call: Call | None) -> None:
    plan = Plan(requests=200, connections=2, concurrency=4, method=call.path[1:] if call else "")
    code, log = ran(Task("bench", Target(server), plan, call))
    report = read_result(log)
    assert code == ExitCode.OK
    assert report.tool == "bench"
    assert report.tally.done == report.tally.scheduled == 200


def test_a_hundred_backends_come_home_though_the_log_is_cut_and_mixed() -> None:
    with served(
        "--engine", "fast", "--host", "127.93.1.1", "--pods", "100", "--pods-on", "addresses"
    ) as (_, port):  # fmt: skip
        addresses = ",".join(f"127.93.1.{n}:{port}" for n in range(1, 101))
        code, log = ran(Task("bench", Target(f"ipv4:{addresses}"), Plan(requests=1000), progress_s=0.01))
    assert code == ExitCode.OK
    cut = [piece for line in log for piece in (line[:3000], "stderr: and so on", line[3000:])]
    report = read_result(cut)
    assert len(report.tally.backends) == 100
    assert {b.done for b in report.tally.backends.values()} == {10}


def test_workers_have_seeds_of_their_own_and_say_where_they_were(server: str) -> None:
    env = {INDEX: "3", "POD_NAME": "client-3-x", "NODE_NAME": "n1"}
    _, log = ran(Task("probe", Target(server), Plan(requests=1, seed=7)), env)
    report = read_result(log)
    assert report.plan.seed == 10
    assert (report.environment["client pod"], report.environment["client node"]) == ("client-3-x", "n1")


# Sidecars


def test_a_sidecar_is_awaited_and_ended(server: str) -> None:
    with sidecar(not_ready=2) as beside:
        code, log = ran(Task("probe", Target(server), Plan(requests=1)), beside.env())
        assert beside.asked == ["GET /healthz/ready"] * 3 + ["POST /quitquitquit"]
    assert code == ExitCode.OK
    assert read_result(log).tally.done == 1


def test_without_a_word_no_sidecar_is_asked(server: str) -> None:
    with sidecar() as beside:
        ran(Task("probe", Target(server), Plan(requests=1)))
        assert beside.asked == []


def test_a_sidecar_that_is_never_ready_is_an_error_and_is_ended_too(server: str) -> None:
    with sidecar(not_ready=10_000) as beside:
        env = beside.env()
        code, log = ran(
            Task("probe", Target(server), Plan(requests=1), ready_s=0.1), env | {READY: env[READY].split()[1]}
        )
        assert beside.asked[-1] == "POST /quitquitquit"
    assert code == ExitCode.FAILED
    with pytest.raises(ClusterError, match=r"not ready within 0\.1 s: it answers with status 503") as e:
        read_result(log)
    assert "istio-proxy" in e.value.fix


def test_a_sidecar_that_cannot_be_ended_is_told_of_and_the_report_is_there(server: str) -> None:
    code, log = ran(
        Task("probe", Target(server), Plan(requests=1)), {QUIT: f"http://127.0.0.1:{closed_port()}/quit"}
    )
    assert code == ExitCode.OK
    assert read_result(log).tally.done == 1
    assert "The sidecar can't be told to end" in log[-1]
    assert "refused" in log[-1]


# Ended early


@pytest.mark.parametrize(
    ("do", "number"), [("probe", signal.SIGTERM), ("probe", signal.SIGINT), ("bench", signal.SIGTERM)]
)
def test_told_to_end_it_reports_what_there_is(server: str, do: str, number: int) -> None:
    plan = Plan(requests=None, duration_s=60, rate=200)
    with (
        sidecar() as beside,
        client(
            Task("probe" if do == "probe" else "bench", Target(server), plan, progress_s=0.01), beside.env()
        ) as process,
    ):
        assert process.stdout is not None
        reader = ResultReader()
        for line in process.stdout:
            reader.take(line)
            said = read_progress(line)
            if said and said["done"] > 5:
                process.send_signal(number)
                break
        for line in process.stdout:
            reader.take(line)
        assert process.wait(30) == ExitCode.OK
        assert beside.asked[-1] == "POST /quitquitquit"
    report = reader.report()
    tally = report.tally
    assert report.end_reason == "interrupted"
    assert 5 < tally.done < 60 * 200
    assert tally.scheduled == tally.done + tally.failed + tally.dropped + tally.in_flight


def test_told_to_end_while_it_waits_for_its_sidecar_it_has_an_empty_report(server: str) -> None:
    with (
        sidecar(not_ready=10_000) as beside,
        client(Task("probe", Target(server), Plan(requests=10)), beside.env()) as process,
    ):
        assert beside.asked_once.wait(30)
        process.terminate()
        log, _ = process.communicate(timeout=30)
        assert process.returncode == ExitCode.OK
    report = read_result(log.splitlines())
    assert report.end_reason == "interrupted"
    assert report.tally.done == 0


def test_its_time_limit_ends_it(server: str) -> None:
    plan = Plan(requests=None, duration_s=60, rate=50)
    code, log = ran(Task("probe", Target(server), plan, limit_s=0.1))
    assert code == ExitCode.OK
    assert read_result(log).end_reason == "interrupted"
    assert not any(PROGRESS in line for line in log)


# Errors


@pytest.mark.parametrize("do", ["probe", "bench"])
def test_a_target_that_is_not_there_is_an_error_that_travels(do: str) -> None:
    at = f"127.0.0.1:{closed_port()}"
    code, log = ran(Task("probe" if do == "probe" else "bench", Target(at), Plan(requests=1)))
    assert code == ExitCode.FAILED
    with pytest.raises(TargetError, match=f"Nothing listens at {at}") as e:
        read_result(log)
    assert e.value.fix


@pytest.mark.parametrize(
    ("task", "message"),
    [
        (None, "There is no WHICHPOD_TASK"),
        (Task("probe", Target("127.0.0.1"), Plan(requests=1)), "is no gRPC target: it has no port"),
        (Task("probe", Target("xds:///echo:1"), Plan(requests=1)), "needs an xDS bootstrap"),
        (Task("bench", Target("xds:///echo:1"), Plan(requests=1)), "does not speak xDS"),
        (Task("bench", Target("127.0.0.1:1"), Plan(requests=0)), "--requests 0 makes no sense"),
    ],
)
def test_what_makes_no_sense_is_refused_in_words(task: Task | None, message: str) -> None:
    code, log = ran(task)
    assert code == ExitCode.USAGE
    with pytest.raises(UsageError, match=message):
        read_result(log)


def test_a_bug_is_told_with_its_traceback_in_the_log() -> None:
    code = (
        "import whichpod.probe.run as run; run.probe = lambda *_, **__: {}['x'];"
        "from whichpod.cluster.kubernetes.inside import main; raise SystemExit(main())"
    )
    with client(Task("probe", Target("a:1"), Plan(requests=1)), argv=["-c", code]) as process:
        text, _ = process.communicate(timeout=30)
    assert process.returncode == ExitCode.BUG
    assert "Traceback" in text
    with pytest.raises(ClusterError, match="The client failed: KeyError: 'x'"):
        read_result(text.splitlines())


def test_an_address_that_is_none_is_told_of(server: str) -> None:
    code, log = ran(Task("probe", Target(server), Plan(requests=1)), {QUIT: "http://[::1"})
    assert code == ExitCode.OK
    assert "it is no address" in log[-1]


# Together


def test_workers_wait_at_a_gate_until_they_are_told(server: str) -> None:
    gates = [closed_port(), closed_port()]
    plan = Plan(requests=10)
    with (
        client(Task("bench", Target(server), plan, gate=gates[0])) as one,
        client(Task("bench", Target(server), plan, gate=gates[1])) as other,
    ):
        for process in (one, other):
            assert ask(at_its_gate(process), "/ready") == b'{"ready": true}'
        assert one.poll() is other.poll() is None
        for port in gates:
            ask(port, "/go/0")
        logs = [process.communicate(timeout=30)[0] for process in (one, other)]
    assert [read_result(log.splitlines()).tally.done for log in logs] == [10, 10]


@pytest.mark.parametrize("do", ["probe", "bench"])
def test_told_to_end_at_its_gate_it_has_an_empty_report(server: str, do: Literal["probe", "bench"]) -> None:
    with client(Task(do, Target(server), Plan(requests=10), gate=closed_port())) as process:
        at_its_gate(process)
        process.terminate()
        log, _ = process.communicate(timeout=30)
    assert read_result(log.splitlines()).end_reason == "interrupted"


def test_a_gate_that_is_taken_is_an_error(server: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        code, log = ran(Task("probe", Target(server), Plan(requests=1), gate=port))
    assert code == ExitCode.FAILED
    with pytest.raises(ClusterError, match=f"can't listen on port {port}: .*in use"):
        read_result(log)
