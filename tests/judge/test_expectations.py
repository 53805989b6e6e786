from __future__ import annotations

import pytest

from tests.judge.made import backend, expected, pods, tally_of, verdict
from whichpod.judge import judge, judged
from whichpod.model.plan import Plan
from whichpod.model.report import Evidence, Report
from whichpod.model.tally import Tally
from whichpod.model.target import Target
from whichpod.model.verdict import Outcome, Verdict

UNKNOWN = Target("echo:50051")
NONE, PARTIAL, SKEWED = [50, 0, 0, 0, 0], [20, 20, 10, 0, 0], [34, 4, 4, 4, 4]
RANDOM, EVEN, FEW = [13, 9, 5, 11, 12], [10] * 5, [2, 2, 1, 0, 0]
ALONE = [50]
CLASSES = (ALONE, NONE, PARTIAL, SKEWED, RANDOM, EVEN, FEW, [3, 0, 0, 0, 0])
P: Outcome = "passed"
F: Outcome = "failed"
I: Outcome = "inconclusive"  # noqa: E741


@pytest.mark.parametrize(
    ("expect", "outcomes"),
    [
        #             alone none part skew rand even few  three on one
        ("single", (P, F, F, F, F, F, F, F)),
        ("none", (I, P, F, F, F, F, F, I)),
        ("partial", (I, F, P, F, F, F, I, I)),
        ("random", (I, F, F, F, P, P, I, I)),
        ("even", (I, F, F, F, F, P, I, I)),
        ("exact", (I, F, F, F, F, P, F, F)),
        ("at-least=1", (P, P, P, P, P, P, P, P)),
        ("at-least=4", (F, F, F, P, P, P, F, I)),
    ],
)
def test_each_expectation_against_each_class(expect: str, outcomes: tuple[Outcome, ...]) -> None:
    for counts, outcome in zip(CLASSES, outcomes, strict=True):
        found = verdict(counts, expect)
        assert (counts, found.outcome) == (counts, outcome)
        assert outcome == "passed" or found.reasons


def test_exact_takes_a_difference_of_one_and_no_more() -> None:
    assert verdict([10, 11, 10, 10, 10], "exact").outcome == "passed"
    assert verdict([10, 11, 9, 10, 10], "exact").outcome == "failed"
    assert verdict([1, 0, 0], "exact").outcome == "inconclusive"


def test_two_servers_taking_turns_need_more_rpcs_to_show_it() -> None:
    found = verdict([25, 25], "even")
    assert (found.outcome, found.requests_needed) == ("inconclusive", 256)
    assert "p = 0.11" in found.reasons[0]
    assert verdict([128, 128], "even").outcome == "passed"


def test_many_channels_taking_turns_may_be_off_by_one_each() -> None:
    tally = tally_of([[3, 2, 2, 2, 2], [3, 3, 2, 2, 2], [3, 2, 2, 2, 2], [3, 2, 2, 2, 1]])
    assert judge(tally, pods(5), Plan(connections=4), expected("even")).outcome != "failed"
    assert verdict([12, 11, 8, 9, 10], "even").outcome == "inconclusive"
    assert verdict([13, 12, 9, 8, 7], "even").outcome == "failed"


def test_where_only_one_is_known_more_must_be_said() -> None:
    for expect in ("none", "even", "random", "partial", "exact"):
        found = verdict(ALONE, expect, target=UNKNOWN)
        assert found.outcome == "inconclusive"
        assert any("--backends N" in r for r in found.reasons)
    assert verdict(ALONE, "single", target=UNKNOWN).outcome == "passed"
    assert verdict(ALONE, "at-least=1", target=UNKNOWN).outcome == "passed"
    assert verdict(ALONE, "none", target=Target("x", known_count=5, known_by="given")).outcome == "passed"


def test_passing_over_those_that_answered_says_so() -> None:
    found = verdict(EVEN, "even", target=UNKNOWN)
    assert found.outcome == "passed"
    assert any("silent ones would go unnoticed" in r for r in found.reasons)


@pytest.mark.parametrize("expect", ["none", "even", "random", "at-least=1", "pinned", "exact"])
def test_a_failed_rpc_fails_all(expect: str) -> None:
    tally = tally_of([[25] * 2], failed={None: 2}, status="DEADLINE_EXCEEDED")
    found = judge(tally, pods(2), Plan(), expected(expect))
    assert found.outcome == "failed"
    assert found.reasons[0] == "2 of 52 RPCs failed (DEADLINE_EXCEEDED 2)."


