"""The performance table's rows, and what its visits come to."""

from __future__ import annotations

import pytest

from tests.scenarios.measured import failure, process, row, run, usage, visit
from whichpod.cluster.protocol import Via
from whichpod.model.errors import UsageError
from whichpod.model.performance import Performance, Settings
from whichpod.model.usage import Role
from whichpod.model.verdict import Balance
from whichpod.scenarios.performance.caveats import caveats
from whichpod.scenarios.performance.figures import conclude, cpu_us, figure, limit, low_rate, saturated
from whichpod.scenarios.performance.guide import Guide, guide
from whichpod.scenarios.performance.rows import CONFIGURATIONS, DIRECT, Configuration, check, chosen

SETTINGS = Settings(engine="grpcio")
NO_GUIDE = Guide({}, "A caveat.")


def test_direct_comes_first_and_all_rows_are_there() -> None:
    assert [c.name for c in CONFIGURATIONS] == [
        "direct", "clusterip", "headless-round-robin", "istio", "istio-mtls", "edge-envoy", "edge-nginx",
        "edge-caddy", "edge-haproxy",
    ]  # fmt: skip
    assert CONFIGURATIONS[0].name == DIRECT


@pytest.mark.parametrize("configuration", CONFIGURATIONS, ids=lambda c: c.name)
def test_every_row_has_as_many_connections_and_pods(configuration: Configuration) -> None:
    settings = Settings(pods=7, engine="fast", payload_size=9)
    low, high = configuration.plans(settings)
    addresses = 7 if configuration.every_pod else 1
    for plan in (low, high):
        plan.check()
        assert plan.connections * addresses == 7
        assert (plan.concurrency, plan.payload_size) == (20, 9)
    assert (low.rate, low.warmup_s, high.rate, high.warmup_s) == (500, 0.5, None, 0)
    bundle = configuration.bundle(settings)
    echo = bundle.deployment("echo")
    assert echo.replicas == 7
    assert echo.containers[0].args == ("serve", "--engine", "fast")
    for other in bundle.deployments:
        if other is not echo:
            assert "--engine" not in other.containers[0].args
    assert configuration.bundle(SETTINGS).deployment("echo").containers[0].args == ("serve",)
    configuration.reached.check()
    assert configuration.reached.via is not Via.XDS


def test_sidecars_are_measured_with_mutual_tls_and_without() -> None:
    modes = {c.name: [p.mode for p in c.bundle(SETTINGS).peer_authentications] for c in CONFIGURATIONS}
    assert {name: found for name, found in modes.items() if found} == {"istio": ["DISABLE"]}


def test_edge_proxies_are_dialled_past_the_stand_in_for_kube_proxy() -> None:
    for configuration in chosen(["edge-*"], []):
        assert configuration.reached.via is Via.POD
        assert configuration.reached.backends == "echo-headless"


