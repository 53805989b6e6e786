"""What `whichpod bench` is told, done: how much, how fast, what is sent, where to, and who answered."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.certificates import authority, issued, needs_openssl
from tests.cli.bench import ANY, Bench, by_pod, recording
from tests.probe.test_dns_query import answer
from tests.probe.test_dns_query import server as dns
from tests.servers import echo, echoes
from whichpod.echo.faults import Delay
from whichpod.echo.v1 import echo_pb2
from whichpod.model.plan import Arrivals
from whichpod.model.verdict import Balance

pytestmark = pytest.mark.usefixtures("forking")

ECHO = "whichpod.echo.v1.EchoService/Echo"


def test_a_number_of_requests_over_connections_and_workers(bench: Bench) -> None:
    with echo() as server:
        report = bench.report(
            f"127.0.0.1:{server.port}", "-n", "240", "--connections", "4", "--streams", "3", "--workers", "2"
        )
    assert (report.tool, report.tally.done, report.tally.warmup) == ("bench", 240, 0)
    assert sorted(report.tally.channels) == [0, 1, 2, 3]
    assert len(report.saturation.workers) == 2
    assert (report.plan.connections, report.plan.concurrency) == (4, 3)


def test_a_duration_after_a_warm_up(bench: Bench) -> None:
    with echo() as server:
        report = bench.report(f"127.0.0.1:{server.port}", "-d", "400ms", "--warmup", "200ms")
    assert report.plan.duration_s == pytest.approx(0.4)
    assert report.tally.warmup > 0
    assert 0.4 <= report.duration_s < 5
    assert report.tally.done > 0


@pytest.mark.parametrize("arrivals", list(Arrivals))
def test_an_open_loop(bench: Bench, arrivals: Arrivals) -> None:
    with echo() as server:
        report = bench.report(
            f"127.0.0.1:{server.port}", "-n", "100", "--rate", "500", "--arrivals", arrivals, "--seed", "7"
        )
    assert (report.plan.rate, report.plan.arrivals, report.plan.seed) == (500, arrivals, 7)
    assert report.tally.scheduled == 100
    assert report.plan.concurrency == 100


def test_connections_are_five_to_one_address_and_one_to_each_of_several(bench: Bench) -> None:
    with echoes(2) as servers:
        one = bench.report(f"127.0.0.1:{servers[0].port}", "-n", "50")
        both = bench.report(f"ipv4:127.0.0.1:{servers[0].port},127.0.0.1:{servers[1].port}", "-n", "50")
    assert (one.evidence.connections_open, both.evidence.connections_open) == (5, 2)
    assert by_pod(both) == {"echo-0": 25, "echo-1": 25}
    assert both.target.known_count == 2


def test_a_list_of_endpoints_is_balanced_round_robin(bench: Bench) -> None:
    with echoes(3) as servers:
        listed = ",".join(f"localhost:{s.port}" for s in servers)
        report = bench.report("--endpoints", listed, "-n", "300", "--expect", "even")
    assert by_pod(report) == {"echo-0": 100, "echo-1": 100, "echo-2": 100}
    assert report.verdict is not None
    assert (report.verdict.balance, report.verdict.outcome) == (Balance.EVEN, "passed")


def test_every_address_of_a_name_is_used(bench: Bench) -> None:
    with echo(pod="echo-0") as one:
        port = one.port
        both = ["127.0.0.1", "127.0.0.2"]
        with echo(pod="echo-1", host=both[1], port=port), dns(lambda q: answer(q, both)) as at:
            report = bench.report(f"dns://127.0.0.1:{at}/echo.default:{port}", "-n", "400")
    assert by_pod(report) == {"echo-0": 200, "echo-1": 200}
    assert (report.target.known_by, report.target.known_count) == ("resolved", 2)
    assert report.verdict is not None
    assert report.verdict.balance is Balance.EVEN


@pytest.mark.parametrize("target", ["localhost:{}", "dns:///localhost:{}", "dns:localhost:{}"])
def test_localhost_is_one_server_of_whichever_family_answers(bench: Bench, target: str) -> None:
    with echo() as server:
        report = bench.report(target.format(server.port), "-n", "20")
    assert report.tally.done == 20
    assert report.evidence.resolved == (f"127.0.0.1:{server.port}",)
    assert report.target.known_count == 0


def test_a_unix_socket(bench: Bench, tmp_path: Path) -> None:
    with recording(address=f"unix:{tmp_path}/s") as seen:
        report = bench.report(seen.address, "-n", "20", "--method", ANY)
    assert report.tally.done == len(seen.requests) == 20


@pytest.mark.parametrize(
    ("options", "payload"),
    [
        (("--payload", "grüße"), "grüße".encode()),
        (("--payload", "@{file}"), bytes(range(256)) * 300),
        ((), b""),
    ],
)
def test_the_payload_is_any_bytes(
    bench: Bench, tmp_path: Path, options: tuple[str, ...], payload: bytes
) -> None:
    file = tmp_path / "payload"
    file.write_bytes(bytes(range(256)) * 300)
    with recording(echo_pb2.EchoReply(server=echo_pb2.Server(id="a-1", pod="a")).SerializeToString()) as seen:
        report = bench.report(seen.address, "-n", "12", *(o.format(file=file) for o in options))
    assert {echo_pb2.EchoRequest.FromString(one).payload for one in seen.requests} == {payload}
    assert (len(seen.requests), by_pod(report)) == (12, {"a": 12})
    assert report.plan.payload_size == len(payload)


def test_random_bytes_of_a_size_are_those_of_the_seed(bench: Bench) -> None:
    sent = []
    for seed in ("1", "1", "2"):
        with recording() as seen:
            bench.report(seen.address, "-n", "5", "--payload-size", "100", "--seed", seed)
        (one,) = set(seen.requests)
        sent.append(echo_pb2.EchoRequest.FromString(one).payload)
    assert sent[0] == sent[1] != sent[2]
    assert len(sent[0]) == 100


def test_metadata_authority_and_deadline_arrive(bench: Bench) -> None:
    with recording() as seen:
        bench.report(
            seen.address, "-n", "5", "--method", ANY, "-H", "x-tenant: blue", "-H", "trace-bin=AAEC",
            "--authority", "echo.example", "--deadline", "7s",
        )  # fmt: skip
    assert set(seen.authorities) == {"echo.example"}
    assert all(one["x-tenant"] == "blue" and one["trace-bin"] == b"\x00\x01\x02" for one in seen.metadata)


def test_the_deadline_fails_what_takes_longer(bench: Bench) -> None:
    with echo(delay=Delay("fixed", 30)) as server:
        ran = bench(
            f"127.0.0.1:{server.port}", "-n", "5", "--deadline", "100ms", "--fail-if", "errors>50%", "--json"
        )
    assert ran.code == 1
    assert ran.report.tally.statuses == {"DEADLINE_EXCEEDED": 5}
    assert [t.measured for t in ran.report.thresholds] == ["5 of 5 (100 %)"]


def test_a_method_takes_json_through_reflection(bench: Bench, tmp_path: Path) -> None:
    file = tmp_path / "request.json"
    file.write_text('{"payload": "YWI="}')
    with echoes(1) as servers:
        report = bench.report(
            f"127.0.0.1:{servers[0].port}", "-n", "30", "--method", f"/{ECHO}", "--data", f"@{file}",
            "--identify", "field:server.pod",
        )  # fmt: skip
    assert by_pod(report) == {"echo-0": 30}
    assert report.plan.method == ECHO


@pytest.mark.parametrize("identify", ["", "field:server.pod", "field:1.2", "peer"])
def test_a_method_with_bytes_of_its_own(bench: Bench, tmp_path: Path, identify: str) -> None:
    file = tmp_path / "request.bin"
    file.write_bytes(b"\x0a\x02ab")
    told = ("--identify", identify) if identify else ()
    with echo() as server:
        at = f"127.0.0.1:{server.port}"
        report = bench.report(at, "-n", "30", "--method", ECHO, "--data-binary", f"@{file}", *told)
    assert by_pod(report) == {at if identify == "peer" else "echo-0": 30}


def test_bytes_need_no_reflection_and_arrive_as_they_are(bench: Bench, tmp_path: Path) -> None:
    file = tmp_path / "request.bin"
    file.write_bytes(b"\xff\x00any")
    with recording() as seen:
        report = bench.report(
            seen.address, "-n", "10", "--method", ANY, "--data-binary", f"@{file}", "--identify",
            "header:X-Pod",
        )  # fmt: skip
    assert set(seen.requests) == {b"\xff\x00any"}
    assert by_pod(report) == {"any-0": 10}


def test_json_without_reflection_fails_before_anything_is_sent(bench: Bench) -> None:
    with recording() as seen:
        ran = bench(seen.address, "-n", "5", "--method", ANY, "--data", '{"id": 1}')
    assert (ran.code, seen.requests) == (4, [])
    assert "has no server reflection" in ran.err


def test_who_should_answer_can_be_said(bench: Bench) -> None:
    with echo() as server:
        at = f"127.0.0.1:{server.port}"
        number = bench(at, "-n", "50", "--backends", "3", "--expect", "even", "--json")
        names = bench(at, "-n", "50", "--backends", "echo-0,echo-1", "--fail-if", "backend.done<1", "--json")
    assert (number.code, names.code) == (1, 1)
    assert number.report.verdict is not None
    assert number.report.verdict.spread.known == 3
    assert names.report.thresholds[0].measured == "echo-1: nothing"


@needs_openssl
def test_tls_and_mutual_tls(bench: Bench, tmp_path: Path) -> None:
    ca = authority(tmp_path)
    mine, theirs = issued(tmp_path, ca, "server"), issued(tmp_path, ca, "client")
    with echo(tls_cert=mine.cert, tls_key=mine.key, tls_client_ca=ca.cert) as server:
        at = f"localhost:{server.port}"
        report = bench.report(at, "-n", "20", "--ca", ca.cert, "--cert", theirs.cert, "--key", theirs.key)
        without = bench(at, "-n", "20", "--ca", ca.cert)
    assert by_pod(report) == {"echo-0": 20}
    assert without.code == 4
    assert len(without.err.strip().splitlines()) <= 2


@needs_openssl
def test_the_name_in_the_certificate_can_be_said(bench: Bench, tmp_path: Path) -> None:
    ca = authority(tmp_path)
    mine = issued(tmp_path, ca, "server")
    with echo(tls_cert=mine.cert, tls_key=mine.key, host="127.0.0.3") as server:
        at = f"127.0.0.3:{server.port}"
        wrong = bench(at, "-n", "20", "--ca", ca.cert)
        right = bench.report(at, "-n", "20", "--ca", ca.cert, "--server-name", "localhost")
    assert (wrong.code, right.tally.done) == (4, 20)
