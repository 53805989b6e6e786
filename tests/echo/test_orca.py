"""Load reports: their form, what they are measured from, and what clients make of them."""

from __future__ import annotations

import contextlib
import json
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import fields

import grpc
import pytest
from hypothesis import given
from hypothesis import strategies as st
from xds.data.orca.v3.orca_load_report_pb2 import OrcaLoadReport

from tests.echo.client import ASK, REPLY, SEND
from tests.echo.engines import Serve, fast
from tests.echo.frames import Client, connect
from tests.wire import bytes as wire
from whichpod.echo import names
from whichpod.echo.faults import Delay, Failure, Faults
from whichpod.echo.orca import FRESH_NS, SLOT_NS, SLOTS, TRAILER, Load, LoadReport, parse_reports
from whichpod.echo.v1 import echo_pb2
from whichpod.model.errors import UsageError
from whichpod.wire.status import decode_binary

S = 1_000_000_000
FIELDS = {
    "utilization": "application_utilization", "qps": "rps_fractional", "eps": "eps",
    "cpu": "cpu_utilization", "mem": "mem_utilization",
}  # fmt: skip
LOAD = st.floats(0, 1e12)


@given(st.builds(LoadReport, LOAD, LOAD, LOAD, LOAD, LOAD))
def test_reports_are_read_by_the_type_that_clients_have(report: LoadReport) -> None:
    read = OrcaLoadReport.FromString(report.encode())
    assert {name: getattr(read, theirs) for name, theirs in FIELDS.items()} == {
        field.name: getattr(report, field.name) for field in fields(report)
    }


def test_a_report_of_nothing_is_empty() -> None:
    assert LoadReport().encode() == OrcaLoadReport().SerializeToString() == b""


@pytest.mark.parametrize(
    ("text", "reports"),
    [
        ("off", "off"),
        (" auto ", "auto"),
        ("utilization=0.5,qps=100", LoadReport(0.5, 100)),
        ("cpu = 1.5 , mem=1, eps=0", LoadReport(cpu=1.5, mem=1)),
    ],
)
def test_what_is_to_be_reported_is_read(text: str, reports: object) -> None:
    assert parse_reports(text) == reports


@pytest.mark.parametrize(
    "text",
    ["", "on", "qps", "qps=", "qps=x", "qps=-1", "qps=nan", "qps=inf", "mem=1.1", "rps=1", "qps=1,qps=2"],
)
def test_what_is_no_report_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="--load-reports") as refused:
        parse_reports(text)
    assert "auto" in refused.value.fix


@given(st.text("utilizaonqpsemc=,.0123456789 -+"))
def test_any_text_is_reports_or_a_usage_error(text: str) -> None:
    with contextlib.suppress(UsageError):
        parse_reports(text)


class Clock:
    def __init__(self) -> None:
        self.now = 17 * S

    def __call__(self) -> int:
        return self.now


def measured(load: Load, clock: Clock) -> LoadReport:
    clock.now += FRESH_NS
    read = OrcaLoadReport.FromString(load.report())
    return LoadReport(**{name: getattr(read, theirs) for name, theirs in FIELDS.items()})


def test_rpcs_one_after_another() -> None:
    clock = Clock()
    load = Load(4, clock)
    for number in range(60):
        rpc = load.begin()
        clock.now += S // 20
        load.end(rpc, failed=number % 4 == 0)
    report = measured(load, clock)
    assert report.qps == pytest.approx(20, rel=0.1)
    assert report.eps == pytest.approx(5, rel=0.25)
    assert report.utilization == pytest.approx(1 / 4, rel=0.05)


def test_those_that_take_long_count_while_they_run() -> None:
    clock = Clock()
    load = Load(10, clock)
    rpcs = [load.begin() for _ in range(5)]
    clock.now += 60 * S
    report = measured(load, clock)
    assert report.utilization == pytest.approx(0.5)
    assert report.qps == 0
    for rpc in rpcs:
        load.end(rpc)
    assert measured(load, clock).qps == pytest.approx(5, rel=0.2)


def test_what_was_is_forgotten() -> None:
    clock = Clock()
    load = Load(1, clock)
    rpc = load.begin()
    clock.now += S
    load.end(rpc)
    clock.now += (SLOTS + 1) * SLOT_NS
    assert measured(load, clock) == LoadReport()