def test_rows_are_chosen_by_globs() -> None:
    assert [c.name for c in chosen(["istio*", "direct"], ["*mtls"])] == ["direct", "istio"]
    for only, skip in ((["nope"], []), ([], ["nope"]), (["direct"], ["direct"])):
        with pytest.raises(UsageError):
            chosen(only, skip)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        (Settings(repetitions=0), "--repetitions 0"),
        (Settings(duration_s=0), "--duration 0"),
        (Settings(duration_s=float("inf")), "--duration inf"),
        (Settings(rate=-1), "--rate -1"),
        (Settings(streams=0), "--streams 0"),
        (Settings(pods=1), "--pods 1"),
        (Settings(engine="steam"), "no engine 'steam'"),
        (Settings(payload_size=-1), "--payload-size -1"),
        (Settings(warmup_s=-1), "--warmup -1"),
    ],
)
def test_settings_that_make_no_sense_are_refused(settings: Settings, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        check(settings)


def test_cpu_is_of_every_rpc_that_was_sent_and_by_role() -> None:
    used = usage(process(Role.CLIENT, 0.1), process(Role.SERVER, 0.3), process(Role.SERVER, 0.1))
    found = cpu_us(run([40, 40], used, failed=10, warmup=10))
    assert found == pytest.approx(
        {"client": 0.1e6 / 90, "server": 4000, "proxy": 0, "stand-in": 0, "all": 0.1e6 / 90 + 4000}
    )
    assert cpu_us(run([40], usage())) == {}
    assert cpu_us(run([], used)) == {}


def test_a_run_comes_to_its_figures() -> None:
    measured = run([50, 50, 0], usage(process(Role.PROXY, 1.0)), failed=1)
    low, high = low_rate(measured), saturated(measured)
    assert (low.done, low.failed, low.dropped, low.late_sends) == (100, 1, 0, 3)
    assert low.p50_ns == pytest.approx(2_000_000, rel=1e-3)
    assert (high.rps, high.hit, high.known) == (100, 2, 3)
    assert high.balance is Balance.PARTIAL
    assert high.counts == {"echo-0": 50, "echo-1": 50, "echo-2": 0}


@pytest.mark.parametrize(
    ("used", "expected"),
    [
        (usage(process(Role.CLIENT, 1.9)), "client"),
        (usage(process(Role.CLIENT, 1.7)), ""),
        (usage(process(Role.PROXY, 1.9), process(Role.CLIENT, 1.8)), "client and proxy and machine"),
        # A program with several threads is full when one of them is; Python has one lock for all of them.
        (usage(process(Role.PROXY, 2.4, 1.2)), ""),
        (usage(process(Role.PROXY, 3.6, 1.8)), "proxy and machine"),
        (usage(process(Role.SERVER, 1.8, 0.5)), "server"),
        (usage(process(Role.SERVER, 0.8), process(Role.SERVER, 0.8), elsewhere=1.1), "machine"),
        (usage(process(Role.SERVER, 0.8), process(Role.SERVER, 0.8), cpus=4, elsewhere=1.1), ""),
        (usage(wall_s=0, cpus=0), ""),
    ],
)
def test_the_limit_is_what_was_full(used: object, expected: str) -> None:
    assert limit(used) == expected  # type: ignore[arg-type]


def test_a_figure_is_the_median_with_its_range() -> None:
    found = figure([3, 1, 2])
    assert (found.median, found.low, found.high, found.samples) == (2, 1, 3, (3, 1, 2))


def test_rows_are_held_against_direct_repetition_by_repetition() -> None:
    direct = row(DIRECT, visit(1, rps=1000, cpu=10), visit(2, rps=2000, p50=2_000_000, cpu=20))
    # Twice as fast a machine in the second round: the ratios know nothing of it.
    edge = row(
        "edge",
        visit(1, rps=500, p50=1_500_000, proxy=20),
        visit(2, rps=1000, p50=2_500_000, cpu=20, proxy=40),
    )
    conclude([direct, edge])
    assert direct.figures
    assert edge.figures
    assert direct.figures.rps_ratio is direct.figures.added_p50_ns is None
    assert edge.figures.rps_ratio == figure([0.5, 0.5])
    assert edge.figures.cpu_ratio == figure([2.0, 2.0])
    assert edge.figures.low_cpu_ratio == figure([2.0, 2.0])
    assert edge.figures.low_cpu_us["proxy"] == figure([200, 400])
    assert edge.figures.added_p50_ns == figure([500_000, 500_000])
    assert edge.figures.p50_ns == figure([1_500_000, 2_500_000])
    assert (edge.outcome, edge.known) == ("measured", 5)


def test_without_direct_nothing_is_held_against_it() -> None:
    alone = row("edge", visit(1))
    conclude([alone])
    assert alone.figures
    assert alone.figures.rps_ratio is alone.figures.cpu_ratio is alone.figures.added_p99_ns is None
    # Where direct failed in the one round that the row has, there is nothing either.
    both = [row(DIRECT, failure(1), visit(2)), row("edge", visit(1))]
    conclude(both)
    assert both[1].figures
    assert both[1].figures.rps_ratio is None


def test_a_row_that_failed_once_is_no_measured_one_and_keeps_what_it_has() -> None:
    broken, skipped, idle = row("a", visit(1), failure(2), failure(3, "Later.")), row("b"), row("c")
    skipped.outcome, skipped.reason = "skipped", "No such program."
    conclude([broken, skipped, idle])
    assert (broken.outcome, broken.reason) == ("failed", "The lab broke.")
    assert broken.figures
    assert len(broken.figures.rps.samples) == 1
    assert (skipped.outcome, skipped.figures, idle.outcome, idle.figures) == (
        "skipped",
        None,
        "not run",
        None,
    )
    table = Performance({}, SETTINGS, [broken, skipped, idle])
    assert table.outcomes() == {"measured": 0, "failed": 1, "skipped": 1, "not run": 1}


def test_classes_and_limits_are_told_once_each_the_most_frequent_first() -> None:
    found = row(
        "clusterip",
        visit(1, balance=Balance.PARTIAL, hit=3),
        visit(2, balance=Balance.SKEWED, hit=4, limit=""),
        visit(3, balance=Balance.SKEWED, hit=4, limit=""),
    )
    conclude([found])
    assert found.balances == (Balance.SKEWED, Balance.PARTIAL)
    assert found.limits == ("nothing", "machine")
    assert found.figures
    assert found.figures.hit.median == 4


def test_caveats_are_those_that_hold() -> None:
    rows = [row(DIRECT, visit(1, elsewhere=0.5)), row("edge", visit(1, failed=7))]
    conclude(rows)
    environment = {"cluster": "loopback", "cpus": "2"}
    said = " ".join(
        caveats(Performance(environment, Settings(repetitions=1, engine="grpcio"), rows), NO_GUIDE)
    )
    for part in (
        "machine's 2 cores",
        "no network",
        "grpcio's",
        "One repetition",
        "0.5 cores",
        "edge 7",
        "A caveat.",
    ):
        assert part in said
    assert "Direct was not measured" not in said
    calm = [row("edge", visit(1))]
    conclude(calm)
    said = " ".join(caveats(Performance({"cluster": "other"}, Settings(engine="fast"), calm), NO_GUIDE))
    assert said.endswith("Direct was not measured, so nothing could be held against it. A caveat.")
    assert "machine's" not in said
    assert "grpcio" not in said


def test_the_guides_figures_are_of_rows_that_exist() -> None:
    assert set(guide().rows) <= {c.name for c in CONFIGURATIONS}
    assert guide().caveat
