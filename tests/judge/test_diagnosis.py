from __future__ import annotations

from typing import Any

import pytest

from tests.judge.made import BIDI, backend, expected, pods, report, tally_of
from whichpod.judge import diagnose, judged
from whichpod.model.plan import Plan
from whichpod.model.report import Report
from whichpod.model.tally import Tally
from whichpod.model.target import Backend, Target
from whichpod.model.verdict import Diagnosis

VIP = "10.96.0.7:50051"
PODS = tuple(f"10.0.0.{i}:50051" for i in range(5))
ALL_ON_ONE = [[0, 50]]
ONE_CONNECTION: dict[str, Any] = {"connections_open": 1, "connections_opened": 1, "remote_peers": (VIP,)}
PINNED = [[10, 0], [0, 10], [10, 0], [10, 0], [0, 10]]


def cause(
    tally: Tally, plan: Plan | None = None, target: Target | None = None, **evidence: Any
) -> Diagnosis | None:
    return judged(report(tally, target or pods(5), plan, **evidence), None).diagnosis


def code(tally: Tally, plan: Plan | None = None, target: Target | None = None, **evidence: Any) -> str | None:
    found = cause(tally, plan, target, **evidence)
    if found is None:
        return None
    assert found.cause.endswith(".")
    assert found.fix.endswith((".", "…"))
    assert found.evidence
    assert all(line and not line.endswith(".") for line in found.evidence)
    return found.code


def test_one_connection_to_a_cluster_ip() -> None:
    found = cause(tally_of(ALL_ON_ONE), **ONE_CONNECTION)
    assert found is not None
    assert found.code == "l4-connection"
    assert found.evidence == (
        "1 TCP connection open for 1 channel",
        "1 of 5 servers answered",
        f"the client has one address, {VIP}, not the server's own",
    )


def test_round_robin_over_one_address() -> None:
    evidence = ONE_CONNECTION | {"policy": "round_robin"}
    assert code(tally_of(ALL_ON_ONE), **evidence) == "one-address"
    found = cause(tally_of(ALL_ON_ONE), **evidence)
    assert found is not None
    assert "round_robin has one address" in found.cause


def test_the_servers_own_address() -> None:
    evidence = ONE_CONNECTION | {"remote_peers": (PODS[1],)}
    found = cause(tally_of(ALL_ON_ONE), **evidence)
    assert found is not None
    assert found.code == "one-address"
    assert "the server's own" in found.cause


def test_pick_first_over_several_addresses() -> None:
    evidence: dict[str, Any] = {"connections_open": 1, "resolved": PODS, "remote_peers": (PODS[1],)}
    assert code(tally_of(ALL_ON_ONE), **evidence) == "pick-first"
    assert code(tally_of(PINNED), Plan(connections=5), **evidence | {"connections_open": 5}) == "pick-first"
    assert code(tally_of(ALL_ON_ONE), **evidence | {"policy": "round_robin"}) != "pick-first"


def test_shared_connection() -> None:
    tally = tally_of([[0, 10]] * 5)
    assert code(tally, Plan(connections=5), **ONE_CONNECTION) == "shared-connection"
    found = cause(tally, Plan(connections=5), **ONE_CONNECTION)
    assert found is not None
    assert "1 TCP connection open for 5 channels" in found.evidence
    assert code(tally, Plan(connections=5), **ONE_CONNECTION | {"connections_open": 5}) == "affinity"


def test_affinity_only_beyond_chance() -> None:
    evidence: dict[str, Any] = {"connections_open": 2, "connections_opened": 2, "remote_peers": (VIP,)}
    assert code(tally_of([[0, 25]] * 2), Plan(connections=2), **evidence) == "connections-random"
    six = evidence | {"connections_open": 6, "connections_opened": 6}
    assert code(tally_of([[0, 10]] * 6), Plan(connections=6), **six) == "affinity"


def test_random_per_connection() -> None:
    evidence: dict[str, Any] = {"connections_open": 5, "connections_opened": 5, "remote_peers": (VIP,)}
    found = cause(tally_of(PINNED), Plan(connections=5), **evidence)
    assert found is not None
    assert found.code == "connections-random"
    assert "channels per server: echo-0 3, echo-1 2" in found.evidence
    assert "5 random choices reach 3.4 of 5 servers on average" in found.evidence


def test_churn() -> None:
    tally = tally_of([[20, 20, 10]])
    evidence: dict[str, Any] = {"connections_open": 1, "connections_opened": 7, "remote_peers": (VIP,)}
    assert code(tally, **evidence) == "connection-churn"
    assert code(tally, Plan(new_connection_per_request=True), **evidence) != "connection-churn"


def test_port_forward() -> None:
    peers: dict[str, Any] = {
        "connections_open": 1,
        "remote_peers": ("127.0.0.1:8080",),
        "server_saw_peers": ("127.0.0.1",),
    }
    assert code(tally_of(ALL_ON_ONE), **peers) == "port-forward"
    assert code(tally_of([[50]]), target=Target("localhost:8080"), **peers) == "port-forward"