def test_failures_can_be_allowed() -> None:
    tally = tally_of([EVEN], failed={None: 2})
    assert judge(tally, pods(5), Plan(), expected("even", allow_failed=True)).outcome == "passed"


def test_nothing_done_fails_all() -> None:
    for tally in (Tally(), tally_of([[]], failed={None: 5})):
        for expect in ("none", "even", "single", "at-least=1"):
            found = judge(tally, pods(5), Plan(), expected(expect, allow_failed=True))
            assert (found.balance, found.outcome) == ("inconclusive", "failed")


def of_refused(tally: Tally) -> Verdict:
    return judge(tally, pods(5), Plan(), expected("refused"))


def test_refused_is_that_nobody_takes_an_rpc() -> None:
    found = of_refused(tally_of([[]], failed={None: 5}))
    assert (found.outcome, found.headline, found.balance) == ("passed", "refused", "inconclusive")
    assert found.sentence == "All 5 RPCs failed with UNAVAILABLE, and none reached a server."
    assert found.counts == dict.fromkeys((f"echo-{i}" for i in range(5)), 0)


@pytest.mark.parametrize(
    ("tally", "outcome", "said"),
    [
        (tally_of([[1]], failed={None: 4}), "failed", "1 of 5 RPCs were answered"),
        (tally_of([EVEN]), "failed", "50 of 50 RPCs were answered"),
        (tally_of([[]], failed={None: 4, 0: 1}), "failed", "1 RPCs were failed by a server"),
        (tally_of([[]], failed={None: 5}, status="DEADLINE_EXCEEDED"), "failed", "DEADLINE_EXCEEDED 5"),
        (Tally(), "inconclusive", "No RPC came to an end"),
    ],
)
def test_what_is_not_refused(tally: Tally, outcome: Outcome, said: str) -> None:
    found = of_refused(tally)
    assert found.outcome == outcome
    assert said in found.reasons[0]
    assert found.headline != "refused"


@pytest.mark.parametrize(("resolved", "outcome"), [(("10.0.0.1:50051",), "passed"), ((), "inconclusive")])
def test_only_who_was_found_can_have_refused(resolved: tuple[str, ...], outcome: Outcome) -> None:
    evidence = Evidence(resolved=resolved, first_error="UNAVAILABLE: Socket closed")
    report = Report(pods(2), Plan(), tally_of([[]], failed={None: 5}), evidence=evidence)
    found = judged(report, expected("refused"))
    assert found.verdict is not None
    assert found.verdict.outcome == outcome
    assert (found.diagnosis is None) is (outcome == "passed")
    said = "Socket closed" if resolved else "had no address"
    assert any(said in reason for reason in found.verdict.reasons)


def test_a_saturated_client_spoils_open_loop_only() -> None:
    opened = verdict(EVEN, "even", plan=Plan(rate=100), saturated=True)
    assert opened.outcome == "inconclusive"
    assert "the schedule was not kept" in opened.reasons[0]
    assert verdict(EVEN, "at-least=5", plan=Plan(rate=100), saturated=True).outcome == "passed"
    assert verdict(NONE, "at-least=5", plan=Plan(rate=100), saturated=True).outcome == "inconclusive"
    closed = verdict(EVEN, "even", saturated=True)
    assert closed.outcome == "passed"
    assert any("latencies are too high" in r for r in closed.reasons)


def test_an_interrupted_run_fails_nothing_that_it_did_not_get_to() -> None:
    assert verdict([20, 0, 0], "at-least=2", interrupted=True).outcome == "inconclusive"
    assert verdict([20, 0, 0], "at-least=2").outcome == "failed"
    assert verdict(NONE, "none", interrupted=True).outcome == "passed"
    found = verdict(FEW, "even", interrupted=True)
    assert found.outcome == "inconclusive"
    assert any("interrupted after 5 RPCs" in r for r in found.reasons)


def test_unnamed_answers_are_inconclusive() -> None:
    tally = tally_of([[20, 20, 10]], backends={2: None})
    assert judge(tally, pods(2), Plan(), expected("at-least=1")).outcome == "inconclusive"


