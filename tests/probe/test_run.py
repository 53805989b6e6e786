"""Probes against real grpcio servers."""

from __future__ import annotations

import signal
import threading
from dataclasses import replace

import pytest

from tests.servers import echo, echoes, served
from whichpod.echo.faults import Delay, Failure
from whichpod.echo.identity import Identity
from whichpod.echo.server import EchoServer
from whichpod.echo.settings import ServerSettings
from whichpod.model.errors import TargetError, UsageError
from whichpod.model.plan import Plan, Stream
from whichpod.model.report import Report
from whichpod.model.target import Target
from whichpod.probe.run import probe

ROUND_ROBIN = {"policy": "round_robin", "warmup": 1}


def listed(servers: list[EchoServer]) -> Target:
    return Target("ipv4:" + ",".join(f"127.0.0.1:{s.port}" for s in servers))


def at(server: EchoServer) -> Target:
    return Target(f"127.0.0.1:{server.port}")


def counts(report: Report) -> dict[str, int]:
    return {b.backend.pod: b.done for b in report.tally.backends.values()}


def test_round_robin_takes_turns() -> None:
    with echoes(5) as servers:
        report = probe(listed(servers), Plan(requests=50, **ROUND_ROBIN))  # type: ignore[arg-type]
    assert counts(report) == {f"echo-{i}": 10 for i in range(5)}
    assert report.tally.balanced_books
    assert report.tally.warmup == 1
    assert report.evidence.policy == "round_robin"
    assert set(report.evidence.remote_peers) == {f"127.0.0.1:{s.port}" for s in servers}
    assert report.evidence.connections_open == 5
    assert report.evidence.server_saw_peers == ("127.0.0.1",)


def test_pick_first_stays_with_one() -> None:
    with echoes(3) as servers:
        report = probe(listed(servers), Plan(requests=20))
    assert list(counts(report).values()) == [20]


@pytest.mark.parametrize("policy", ["weighted_round_robin"])
def test_other_policies_run(policy: str) -> None:
    with echoes(2) as servers:
        assert probe(listed(servers), Plan(requests=10, policy=policy)).tally.done == 10


def test_a_service_config_is_obeyed() -> None:
    config = '{"loadBalancingConfig": [{"round_robin": {}}]}'
    with echoes(2) as servers:
        report = probe(listed(servers), Plan(requests=20, warmup=1, service_config=config))
    assert counts(report) == {"echo-0": 10, "echo-1": 10}


@pytest.mark.parametrize(
    ("config", "policy"),
    [
        ("", "pick_first"),
        (
            '{"loadBalancingConfig": [{"made_up": {}}, {"round_robin": {}}, {"pick_first": {}}]}',
            "round_robin",
        ),
        ('{"loadBalancingPolicy": "ROUND_ROBIN"}', "round_robin"),
    ],
)
def test_the_policy_in_force_is_the_first_that_grpc_knows(config: str, policy: str) -> None:
    with echoes(2) as servers:
        report = probe(listed(servers), Plan(requests=10, warmup=1, service_config=config))
    assert report.evidence.policy == policy
    assert len(counts(report)) == (2 if policy == "round_robin" else 1)


def test_each_channel_has_a_connection_of_its_own_and_they_are_counted() -> None:
    with echo() as server:
        report = probe(at(server), Plan(requests=200, clients=4, connections=5))
    assert report.evidence.connections_open == 20
    assert report.evidence.connections_opened == 20
    assert [sum(c.values()) for c in report.tally.channels.values()] == [10] * 20
    assert len(report.tally.connections) == 20


def test_channels_that_share_a_connection_are_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    from whichpod.probe import channels

    real = channels._options
    monkeypatch.setattr(
        channels, "_options", lambda *a: [o for o in real(*a) if o[0] != "grpc.use_local_subchannel_pool"]
    )
    with echo() as server:
        report = probe(at(server), Plan(requests=50, connections=5))
    assert report.evidence.connections_open == 1


def test_a_new_connection_for_each_request() -> None:
    with echo() as server:
        report = probe(at(server), Plan(requests=12, new_connection_per_request=True))
    assert report.tally.done == 12
    assert len(report.tally.connections) == 12
    assert report.evidence.connections_opened == 12


@pytest.mark.parametrize("kind", list(Stream))
def test_kinds_of_rpc(kind: Stream) -> None:
    messages = 1 if kind is Stream.UNARY else 7
    with echo() as server:
        report = probe(at(server), Plan(requests=6, stream=kind, messages=messages, payload_size=100))
    (backend,) = report.tally.backends.values()
    assert (backend.done, backend.messages) == (6, 6 * messages)


def test_exactly_as_many_are_sent_as_planned_by_many_workers() -> None:
    with echo() as server:
        report = probe(at(server), Plan(requests=333, connections=3, concurrency=7))
    assert report.tally.scheduled == report.tally.done == 333


def test_a_duration_ends_it() -> None:
    with echo() as server:
        report = probe(at(server), Plan(requests=None, duration_s=0.3))
    assert report.tally.done > 0
    assert report.duration_s >= 0.3
    assert report.end_reason == "completed"


def test_open_loop_keeps_its_schedule_and_counts_latency_from_it() -> None:
    # One RPC at a time takes 0.1 s, and one is due every 10 ms: what waits is counted as waiting.
    with echo(delay=Delay("fixed", 0.1), workers=1) as server:
        report = probe(at(server), Plan(requests=10, rate=100.0, deadline_s=30))
    assert report.tally.done == 10
    assert report.tally.latency.maximum > 800_000_000
    assert report.tally.balanced_books