def test_a_loopback_peer_on_one_machine_is_no_port_forward() -> None:
    evidence: dict[str, Any] = {
        "connections_open": 1,
        "remote_peers": ("127.0.0.9:1",),
        "server_saw_peers": ("127.0.0.1",),
    }
    for ip in ("127.0.0.2", "127.1.0.1", ""):
        local = tally_of(ALL_ON_ONE, backends={1: backend(1, ip=ip)})
        assert code(local, **evidence) != "port-forward"
    assert code(tally_of(ALL_ON_ONE), **evidence | {"server_saw_peers": ("127.0.0.6",)}) == "mesh-tcp"
    assert code(tally_of(ALL_ON_ONE), **evidence | {"server_saw_peers": ("10.0.0.77",)}) == "l4-connection"


def test_tcp_port_in_the_mesh() -> None:
    evidence = ONE_CONNECTION | {"server_saw_peers": ("127.0.0.6",)}
    assert code(tally_of(ALL_ON_ONE), **evidence) == "mesh-tcp"
    assert code(tally_of([[40, 3, 3, 2, 2]]), **evidence) != "mesh-tcp"


def test_a_stream_stays() -> None:
    assert code(tally_of([[0, 1]], messages=50), BIDI, **ONE_CONNECTION) == "stream-pinned"
    assert code(tally_of([[0, 50]], messages=5), BIDI, **ONE_CONNECTION) == "l4-connection"


def test_a_slow_server_gets_less() -> None:
    tally = tally_of([[100, 100, 100, 100, 20]], took_ns={4: 100_000_000})
    found = cause(tally, connections_open=1, remote_peers=(VIP,))
    assert found is not None
    assert found.code == "slow-backend"
    assert "median latency 100 ms, of the others 1 ms, 100 times as long" in found.evidence
    level = tally_of([[100, 100, 100, 100, 20]])
    assert code(level, connections_open=1, remote_peers=(VIP,)) == "uneven-weights"


def test_addresses_that_the_client_does_not_have() -> None:
    evidence: dict[str, Any] = {"connections_open": 3, "connections_opened": 3, "policy": "round_robin"}
    tally = tally_of([[17, 17, 16]])
    assert code(tally, **evidence, resolved=PODS[:3]) == "missing-addresses"
    assert code(tally, **evidence, resolved=PODS) is None


def test_failing_server() -> None:
    tally = tally_of([[10, 10, 10, 10]], failed={4: 10})
    found = cause(tally, first_error="UNAVAILABLE: injected")
    assert found is not None
    assert found.code == "failing-backend"
    assert found.cause == "echo-4 fails RPCs."
    assert "first error: UNAVAILABLE: injected" in found.evidence


def test_failures_without_a_server() -> None:
    tally = tally_of([[10, 10, 10, 10]], failed={None: 10})
    found = cause(tally)
    assert found is not None
    assert found.code == "failed-rpcs"
    assert "10 of 50 RPCs failed (UNAVAILABLE 10)" in found.evidence
    assert "servers with nothing: echo-4" in found.evidence
    spread_out = tally_of([[10] * 5], failed=dict.fromkeys(range(5), 1))
    assert code(spread_out) == "failed-rpcs"


def test_a_rare_failure_does_not_hide_the_spread() -> None:
    tally = tally_of([[0, 99]], failed={None: 1})
    assert code(tally, **ONE_CONNECTION) == "l4-connection"


@pytest.mark.parametrize(
    "channels", [[[10] * 5], [[13, 9, 5, 11, 12]], [[1]], [[2, 2, 1, 0, 0]], [[]]], ids=str
)
def test_nothing_to_explain(channels: list[list[int]]) -> None:
    assert code(tally_of(channels), **ONE_CONNECTION) is None


def test_a_single_known_server_needs_no_cause() -> None:
    assert code(tally_of([[50]]), target=pods(1), **ONE_CONNECTION) is None


def test_proxyless_is_not_judged_by_addresses() -> None:
    target = Target("xds:///echo", known=tuple(f"echo-{i}" for i in range(5)), known_by="lab")
    evidence: dict[str, Any] = {"connections_open": 1, "remote_peers": (PODS[1],), "policy": "xds"}
    assert code(tally_of(ALL_ON_ONE), target=target, **evidence) != "one-address"


def test_grpcs_peer_names_are_read() -> None:
    evidence: dict[str, Any] = {
        "connections_open": 1,
        "remote_peers": ("ipv6:%5Bfd00::1%5D:50051",),
        "server_saw_peers": ("ipv6:[::1]:4242",),
    }
    there = {1: Backend("a", pod="echo-1", ip="fd00::9")}
    assert code(tally_of(ALL_ON_ONE, backends=there), **evidence) == "port-forward"


def test_without_a_verdict_there_is_no_diagnosis() -> None:
    assert diagnose(report(tally_of(ALL_ON_ONE), pods(5))) is None


def test_judged_fills_the_report_in_and_it_survives_json() -> None:
    made = report(tally_of(ALL_ON_ONE), pods(5), **ONE_CONNECTION)
    made.end_reason = "interrupted"
    assert judged(made, expected("even")) is made
    assert made.verdict is not None
    assert made.verdict.outcome == "failed"
    assert any("interrupted" in r for r in made.verdict.reasons)
    again = Report.from_text(made.to_text())
    assert again.verdict == made.verdict
    assert again.diagnosis == made.diagnosis
