"""Whole runs against real grpcio servers."""

from __future__ import annotations

import os
import select
import signal
import socket
import subprocess
import sys
import threading
from concurrent import futures
from pathlib import Path
from typing import Any

import grpc
import pytest

from tests.load.peers.disturbed import disturbed
from tests.load.runs import by_pod, run
from tests.servers import echo, echoes, served, tcp
from whichpod.echo.faults import Delay, Failure
from whichpod.echo.names import SERVICE
from whichpod.load.progress import LoadProgress
from whichpod.load.run import bench
from whichpod.model.codec import from_json, to_json
from whichpod.model.errors import TargetError, UsageError
from whichpod.model.plan import Arrivals, Plan
from whichpod.model.report import Report
from whichpod.model.target import Target


def test_every_request_is_done_and_counted() -> None:
    with echo() as server:
        report = run(server.port, requests=503, connections=3, concurrency=7)
    tally = report.tally
    assert (tally.scheduled, tally.done, tally.failed, tally.in_flight) == (503, 503, 0, 0)
    assert tally.statuses == {"OK": 503}
    assert by_pod(report) == {"echo-0": 503}
    assert tally.latency.count == tally.service.count == 503
    assert 0 < tally.latency.minimum <= tally.latency.maximum
    # Connections of one address share the work alike.
    assert sorted(sum(c.values()) for c in tally.channels.values()) == [167, 168, 168]
    assert (report.evidence.connections_open, report.evidence.connections_opened) == (3, 3)
    assert report.tool == "bench"
    assert report.end_reason == "completed"
    assert report.rps > 0


def test_the_report_survives_json() -> None:
    with echo() as server:
        report = run(server.port, requests=10, rate=1000.0)
    again = Report.from_text(report.to_text())
    assert again == report
    assert from_json(Report, to_json(report)) == report


def test_addresses_take_turns_exactly() -> None:
    with echoes(5) as servers:
        report = run(*(s.port for s in servers), requests=50, concurrency=20)
        assert sorted(by_pod(report).values()) == [10] * 5
        report = run(*(s.port for s in servers), requests=103, rate=2000.0, concurrency=20)
    assert sorted(by_pod(report).values()) == [20, 20, 21, 21, 21]


def test_no_address_gets_far_ahead_of_a_slow_one() -> None:
    with echoes(2) as fast, echo(pod="slow", delay=Delay("fixed", 0.02)) as slow:
        ports = [*(s.port for s in fast), slow.port]
        report = run(*ports, duration_s=0.6, connections=1, concurrency=5)
    counts = by_pod(report)
    # At most two rounds of five ahead, and what was under way when the time was up.
    assert max(counts.values()) - min(counts.values()) <= 2 * 5 + 5
    # The callers that the fast ones have no use for wait for the slow one, as round robin has it.
    # How many are there at a time is rate by time (Little's law): its own five are the most without them.
    (waiting,) = (b.service.mean * b.done for b in report.tally.backends.values() if b.backend.pod == "slow")
    assert waiting / (report.duration_s * 1e9) > 5


def test_a_single_address_keeps_no_step() -> None:
    with echo() as server:
        report = run(server.port, duration_s=0.3, connections=4, concurrency=2)
    assert report.tally.done == sum(sum(c.values()) for c in report.tally.channels.values())


def test_the_warm_up_counts_nowhere() -> None:
    with echo() as server:
        report = run(server.port, requests=40, warmup_s=0.2, concurrency=2)
        assert report.tally.done == 40
        assert report.tally.warmup > 0
        open_loop = run(server.port, requests=40, rate=400.0, warmup_s=0.2, concurrency=2)
    assert open_loop.tally.done == 40
    assert 60 <= open_loop.tally.warmup <= 80


def test_workers_share_the_work() -> None:
    with echoes(3) as servers:
        ports = [s.port for s in servers]
        report = run(*ports, requests=301, connections=2, concurrency=3, workers=2)
        assert report.tally.done == 301
        assert len(report.saturation.workers) == 2
        assert sum(w.rpcs for w in report.saturation.workers) == 301
        assert max(by_pod(report).values()) - min(by_pod(report).values()) <= 2
        open_loop = run(*ports, duration_s=0.5, rate=600.0, connections=2, workers=3, concurrency=50)
    assert 290 <= open_loop.tally.scheduled <= 303
    assert len(open_loop.tally.channels) == 6