def test_open_loop_shows_a_stall_in_p99() -> None:
    with served() as (process, port):
        stopped = threading.Timer(0.3, lambda: process.send_signal(signal.SIGSTOP))
        goes_on = threading.Timer(1.3, lambda: process.send_signal(signal.SIGCONT))
        for timer in (stopped, goes_on):
            timer.start()
        report = probe(Target(f"127.0.0.1:{port}"), Plan(requests=600, rate=300.0, deadline_s=30))
        goes_on.join()
    assert report.tally.latency.percentile(99) > 500_000_000
    assert report.tally.latency.percentile(1) < 500_000_000


@pytest.mark.parametrize(("seconds", "rate", "due"), [(0.1, 1.0, 1), (0.3, 100.0, 30), (0.25, 10.0, 3)])
def test_open_loop_sends_what_is_due_within_the_time(seconds: float, rate: float, due: int) -> None:
    with echo() as server:
        report = probe(at(server), Plan(requests=None, duration_s=seconds, rate=rate))
    assert report.tally.scheduled == due


def test_open_loop_drops_what_finds_no_room_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("whichpod.probe.pace.OPEN_IN_FLIGHT", 2)
    with echo(delay=Delay("fixed", 0.2)) as server:
        report = probe(at(server), Plan(requests=50, rate=500.0, deadline_s=30))
    assert report.tally.dropped > 30
    assert report.tally.done + report.tally.dropped == 50
    assert report.tally.balanced_books


def test_failures_are_counted_by_status_and_are_no_target_error() -> None:
    with echo(failure=Failure(1.0, "UNAVAILABLE")) as server:
        report = probe(at(server), Plan(requests=10))
    assert report.tally.statuses == {"UNAVAILABLE": 10}
    assert report.end_reason == "target failed"
    assert report.evidence.first_error == "UNAVAILABLE: injected failure"
    (blamed,) = report.tally.backends.values()
    assert (blamed.backend.pod, blamed.failed, blamed.done) == ("echo-0", 10, 0)


def test_who_can_not_be_reached_is_a_result_where_that_is_meant() -> None:
    plan = Plan(requests=5, new_connection_per_request=True)
    target = Target("127.0.0.1:1")
    with pytest.raises(TargetError, match="connection refused"):
        probe(target, plan)
    report = probe(target, replace(plan, may_fail=True))
    assert report.tally.statuses == {"UNAVAILABLE": 5}
    assert (report.tally.done, report.end_reason) == (0, "completed")
    assert "Connection refused" in report.evidence.first_error


def test_a_server_that_fails_first_is_known_in_full_once_it_answers() -> None:
    fields = {"POD_NAME": "echo-0", "POD_IP": "10.0.0.7", "ZONE": "b"}
    settings = ServerSettings(host="127.0.0.1", port=0, failure=Failure(0.5, "INTERNAL"), seed=2)
    server = EchoServer(settings, Identity.from_env(fields))
    server.start()
    report = probe(at(server), Plan(requests=30))
    server.drain(0)
    (backend,) = report.tally.backends.values()
    assert backend.failed > 0
    assert backend.done > 0
    assert (backend.backend.ip, backend.backend.zone) == ("10.0.0.7", "b")


def test_deadlines_are_set() -> None:
    with echo(delay=Delay("uniform", 0.0, 1.0), seed=1) as server:
        report = probe(at(server), Plan(requests=20, connections=20, deadline_s=0.5))
    assert 0 < report.tally.statuses["DEADLINE_EXCEEDED"] < 20


def test_a_server_that_dies_midway_is_reported() -> None:
    with echo() as server:
        stop = threading.Timer(0.2, lambda: server.drain(0))
        stop.start()
        report = probe(at(server), Plan(requests=None, duration_s=1.0))
        stop.join()
    assert report.tally.done > 0
    assert report.tally.failed > 0
    assert report.end_reason == "completed"
    assert "refused" in report.evidence.first_error or report.tally.statuses


@pytest.mark.parametrize(
    ("plan", "said"),
    [
        (Plan(requests=0), "--requests 0"),
        (Plan(policy="nope"), "no policy 'nope'"),
        (Plan(service_config='{"loadBalancingConfig": [{"nope": {}}]}'), "refuses the service config"),
        (Plan(service_config='{"methodConfig": [{"name": [{}], "timeout": "x"}]}'), "Not a duration"),
        (Plan(metadata=(("grpc-x", "1"),)), "gRPC's own"),
        (Plan(metadata=(("Bad Key", "1"),)), "not allowed"),
        (Plan(metadata=(("k", "\x01"),)), "printable"),
        (Plan(metadata=(("k-bin", "?"),)), "base64"),
        (Plan(metadata=(("-bin", "AAE="),)), "not allowed"),
        (Plan(metadata=(("te", "x"),)), "transport's own"),
        (Plan(metadata=(("host", "x"),)), "(?s)transport's own.*--authority"),
        (Plan(service_config='{"loadBalancing": []}'), "no field 'loadBalancing'"),
        (Plan(service_config='{"methodConfig": [{"wait_for_ready": true}]}'), "no field 'wait_for_ready'"),
        (Plan(service_config='{"loadBalancingConfig": "round_robin"}'), "should be array"),
    ],
)
def test_bad_plans_are_refused_before_anything_is_sent(plan: Plan, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        probe(Target("127.0.0.1:1"), plan)


def test_metadata_is_sent() -> None:
    with echo() as server:
        report = probe(at(server), Plan(requests=1, metadata=(("x-tenant", "blue"), ("x-bin", "AAE="))))
    assert report.tally.done == 1


def test_the_environment_is_said() -> None:
    with echo() as server:
        report = probe(at(server), Plan(requests=1))
    assert report.environment.keys() >= {"whichpod", "python", "grpcio", "platform", "cpus"}
    assert report.started_at.endswith("+00:00")
