"""Claims: rulings over made-up evidence, for each one that confirms and one that refutes; and a real run."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from unittest.mock import AsyncMock

import pytest

from tests.judge.made import tally_of
from whichpod.cluster.loopback import LoopbackCluster
from whichpod.judge import judged
from whichpod.model.claims import Claims, Ruling
from whichpod.model.dynamic import Cell, Dynamic
from whichpod.model.errors import UsageError
from whichpod.model.expectation import parse_expectation
from whichpod.model.performance import Performance, Settings
from whichpod.model.plan import Plan
from whichpod.model.question import Answer
from whichpod.model.report import Evidence as Seen
from whichpod.model.report import Matrix, Report, Row, Saturation
from whichpod.model.target import Target
from whichpod.report.claims import claims_markdown
from whichpod.scenarios.claims import run
from whichpod.scenarios.claims.catalogue import CLAIMS, selected
from whichpod.scenarios.claims.claim import Evidence
from whichpod.scenarios.claims.run import needed, run_claims, settled
from whichpod.scenarios.dynamic.scenario import dynamic_scenarios

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
    ("connection-age-spreads", {"connection-age": [20, 15, 9, 6, 0]}, Ruling.DEPENDS),
    ("connection-age-spreads", {"connection-age": NONE}, Ruling.REFUTED),
    ("connection-age-cuts", {"age-short-grace": FAILED, "age-long-grace": EVEN}, Ruling.DEPENDS),
    ("connection-age-cuts", {"age-short-grace": FAILED, "age-long-grace": FAILED}, Ruling.CONFIRMED),
    ("connection-age-cuts", {"age-short-grace": EVEN, "age-long-grace": EVEN}, Ruling.REFUTED),
    ("latency-cliff", cliff(800, 400), Ruling.CONFIRMED),
    ("latency-cliff", cliff(410, 400), Ruling.REFUTED),
    ("latency-cliff", cliff(800, 800), Ruling.REFUTED),
]


def cells(numbers: Mapping[str, Mapping[str, float | None]]) -> dict[str, Cell]:
    """Scenarios in time that came to these numbers."""
    made = {}
    for name, answers in numbers.items():
        scenario, _, path = name.partition("/")
        cell = made[name] = Cell(name, scenario, path, scenario, path, "measured")
        cell.answers = [Answer(a, value, a, str(value)) for a, value in answers.items()]
    return made


def fails(without: float, printed: float, corrected: float) -> dict[str, Cell]:
    paths = {"istio-no-retries": without, "istio-as-printed": printed, "istio-corrected": corrected}
    return cells({f"fail-trailers-only/{path}": {"failed": n} for path, n in paths.items()})


def slow(share: float, p90: float) -> dict[str, Cell]:
    """What LEAST_REQUEST came to; ROUND_ROBIN gives the slow pod its fifth, at a p90 of 100 ms."""
    return cells(
        {
            "slow/istio": {"its": 20.0, "after": 800.0, "p90_ms": 100.0},
            "slow/istio-least-request": {"its": share, "after": 900.0, "p90_ms": p90},
        }
    )


def scaled(alone: float, aged: float) -> dict[str, Cell]:
    return cells({"scale/headless": {"new_hit": alone}, "scale/headless-age": {"new_hit": aged}})


def without_control(sidecar: float | None, client: float) -> dict[str, Cell]:
    return cells(
        {
            "control-plane/istio": {"failed": sidecar},
            "control-plane/proxyless": {"failed": client, "newcomer_failed": 10},
        }
    )


PAIR = {"istio": row("istio", [EVEN]), "istio-least-request": row("istio-least-request", [CHANCE])}
SWAPPED = {"istio": row("istio", [CHANCE]), "istio-least-request": row("istio-least-request", [EVEN])}
IN_TIME: list[tuple[str, dict[str, Row], dict[str, Cell], Ruling]] = [
    ("consecutive-errors", {}, fails(70, 70, 5), Ruling.REFUTED),
    ("consecutive-errors", {}, fails(70, 6, 5), Ruling.CONFIRMED),
    ("least-request-is-better", PAIR, slow(5, 40), Ruling.DEPENDS),
    ("least-request-is-better", PAIR, slow(18, 40), Ruling.REFUTED),
    ("least-request-is-better", PAIR, slow(5, 140), Ruling.REFUTED),
    ("least-request-is-better", SWAPPED, slow(5, 40), Ruling.CONFIRMED),
    ("scaled-out-pods-get-nothing", {}, scaled(0, 5), Ruling.DEPENDS),
    ("scaled-out-pods-get-nothing", {}, scaled(0, 0), Ruling.CONFIRMED),
    ("scaled-out-pods-get-nothing", {}, scaled(5, 5), Ruling.REFUTED),
    ("control-plane-dies", {}, without_control(0, 0), Ruling.CONFIRMED),
    ("control-plane-dies", {}, without_control(0, 40), Ruling.REFUTED),
    ("control-plane-dies", {}, without_control(None, 0), Ruling.UNSETTLED),
]


@pytest.mark.parametrize(("name", "rows", "living", "expected"), IN_TIME)
def test_rulings_on_what_happens(
    name: str, rows: dict[str, Row], living: dict[str, Cell], expected: Ruling
) -> None:
    assert settled(BY_NAME[name], Evidence(rows, living)).ruling is expected


def test_a_client_that_was_late_settles_nothing() -> None:
    late = without_control(0, 0)
    report = row("late", [EVEN]).report
    assert report is not None
    report.saturation = Saturation(saturated=True)
    late["control-plane/istio"].reports = [report]
    result = settled(BY_NAME["control-plane-dies"], Evidence({}, late))
    assert (result.ruling, "the client was late" in result.said) == (Ruling.UNSETTLED, True)


def test_every_scenario_in_time_that_a_claim_takes_is_there_and_is_asked_for_it() -> None:
    known = {c.name: c for s in dynamic_scenarios() for c in s.cells}
    for claim in CLAIMS:
        for name in claim.cells:
            assert name in known, (claim.name, name)


@pytest.mark.parametrize(("name", "rows", "expected"), CASES)
def test_rulings(name: str, rows: dict[str, Sequence[int] | Row], expected: Ruling) -> None:
    assert ruling(name, rows) is expected


def test_every_claim_says_why_it_is_not_settled() -> None:
    for claim in CLAIMS:
        result = settled(claim, Evidence())
        assert result.ruling is Ruling.UNSETTLED
        assert "not run" in result.said
        assert settled(claim, Evidence()) == result
    assert {case[0] for case in (*CASES, *IN_TIME)} | {"overhead"} == set(BY_NAME)


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


def test_what_was_real_in_each_lab_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def ran(found: object) -> Callable[..., Awaitable[object]]:
        return AsyncMock(return_value=found)

    said = {"real": "gRPC; proxies", "stand-ins": "an Envoy stands for NAT"}
    more = {"real": "gRPC", "stand-ins": "names stand for iptables", "nginx": "1"}
    monkeypatch.setattr(run, "run_matrix", ran(Matrix(said, [])))
    monkeypatch.setattr(run, "run_dynamic", ran(Dynamic(more, [])))
    monkeypatch.setattr(run, "run_performance", ran(Performance({"haproxy": "2"}, Settings(), [])))
    found = asyncio.run(run_claims(LoopbackCluster(), [BY_NAME["overhead"], BY_NAME["control-plane-dies"]]))
    assert found.environment["real"] == "gRPC; proxies"
    assert found.environment["stand-ins"] == "an Envoy stands for NAT; names stand for iptables"
    assert (found.environment["nginx"], found.environment["haproxy"]) == ("1", "2")


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
