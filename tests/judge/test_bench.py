"""Load runs, judged: their channels are TCP connections, and the client itself may take turns."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from tests.judge.made import backend, expected, large, pods, report, tally_of
from whichpod.judge import judged
from whichpod.model.plan import Plan
from whichpod.model.report import Report, Saturation
from whichpod.model.tally import Tally
from whichpod.model.target import Target
from whichpod.model.verdict import Balance

ADDRESSES = tuple(f"10.0.0.{i}:50051" for i in range(3))


def bench(
    tally: Tally, target: Target, expect: str | None = None, *, plan: Plan | None = None, **evidence: Any
) -> Report:
    made = report(tally, target, plan, **evidence)
    made.tool = "bench"
    return judged(made, expected(expect))


def own(counts: Sequence[Sequence[int]], expect: str | None = None, **evidence: Any) -> Report:
    """A run that took turns over three addresses, a connection to each."""
    target = Target("dns:///echo:50051", known=ADDRESSES, known_count=3, known_by="resolved")
    return bench(tally_of(counts), target, expect, resolved=ADDRESSES, policy="round_robin", **evidence)


def test_a_client_that_takes_turns_is_not_taken_for_a_choice_per_connection() -> None:
    made = own([[40, 0, 0], [0, 40, 0], [0, 0, 40]], "even")
    assert made.verdict is not None
    assert (made.verdict.outcome, made.verdict.reasons) == ("passed", ())
    assert made.diagnosis is None


def test_through_one_address_the_choice_is_per_connection_and_called_so() -> None:
    counts = [[0] * 5 for _ in range(5)]
    for connection, server in enumerate((0, 0, 1, 1, 2)):
        counts[connection][server] = 40
    made = bench(tally_of(counts), pods(5), "even", resolved=("10.1.0.1:50051",), connections_open=5)
    assert made.verdict is not None
    assert made.verdict.outcome == "failed"
    assert made.diagnosis is not None
    assert made.diagnosis.code == "connections-random"
    assert "connections per server: echo-0 2, echo-1 2, echo-2 1" in made.diagnosis.evidence
    assert "5 TCP connections open" in made.diagnosis.evidence
    assert "channel" not in " ".join((*made.verdict.reasons, *made.diagnosis.evidence))


def test_all_connections_at_one_server_is_affinity() -> None:
    made = bench(tally_of([[40, 0, 0, 0, 0]] * 5), pods(5), resolved=("10.1.0.1:50051",), connections_open=5)
    assert made.diagnosis is not None
    assert made.diagnosis.code == "affinity"


def test_pinned_speaks_of_connections() -> None:
    made = own([[40, 0, 0], [0, 40, 0], [0, 0, 40]], "pinned=4")
    assert made.verdict is not None
    assert made.verdict.reasons[0] == "3 of 4 connections were used."


def test_an_address_that_nobody_listens_at_is_named() -> None:
    made = own([[60, 0, 0], [0, 60, 0]], first_error="10.0.0.2:50051: connection refused")
    assert made.verdict is not None
    assert made.verdict.balance is Balance.PARTIAL
    assert made.diagnosis is not None
    assert made.diagnosis.code == "unreachable-address"
    assert made.diagnosis.cause.startswith("10.0.0.2:50051 could not be connected to")


def test_fewer_addresses_than_servers() -> None:
    target = Target("echo:50051", known_count=5, known_by="given")
    made = bench(
        tally_of([[60, 0, 0], [0, 60, 0], [0, 0, 60]]), target, resolved=ADDRESSES, policy="round_robin"
    )
    assert made.diagnosis is not None
    assert made.diagnosis.code == "missing-addresses"
    assert "once, at its start" in made.diagnosis.fix


@pytest.mark.parametrize(("rate", "outcome"), [(None, "passed"), (1000.0, "inconclusive")])
def test_a_client_that_was_the_limit_tells_nothing_in_open_loop(rate: float | None, outcome: str) -> None:
    made = report(tally_of([[100, 100]]), pods(2), Plan(requests=200, rate=rate))
    made.tool, made.saturation = "bench", Saturation(saturated=True)
    found = judged(made, expected("random")).verdict
    assert found is not None
    assert found.outcome == outcome
    assert any("client itself was the limit" in reason for reason in found.reasons)


@pytest.mark.parametrize(
    ("counts", "balance"),
    [
        ([10_000] * 1000, Balance.EVEN),
        ([10_000 + i % 2 for i in range(1000)], Balance.EVEN),
        ([10_000 + 122 * (i % 3 - 1) for i in range(1000)], Balance.RANDOM),
        ([10_000] * 999 + [0], Balance.PARTIAL),
        ([10_000] * 999 + [5_000], Balance.SKEWED),
        ([10_000_000] * 999 + [0], Balance.PARTIAL),
    ],
)
def test_a_thousand_servers_and_millions_of_rpcs(counts: list[int], balance: Balance) -> None:
    tally = large(counts)
    tally.channels = {i: {backend(i).id: n} for i, n in enumerate(counts) if n}
    found = bench(tally, pods(1000), "pinned", resolved=("10.1.0.1:50051",), connections_open=1000).verdict
    assert found is not None
    assert found.balance is balance
    assert found.spread.total == sum(counts)
    assert all(len(text) < 600 for text in (found.sentence, *found.reasons))