def test_poisson_arrivals_are_as_many_and_not_alike() -> None:
    with echo() as server:
        plan: dict[str, Any] = {"duration_s": 1.0, "rate": 1000.0, "concurrency": 100}
        plan |= {"arrivals": Arrivals.POISSON, "seed": 7}
        first = run(server.port, **plan)
        again = run(server.port, **plan)
    # Within six standard deviations of the mean; and the same seed makes the same number.
    assert 810 < first.tally.scheduled < 1190
    assert first.tally.scheduled == again.tally.scheduled != 1000


def test_a_stalled_server_shows_in_latency_from_the_scheduled_time() -> None:
    with served() as (process, port):

        def stall(progress: LoadProgress) -> None:
            if progress.elapsed_s > 0.2 and not stalled.is_set():
                stalled.set()
                process.send_signal(signal.SIGSTOP)
                threading.Timer(1.0, process.send_signal, [signal.SIGCONT]).start()

        stalled = threading.Event()
        plan = Plan(requests=None, duration_s=2.5, rate=1000.0, connections=2, concurrency=10, deadline_s=10)
        report = bench(Target(f"127.0.0.1:{port}"), plan, addresses=[f"127.0.0.1:{port}"], progress=stall)
    tally = report.tally
    assert (tally.done, tally.scheduled) == (tally.scheduled, 2500)
    # 1,000 RPCs were due in that second: 40 % of all. A client that waits its turn would see 20 slow ones.
    assert tally.latency.percentile(99) > 0.9e9
    assert tally.latency.percentile(75) > 0.1e9
    slow = sum(n for top, n in tally.service.buckets() if top > 0.2e9)
    assert slow < 0.1 * tally.done


def test_the_deadline_ends_what_hangs() -> None:
    with echo(delay=Delay("fixed", 60)) as server:
        report = run(server.port, requests=6, concurrency=3, deadline_s=0.3)
    assert report.tally.statuses == {"DEADLINE_EXCEEDED": 6}
    assert report.end_reason == "target failed"
    assert "DEADLINE_EXCEEDED" in report.evidence.first_error


def test_what_waits_for_a_stream_has_the_same_deadline() -> None:
    with echo(delay=Delay("fixed", 60)) as server:
        report = run(server.port, requests=40, rate=400.0, concurrency=2, deadline_s=0.4)
    assert report.tally.statuses == {"DEADLINE_EXCEEDED": 40}


def test_failures_are_laid_to_the_server_that_says_so() -> None:
    with echo(pod="bad", failure=Failure(0.5, "ABORTED"), seed=3) as bad, echo(pod="good") as good:
        report = run(bad.port, good.port, requests=200, concurrency=4)
    tally = report.tally
    assert tally.statuses["ABORTED"] == tally.failed
    assert 60 < tally.failed + by_pod(report)["bad"] == 100
    blamed = {b.backend.label: b.failed for b in tally.backends.values()}
    assert blamed == {"bad": tally.failed, "good": 0}
    assert report.evidence.first_error == "ABORTED: injected failure"


def test_a_killed_server_costs_what_was_under_way() -> None:
    with served() as (process, port), echo(pod="stays") as stays:
        addresses = [f"127.0.0.1:{port}", f"127.0.0.1:{stays.port}"]
        report = disturbed(*addresses, by=process.kill, lasting_s=0.6, connections=2, concurrency=5)
    tally = report.tally
    # Ten or a few more RPCs had been sent to it, or none where it was ahead of the other one just then; the
    # rest went to the one that stays.
    assert {"OK"} <= set(tally.statuses) <= {"OK", "UNAVAILABLE"}
    assert tally.failed <= 40
    assert report.evidence.first_error
    dead, alive = (b.done for b in sorted(tally.backends.values(), key=lambda b: b.backend.label == "stays"))
    assert alive > dead
    assert report.end_reason == "interrupted"