class TestWeights:
    def test_fit(self) -> None:
        found = verdict([451, 49], "weights=echo-0:90,echo-1:10")
        assert found.outcome == "passed"
        assert "echo-0 90.2%, echo-1 9.8%" in found.reasons[0]

    @pytest.mark.parametrize("counts", [[250, 250], [500, 0], [49, 451], [425, 75]])
    def test_misfit(self, counts: list[int]) -> None:
        assert verdict(counts, "weights=echo-0:90,echo-1:10").outcome == "failed"

    def test_within_tolerance(self) -> None:
        assert verdict([902_000, 98_000], "weights=echo-0:90,echo-1:10").outcome == "passed"
        assert verdict([906_000, 94_000], "weights=echo-0:90,echo-1:10").outcome == "failed"

    def test_too_few(self) -> None:
        found = verdict([18, 2], "weights=echo-0:90,echo-1:10")
        assert (found.outcome, found.requests_needed) == ("inconclusive", 50)
        assert verdict([2, 18], "weights=echo-0:90,echo-1:10").outcome == "failed"

    def test_unnamed_and_weightless_servers_must_get_nothing(self) -> None:
        assert verdict([90, 10, 0], "weights=echo-0:90,echo-1:10").outcome == "passed"
        stranger = verdict([90, 10, 1], "weights=echo-0:90,echo-1:10")
        assert stranger.outcome == "failed"
        assert "Servers without a weight got RPCs: echo-2 1." in stranger.reasons
        zero = verdict([90, 10, 1], "weights=echo-0:90,echo-1:10,echo-2:0")
        assert zero.outcome == "failed"
        assert "echo-2 has weight 0 and got 1." in zero.reasons

    def test_a_workloads_name_means_all_its_pods(self) -> None:
        names = {0: "echo-v1-a", 1: "echo-v1-b", 2: "echo-v1-canary-c", 3: "other"}
        made = {i: backend(i, pod=pod) for i, pod in names.items()}
        tally = tally_of([[300, 150, 50]], backends=made)
        for expect, outcome in (
            ("weights=echo-v1:90,echo-v1-canary:10", "passed"),
            ("weights=echo-v1:50,echo-v1-canary:50", "failed"),
            ("weights=echo:1", "passed"),
            ("weights=ech:1", "failed"),
            ("weights=10.0.0.0:60,10.0.0.1:30,10.0.0.2:10", "passed"),
        ):
            assert judge(tally, UNKNOWN, Plan(), expected(expect)).outcome == outcome


class TestPinned:
    def test_each_channel_has_its_server(self) -> None:
        tally = tally_of([[10, 0, 0, 0, 0], [0, 10, 0, 0, 0], [10, 0, 0, 0, 0], [0, 0, 10, 0, 0]])
        found = judge(tally, pods(5), Plan(connections=4), expected("pinned=4"))
        assert found.outcome == "passed"
        assert found.reasons[0] == (
            "4 channels reached 3 of 5 servers (echo-0 2, echo-1 1, echo-2 1); "
            "a random choice per connection reaches 3.0 on average."
        )

    def test_a_channel_with_two_servers_is_not_pinned(self) -> None:
        tally = tally_of([[10, 0], [9, 1]])
        found = judge(tally, pods(2), Plan(connections=2), expected("pinned"))
        assert found.outcome == "failed"
        assert "1 of 2 channels were answered by several servers, channel 1 by 2." in found.reasons

    def test_fewer_channels_than_asked(self) -> None:
        found = judge(tally_of([[10, 0], [0, 10]]), pods(2), Plan(connections=3), expected("pinned=3"))
        assert found.outcome == "failed"
        assert "2 of 3 channels were used." in found.reasons

    def test_a_restarted_pod_is_the_same_server(self) -> None:
        tally = tally_of([[20, 0]])
        tally.merge(tally_of([[10, 0]], backends={0: backend(0, id="echo-0-99")}))
        assert judge(tally, pods(2), Plan(), expected("pinned")).outcome == "passed"

    def test_one_rpc_each_proves_nothing(self) -> None:
        found = judge(tally_of([[1, 0], [0, 1]]), pods(2), Plan(connections=2), expected("pinned"))
        assert found.outcome == "inconclusive"
        assert found.requests_needed == 10
        assert judge(tally_of([[9]]), UNKNOWN, Plan(), expected("pinned")).outcome == "inconclusive"

    def test_evenness_by_pinned_channels_is_pointed_out(self) -> None:
        tally = tally_of([[10, 0, 0, 0, 0], [0, 10], [0, 0, 10], [0, 0, 0, 10], [0, 0, 0, 0, 10]])
        found = judge(tally, pods(5), Plan(connections=5), expected("even"))
        assert found.outcome == "passed"
        assert any("per connection, not per RPC" in r for r in found.reasons)
