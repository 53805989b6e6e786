"""Claims: rulings over made-up evidence, for each one that confirms and one that refutes; and a real run."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace

import pytest

from tests.judge.made import tally_of
from whichpod.cluster.loopback import LoopbackCluster
from whichpod.judge import judged
from whichpod.model.claims import Claims, Ruling
from whichpod.model.errors import UsageError
from whichpod.model.expectation import parse_expectation
from whichpod.model.plan import Plan
from whichpod.model.report import Evidence as Seen
from whichpod.model.report import Report, Row
from whichpod.model.target import Target
from whichpod.report.claims import claims_markdown
from whichpod.scenarios.claims.catalogue import CLAIMS, selected
from whichpod.scenarios.claims.claim import Evidence
from whichpod.scenarios.claims.run import needed, run_claims, settled

EVEN, NONE, CHANCE = [10] * 5, [50, 0, 0, 0, 0], [13, 11, 10, 9, 7]
BY_NAME = {c.name: c for c in CLAIMS}


def row(
    name: str, channels: Sequence[Sequence[int]], *, opened: int = 1, failed: int = 0, ms: int = 1
) -> Row:
    """A row that ran, with what each channel got of each pod."""
    took = dict.fromkeys(range(5), ms * 1_000_000)
    tally = tally_of(channels, failed={None: failed} if failed else None, took_ns=took)
    plan = Plan(requests=tally.scheduled, connections=len(channels))
    report = Report(
        Target("echo", known_count=5, known_by="given"), plan, tally, Seen(connections_opened=opened)
    )
    verdict = judged(report, parse_expectation("random")).verdict
    assert verdict is not None
    return Row(
        name, name, "passed", "", verdict=verdict, report=report, counts=verdict.counts,
        backends_known=verdict.spread.known, backends_hit=verdict.spread.hit,
    )  # fmt: skip


def ruling(name: str, spreads: Mapping[str, Sequence[int] | Row]) -> Ruling:
    made = {n: s if isinstance(s, Row) else row(n, [s]) for n, s in spreads.items()}
    return settled(BY_NAME[name], Evidence(made)).ruling


def connections(count: int, pods: int) -> Row:
    """So many connections, each of which stayed with a pod, in turn."""
    return row("c", [[2 if i == c % pods else 0 for i in range(5)] for c in range(count)], opened=count)


def cliff(above: int, two: int) -> dict[str, Sequence[int] | Row]:
    """p50 in ms with 200 RPCs in flight on one connection, and on two; with 100 it is 400."""
    ms = {"streams-100": 400, "streams-200": above, "streams-200-on-two": two}
    return {name: row(name, [EVEN], ms=p50) for name, p50 in ms.items()}


FAILED = row("no-address", [[0] * 5], failed=3)
OTHERS = ("multi-endpoint", "proxyless", "edge-envoy", "edge-nginx", "edge-caddy", "edge-haproxy")
CASES: list[tuple[str, dict[str, Sequence[int] | Row], Ruling]] = [
    ("client-side-impossible", {"headless-round-robin": EVEN, "clusterip-round-robin": NONE}, Ruling.REFUTED),
    (
        "client-side-impossible",
        {"headless-round-robin": NONE, "clusterip-round-robin": NONE},
        Ruling.CONFIRMED,
    ),
    ("client-side-impossible", {"clusterip-round-robin": NONE}, Ruling.UNSETTLED),
    ("only-istio", {"istio": EVEN, "edge-nginx": EVEN}, Ruling.REFUTED),
    ("only-istio", {"istio": EVEN, **dict.fromkeys(OTHERS, NONE)}, Ruling.CONFIRMED),
    ("one-pod", {"clusterip": NONE, "clusterip-many-connections": connections(200, 5)}, Ruling.DEPENDS),
    ("one-pod", {"clusterip": NONE, "clusterip-many-connections": connections(200, 1)}, Ruling.CONFIRMED),
    ("one-pod", {"clusterip": EVEN, "clusterip-many-connections": connections(200, 5)}, Ruling.REFUTED),
    ("one-pod", {"clusterip": NONE, "clusterip-many-connections": row("c", [EVEN])}, Ruling.UNSETTLED),
    (
        "connections-do-not-help",
        {"clusterip": NONE, "clusterip-many-connections": connections(50, 4)},
        Ruling.REFUTED,
    ),
    (
        "connections-do-not-help",
        {"clusterip": NONE, "clusterip-many-connections": connections(50, 1)},
        Ruling.CONFIRMED,
    ),
    (
        "channels-are-connections",
        {"clusterip-connections": connections(5, 5), "shared-channels": row("s", [[2, 0, 0, 0, 0]] * 5)},
        Ruling.REFUTED,
    ),
    (
        "channels-are-connections",
        {"clusterip-connections": connections(5, 5), "shared-channels": connections(5, 3)},
        Ruling.CONFIRMED,
    ),
    ("no-children-to-pick-from", {"clusterip-round-robin": NONE, "no-address": FAILED}, Ruling.REFUTED),
    ("no-children-to-pick-from", {"clusterip-round-robin": NONE, "no-address": NONE}, Ruling.UNSETTLED),
    (
        "no-children-to-pick-from",
        {"clusterip-round-robin": row("r", [NONE], failed=3), "no-address": FAILED},
        Ruling.CONFIRMED,
    ),
    ("streams-are-pinned", {"istio-stream": NONE, "istio-streams": EVEN}, Ruling.CONFIRMED),
    ("streams-are-pinned", {"istio-stream": EVEN, "istio-streams": EVEN}, Ruling.REFUTED),
    (
        "max-requests-per-connection",
        {"istio": EVEN, "istio-max-requests": EVEN, "istio-tcp-max-requests": NONE},
        Ruling.REFUTED,
    ),
    (
        "max-requests-per-connection",
        {"istio": NONE, "istio-max-requests": EVEN, "istio-tcp-max-requests": CHANCE},
        Ruling.CONFIRMED,
    ),
    ("port-forward-bypasses", {"istio": EVEN, "istio-port-forward": NONE}, Ruling.CONFIRMED),
    ("port-forward-bypasses", {"istio": EVEN, "istio-port-forward": EVEN}, Ruling.REFUTED),
    ("port-forward-bypasses", {"istio": NONE, "istio-port-forward": NONE}, Ruling.UNSETTLED),
    ("tcp-port-name", {"istio": EVEN, "istio-tcp-port": NONE}, Ruling.CONFIRMED),
    ("tcp-port-name", {"istio": EVEN, "istio-tcp-port": EVEN}, Ruling.REFUTED),
    ("headless-ignores-the-rule", {"istio-headless": NONE}, Ruling.CONFIRMED),
    ("headless-ignores-the-rule", {"istio-headless": EVEN}, Ruling.REFUTED),
    ("least-request-is-more-even", {"istio": EVEN, "istio-least-request": CHANCE}, Ruling.REFUTED),
    ("least-request-is-more-even", {"istio": CHANCE, "istio-least-request": EVEN}, Ruling.CONFIRMED),
    ("connection-age-spreads", {"connection-age": [20, 15, 9, 6, 0]}, Ruling.DEPENDS),
    ("connection-age-spreads", {"connection-age": NONE}, Ruling.REFUTED),
    ("connection-age-cuts", {"age-short-grace": FAILED, "age-long-grace": EVEN}, Ruling.DEPENDS),
    ("connection-age-cuts", {"age-short-grace": FAILED, "age-long-grace": FAILED}, Ruling.CONFIRMED),
    ("connection-age-cuts", {"age-short-grace": EVEN, "age-long-grace": EVEN}, Ruling.REFUTED),
    ("latency-cliff", cliff(800, 400), Ruling.CONFIRMED),
    ("latency-cliff", cliff(410, 400), Ruling.REFUTED),
    ("latency-cliff", cliff(800, 800), Ruling.REFUTED),
]


@pytest.mark.parametrize(("name", "rows", "expected"), CASES)
def test_rulings(name: str, rows: dict[str, Sequence[int] | Row], expected: Ruling) -> None:
    assert ruling(name, rows) is expected


def test_every_claim_says_why_it_is_not_settled() -> None:
    for claim in CLAIMS:
        result = settled(claim, Evidence())
        assert result.ruling is Ruling.UNSETTLED
        assert "not run" in result.said
        assert settled(claim, Evidence()) == result
    assert {name for name, _, _ in CASES} | {"overhead"} == set(BY_NAME)


def test_what_a_row_failed_at_is_told() -> None:
    lost = replace_report(row("istio", [EVEN]), None)
    assert "The lab broke." in settled(BY_NAME["tcp-port-name"], Evidence({"istio": lost})).said
    fails = Evidence({"istio": row("istio", [EVEN], failed=2), "istio-tcp-port": row("t", [NONE])})
    assert "2 RPCs failed" in settled(BY_NAME["tcp-port-name"], fails).said


def replace_report(made: Row, report: Report | None) -> Row:
    return replace(made, report=report, verdict=None, reason="The lab broke.")


def test_claims_are_chosen_by_glob_and_each_row_is_run_once() -> None:
    chosen = selected(["connection*", "one-pod"])
    assert [c.name for c in chosen] == [
        "one-pod", "connections-do-not-help", "connection-age-spreads", "connection-age-cuts",
    ]  # fmt: skip
    names = [s.name for s in needed(chosen)]
    assert sorted(set(names)) == sorted(names)
    assert "clusterip" in names
    assert [s.name for s in needed([BY_NAME["overhead"]])] == []
    with pytest.raises(UsageError, match="no claim 'nonsense'"):
        selected(["nonsense"])
    for name in {n for c in CLAIMS for n in (*c.rows, *c.trials)}:
        assert any(s.name == name for s in needed(CLAIMS)), name


@pytest.fixture(scope="module")
def ran() -> Claims:
    return asyncio.run(
        run_claims(LoopbackCluster(), selected(["channels-are-connections", "connection-age-cuts"]))
    )


def test_a_real_run_settles_its_claims(ran: Claims) -> None:
    assert [(r.name, r.ruling) for r in ran.results] == [
        ("channels-are-connections", Ruling.REFUTED),
        ("connection-age-cuts", Ruling.DEPENDS),
    ]
    assert "had 1 connection:" in ran.results[0].said
    assert [e.name for e in ran.results[0].exhibits] == [
        "matrix:clusterip-connections",
        "trial:shared-channels",
    ]
    assert ran.environment["cluster"] == "loopback"
    text = claims_markdown(ran)
    assert "**Refuted.** 5 channels" in text
    assert "`trial:age-short-grace`" in text
