from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.judge.made import backend, pods, tally_of
from whichpod.judge import judge
from whichpod.judge.names import host, is_address, is_loopback
from whichpod.model.plan import Plan
from whichpod.model.tally import Tally
from whichpod.model.target import Backend, Learnt, Target
from whichpod.model.verdict import Verdict

PORTS = tuple(f"127.0.0.1:{50051 + i}" for i in range(5))


def judged(tally: Tally, *known: str, by: Learnt = "given", count: int = 0) -> Verdict:
    return judge(tally, Target("x", known=known, known_count=count, known_by=by), Plan(), None)


def test_silent_servers_show_by_the_name_that_is_known() -> None:
    found = judged(tally_of([[0, 30]]), "echo-0", "echo-1", "10.0.0.9:50051")
    assert found.counts == {"echo-1": 30, "echo-0": 0, "10.0.0.9:50051": 0}
    assert found.known_by == "given"


def test_addresses_match_pods_by_ip() -> None:
    found = judged(tally_of([[10, 20]]), "10.0.0.0:50051", "10.0.0.1:50051", "10.0.0.2:50051", by="resolved")
    assert found.counts == {"echo-0": 10, "echo-1": 20, "10.0.0.2:50051": 0}


def test_servers_on_ports_of_one_host_take_an_address_each() -> None:
    local = {i: Backend(f"host-{i}", ip="127.0.0.1") for i in range(5)}
    assert judged(tally_of([[10] * 5], backends=local), *PORTS).spread.known == 5
    found = judged(tally_of([[10] * 3], backends=local), *PORTS)
    # Which of the addresses is silent can't be told, so none is accused.
    assert found.counts == {"host-0": 10, "host-1": 10, "host-2": 10, "unseen 1": 0, "unseen 2": 0}


def test_servers_without_address_are_taken_for_the_known_ones() -> None:
    local = {i: Backend(f"host-{i}") for i in range(5)}
    found = judged(tally_of([[10] * 2], backends=local), *PORTS)
    assert (found.spread.known, found.spread.hit) == (5, 2)
    resolved = judged(tally_of([[10] * 2], backends=local), *PORTS, by="resolved")
    assert any("it is assumed" in r for r in resolved.reasons)


def test_a_peers_own_address_is_its_name() -> None:
    peers = {i: Backend(PORTS[i], ip="127.0.0.1", learnt="peer") for i in range(5)}
    found = judged(tally_of([[0, 0, 10]], backends=peers), *PORTS)
    assert found.counts == {PORTS[2]: 10} | {p: 0 for p in PORTS if p != PORTS[2]}


def test_a_proxys_addresses_are_not_the_servers() -> None:
    found = judged(tally_of([[10] * 5]), "10.9.9.1:443", "10.9.9.2:443", by="resolved")
    assert (found.spread.known, found.known_by) == (5, None)
    assert any("something stands between" in r for r in found.reasons)
    given_ones = judged(tally_of([[10] * 5]), "10.9.9.1:443", "10.9.9.2:443")
    assert given_ones.spread.known == 7
    listed = Target("ipv4:10.9.9.1:443", known=("10.9.9.1:443",), known_count=1, known_by="given")
    assert judge(tally_of([[10] * 5]), listed, Plan(), None).spread.known == 5


def test_those_that_nobody_knew_are_added() -> None:
    found = judge(tally_of([[10] * 3]), pods(2), Plan(), None)
    assert found.spread.known == 3
    assert any("added: echo-2" in r for r in found.reasons)


def test_a_restarted_pod_counts_once() -> None:
    tally = tally_of([[20, 20]])
    tally.merge(tally_of([[10]], backends={0: backend(0, id="echo-0-99")}))
    found = judge(tally, pods(2), Plan(), None)
    assert found.counts == {"echo-0": 30, "echo-1": 20}


def test_two_names_of_one_server_are_one_server() -> None:
    found = judged(tally_of([[20]]), "echo-0", "10.0.0.0", "echo-1")
    assert found.counts == {"echo-0": 20, "echo-1": 0}


def test_only_a_number() -> None:
    assert judged(tally_of([[10]]), count=3).counts == {"echo-0": 10, "unseen 1": 0, "unseen 2": 0}
    more = judged(tally_of([[10] * 4]), count=3)
    assert more.spread.known == 4
    assert any("4 servers answered, more than the 3 expected" in r for r in more.reasons)


def test_names_and_a_larger_number() -> None:
    found = judged(tally_of([[10]]), "echo-0", "echo-1", count=4)
    assert found.counts == {"echo-0": 10, "echo-1": 0, "unseen 2": 0, "unseen 3": 0}


def test_ipv6() -> None:
    made = {0: Backend("a", ip="::1"), 1: Backend("b", ip="fd00::2")}
    found = judged(tally_of([[10, 10]], backends=made), "[::1]:50051", "[fd00::2]:50051", "[fd00::3]:50051")
    assert found.counts == {"a": 10, "b": 10, "[fd00::3]:50051": 0}


@given(st.integers(1, 12), st.integers(1, 12))
def test_never_fewer_than_known_or_answered(known: int, answered: int) -> None:
    found = judge(tally_of([[5] * answered]), pods(known), Plan(), None)
    assert found.spread.known == max(known, answered)
    assert found.spread.hit == answered


@pytest.mark.parametrize(
    ("name", "of"),
    [
        ("a:1", "a"),
        ("[::1]:1", "::1"),
        ("::1", "::1"),
        ("fd00::2:5", "fd00::2:5"),
        ("echo-0", "echo-0"),
        ("", ""),
    ],
)
def test_host(name: str, of: str) -> None:
    assert host(name) == of


def test_addresses_and_loopback() -> None:
    assert [is_address(x) for x in ("a:1", "10.0.0.1", "::1", "echo-0", "", "a:b")] == [
        True, True, True, False, False, False,
    ]  # fmt: skip
    assert is_loopback("127.0.0.6")
    assert is_loopback("[::1]:99")
    assert not is_loopback("10.0.0.1:99")
    assert not is_loopback("localhost")