def test_connections_that_age_cost_no_rpc() -> None:
    with echo(max_connection_age_s=0.2, max_connection_age_grace_s=5) as server:
        report = run(server.port, duration_s=1.0, connections=3, concurrency=4)
    assert report.tally.failed == 0
    assert report.evidence.connections_opened > 3


def test_stream_ids_run_out_without_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    script = (
        "import functools, whichpod.load.conn as conn\n"
        "conn.ClientConnection = functools.partial(conn.ClientConnection, next_id=2**31 - 101)\n"
        "from whichpod.load.worker import main\nmain()\n"
    )
    monkeypatch.setattr("whichpod.load.crew.WORKER", [sys.executable, "-c", script])
    with echo() as server:
        report = run(server.port, requests=300, connections=2, concurrency=8)
    assert report.tally.statuses == {"OK": 300}
    assert report.evidence.connections_opened >= 300 // 51


def test_a_server_that_takes_one_stream_at_a_time() -> None:
    with echo(pod="narrow") as server:
        report = run(server.port, requests=30, concurrency=300)
    assert report.tally.statuses == {"OK": 30}


def test_a_unix_socket(tmp_path: Path) -> None:
    path = tmp_path / "grpc.sock"
    mirror = grpc.unary_unary_rpc_method_handler(lambda request, _context: request)
    handler = grpc.method_handlers_generic_handler(SERVICE, {"Echo": mirror})
    server = grpc.server(futures.ThreadPoolExecutor(2), handlers=[handler])
    server.add_insecure_port(f"unix:{path}")
    server.start()
    try:
        report = run(addresses=[f"unix:{path}"], requests=20, payload_size=10)
    finally:
        server.stop(0).wait()
    assert report.tally.statuses == {"OK": 20}
    assert report.tally.unattributed == 20


def test_nothing_listens() -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with pytest.raises(TargetError, match=r"Nothing listens at 127\.0\.0\.1"):
        run(port, requests=1)


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", "does not speak gRPC"),
        (b"", "does not speak gRPC"),
        (b"\0" * 64, "first frame"),
    ],
)
def test_not_grpc(answer: bytes, message: str) -> None:
    with tcp(answer) as port, pytest.raises(TargetError, match=message):
        run(port, requests=1)


def test_one_address_of_two_is_down() -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with echo() as server:
        report = run(port, server.port, requests=20)
    assert report.tally.statuses == {"OK": 20}
    assert report.evidence.connections_open == 1
    assert "refused" in report.evidence.first_error


def test_stopping_reports_what_there_is() -> None:
    stop = threading.Event()

    def enough(progress: LoadProgress) -> None:
        if progress.done > 20:
            stop.set()

    with echo() as server:
        address = f"127.0.0.1:{server.port}"
        plan = Plan(requests=None, duration_s=60, concurrency=2)
        report = bench(Target(address), plan, addresses=[address], progress=enough, stop=stop)
    assert report.end_reason == "interrupted"
    assert report.tally.done > 20
    assert report.tally.balanced_books


def test_what_hangs_is_in_flight_when_it_is_stopped() -> None:
    stop = threading.Event()
    with echo(delay=Delay("fixed", 60)) as server:
        address = f"127.0.0.1:{server.port}"
        plan = Plan(requests=None, duration_s=60, concurrency=3, deadline_s=60)
        report = bench(Target(address), plan, addresses=[address], progress=lambda _: stop.set(), stop=stop)
    assert (report.tally.in_flight, report.tally.done, report.tally.failed) == (3, 0, 0)