def test_an_rpc_ends_once_and_may_have_begun_before() -> None:
    clock = Clock()
    load = Load(1, clock)
    clock.now += S // 2
    rpc = load.begin(clock.now - S // 4)
    load.end(rpc)
    load.end(rpc, failed=True)
    load.end(None)
    report = measured(load, clock)
    assert report.utilization == pytest.approx(0.5, rel=0.05)
    assert report.qps == pytest.approx(2, rel=0.05)
    assert report.eps == 0


@given(st.lists(st.tuples(st.integers(0, 3 * S), st.booleans()), max_size=60))
def test_no_more_is_in_flight_than_was_begun(steps: list[tuple[int, bool]]) -> None:
    clock = Clock()
    load = Load(1, clock)
    rpcs: list[object] = []
    most = 0
    for ns, begins in steps:
        clock.now += ns
        if begins:
            rpcs.append(load.begin())
        elif rpcs:
            load.end(rpcs.pop(0))
        most = max(most, len(rpcs))
        report = measured(load, clock)
        assert 0 <= report.utilization <= most * (1 + 1e-9)
        assert report.qps >= 0
    clock.now += 2 * S
    assert measured(load, clock).utilization == pytest.approx(len(rpcs))


def reported(client: Client) -> OrcaLoadReport | None:
    """What comes with an echo. grpcio's client keeps it to itself."""
    found = client.call().fields.get(TRAILER)
    return None if found is None else OrcaLoadReport.FromString(decode_binary(found.encode()) or b"")


def test_without_them_there_are_none(echo: Serve) -> None:
    with echo() as server, connect(server.port) as client:
        assert reported(client) is None


@pytest.mark.parametrize("failure", [Failure(), Failure(1.0), Failure(1.0, how="after-headers")])
def test_numbers_that_are_always_the_same(failure: Failure, echo: Serve) -> None:
    said = LoadReport(0.5, 100, cpu=0.25)
    with echo(load_reports=said, failure=failure) as server, connect(server.port) as client:
        for _ in range(3):
            assert reported(client) == OrcaLoadReport.FromString(said.encode())


def test_a_server_that_is_measured_says_what_it_does(echo: Serve) -> None:
    with echo(load_reports="auto", workers=2) as server, connect(server.port) as client:
        report = reported(client)
        assert report is not None
        assert report.rps_fractional > 0
        assert 0 < report.application_utilization <= 1.05
        assert report.eps == 0
        server.inject(lambda _: Faults(failure=Failure(1.0)))
        while not (report := reported(client)) or not report.eps:
            pass
        assert report.eps <= report.rps_fractional


def test_rpcs_in_flight_are_part_of_it_and_cancelled_ones_are_not(echo: Serve) -> None:
    with echo(load_reports="auto", workers=8) as server, connect(server.port) as client:

        def utilization() -> float:
            report = reported(client)
            assert report is not None
            return float(report.application_utilization)

        streams = [client.send(names.BIDI_STREAM, end=False) for _ in range(4)]
        # They are half of what the server can do, and the echoes an eighth at most.
        while utilization() < 1 / 4:
            pass
        client.raw(*(wire.rst(stream) for stream in streams))
        while utilization() > 1 / 4:
            pass


@pytest.mark.parametrize("path", [names.SERVER_STREAM, names.CLIENT_STREAM, names.BIDI_STREAM])
def test_streams_have_reports_too(path: str, echo: Serve) -> None:
    asked = ASK(echo_pb2.ServerStreamRequest(messages=3)) if path == names.SERVER_STREAM else b""
    with echo(load_reports="auto") as server, connect(server.port) as client:
        answer = client.call(path, asked)
        assert answer.status == 0
        assert TRAILER in answer.fields


def test_each_pod_has_a_load_of_its_own() -> None:
    with fast(load_reports="auto", pods=2, pod="echo") as server, ExitStack() as stack:
        one, other = (stack.enter_context(connect(place.port)) for place in server.pods)
        server.inject(lambda pod: Faults(failure=Failure(1.0 if pod == "echo-0" else 0.0)))
        reports = [reported(client) for client in (one, other)]
        assert [bool(report and report.eps) for report in reports] == [True, False]


def last_hundred(ports: list[int], hundreds: int) -> Counter[str]:
    """Who answers the last of so many hundred RPCs; sooner, when fewer than five are the first server's."""
    config = {
        "loadBalancingConfig": [
            {"weighted_round_robin": {"blackoutPeriod": "0.1s", "weightUpdatePeriod": "0.1s"}},
        ]
    }  # fmt: skip
    options = [("grpc.service_config", json.dumps(config)), ("grpc.use_local_subchannel_pool", 1)]
    target = "ipv4:" + ",".join(f"127.0.0.1:{port}" for port in ports)
    with grpc.insecure_channel(target, options=options) as channel, ThreadPoolExecutor(10) as workers:
        call = channel.unary_unary(names.ECHO, SEND, REPLY)

        def one(_: int) -> str:
            reply: echo_pb2.EchoReply = call(echo_pb2.EchoRequest(), timeout=60, wait_for_ready=True)
            return reply.server.pod

        for _ in range(hundreds):
            found = Counter(workers.map(one, range(100)))
            if found["echo-0"] < 5:
                break
        return found


def test_clients_that_weigh_spare_a_slow_server(echo: Serve) -> None:
    with ExitStack() as stack:
        delays = [Delay("fixed", seconds) for seconds in (0.1, 0.001, 0.001, 0.001, 0.001)]
        servers = [
            stack.enter_context(echo(pod=f"echo-{i}", load_reports="auto", delay=delay))
            for i, delay in enumerate(delays)
        ]
        found = last_hundred([server.port for server in servers], 50)
    assert found["echo-0"] < 5
    assert len(found.keys() - {"echo-0"}) == 4


def test_without_reports_they_have_nothing_to_weigh_by() -> None:
    """It is the reports that spare the slow one."""
    with fast(pods=5, pod="echo") as server:
        slow = Faults(Delay("fixed", 0.01))
        server.inject(lambda pod: slow if pod == "echo-0" else Faults())
        found = last_hundred([place.port for place in server.pods], 10)
    assert found["echo-0"] == pytest.approx(20, abs=5)