def test_a_worker_that_is_killed_is_reported() -> None:
    killed: list[int] = []
    stop = threading.Event()

    def kill(progress: LoadProgress) -> None:
        if killed:
            stop.set()
        # By then both have told what they did.
        elif progress.elapsed_s > 1.3:
            found = subprocess.run(
                ["pgrep", "-P", str(os.getpid()), "-f", "whichpod.load.worker"],
                capture_output=True,
                text=True,
            ).stdout.split()
            killed.append(int(found[0]))
            os.kill(killed[0], signal.SIGKILL)

    with echo() as server:
        address = f"127.0.0.1:{server.port}"
        plan = Plan(requests=None, duration_s=60, connections=2, concurrency=2, workers=2)
        report = bench(Target(address), plan, addresses=[address], progress=kill, stop=stop)
    assert sorted(w.lost for w in report.saturation.workers) == [False, True]
    assert any("died" in reason for reason in report.saturation.reasons)
    # What it had said before is kept.
    assert all(w.rpcs > 0 for w in report.saturation.workers)
    assert report.tally.balanced_books


def test_workers_end_with_who_started_them() -> None:
    script = (
        "import sys\nfrom tests.load.runs import run\n"
        "run(int(sys.argv[1]), duration_s=60, workers=2, connections=2)\n"
    )
    with echo() as server:
        parent = subprocess.Popen([sys.executable, "-c", script, str(server.port)])
        find = ["pgrep", "-P", str(parent.pid), "-f", "whichpod.load.worker"]
        workers: list[str] = []
        while len(workers) < 2:
            assert parent.poll() is None
            workers = subprocess.run(find, capture_output=True, text=True).stdout.split()
        fds = [os.pidfd_open(int(pid)) for pid in workers]
        parent.kill()
        parent.wait()
        for fd in fds:
            assert select.select([fd], [], [], 30)[0]
            os.close(fd)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_worker_that_still_starts_takes_no_notice_of_ctrl_c(number: signal.Signals) -> None:
    with echo() as server:
        argv = [sys.executable, "-m", "whichpod", "bench", f"127.0.0.1:{server.port}", "-d", "60s"]
        process = subprocess.Popen(
            argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
        )
        find = ["pgrep", "-P", str(process.pid), "-f", "whichpod.load.worker"]
        while not subprocess.run(find, capture_output=True).stdout:
            assert process.poll() is None
        os.killpg(process.pid, number)
        told, said = process.communicate()
    assert process.returncode == 130
    assert "died" not in told
    assert "Traceback" not in said


@pytest.mark.parametrize(
    ("plan", "message"),
    [
        ({"requests": 0}, "--requests 0"),
        ({"requests": 1, "workers": 2}, "--workers 2 share 1 connections"),
        ({"requests": 1, "workers": 0}, "--workers 0"),
        ({"requests": 1, "concurrency": 10**6}, "--streams 1000000"),
        ({"requests": 1, "connections": 10**7}, "connections are more than"),
        ({"requests": 1, "warmup_s": -1}, "--warmup -1"),
        ({"requests": 1, "rate": 0}, "--rate 0"),
        ({"requests": 1, "rate": 1e12}, r"--rate 1e\+12 is more than 1 worker can keep"),
        ({"requests": 1, "metadata": (("grpc-x", "1"),)}, "gRPC's own"),
    ],
)
def test_plans_that_make_no_sense(plan: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        run(1, **plan)


@pytest.mark.parametrize(
    "address", ["localhost:1", "127.0.0.1", "127.0.0.1:0", "::1:50051", "unix:", "[::1]:x"]
)
def test_addresses_that_are_none(address: str) -> None:
    with pytest.raises(UsageError, match="is no address"):
        run(addresses=[address], requests=1)
    with pytest.raises(UsageError, match="no address to load"):
        bench(Target("echo:1"), Plan(), addresses=[])


def test_what_was_due_and_never_sent_is_dropped() -> None:
    stop = threading.Event()

    def enough(progress: LoadProgress) -> None:
        if progress.elapsed_s > 0.3:
            stop.set()

    with echo(delay=Delay("fixed", 60)) as server:
        address = f"127.0.0.1:{server.port}"
        plan = Plan(requests=None, duration_s=60, rate=200.0, concurrency=2, deadline_s=60)
        report = bench(Target(address), plan, addresses=[address], progress=enough, stop=stop)
    tally = report.tally
    assert (tally.in_flight, tally.done, tally.failed) == (2, 0, 0)
    assert tally.dropped == tally.scheduled - 2 > 20
