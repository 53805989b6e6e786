from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from tests.judge.made import BIDI, pods, tally_of, verdict
from whichpod.judge import judge
from whichpod.model.plan import Plan
from whichpod.model.tally import Tally
from whichpod.model.target import Target
from whichpod.model.verdict import Balance, Headline

UNKNOWN = Target("echo:50051")


@pytest.mark.parametrize(
    ("counts", "balance", "headline"),
    [
        ([50], Balance.SINGLE, "single server"),
        ([0, 50, 0, 0, 0], Balance.NONE, "not balanced"),
        ([4, 0, 0, 0, 0], Balance.NONE, "not balanced"),
        ([10, 0], Balance.NONE, "not balanced"),
        ([20, 20, 10, 0, 0], Balance.PARTIAL, "partly balanced"),
        ([13, 12, 12, 13, 0], Balance.PARTIAL, "partly balanced"),
        ([45, 5, 0, 0, 0], Balance.PARTIAL, "not balanced"),
        ([18, 17, 5, 5, 5], Balance.SKEWED, "partly balanced"),
        ([34, 4, 4, 4, 4], Balance.SKEWED, "not balanced"),
        ([18, 1, 1, 0, 0], Balance.PARTIAL, "not balanced"),
        ([17, 1, 1, 1, 0], Balance.SKEWED, "not balanced"),
        ([13, 9, 5, 11, 12], Balance.RANDOM, "balanced"),
        ([11, 11, 7, 13, 8], Balance.RANDOM, "balanced"),
        ([25, 25], Balance.RANDOM, "balanced"),
        ([10, 10, 10, 10, 10], Balance.EVEN, "balanced"),
        ([11, 9, 10, 10, 10], Balance.EVEN, "balanced"),
        ([11, 9, 11, 9, 10], Balance.EVEN, "balanced"),
        ([2, 2, 2, 2, 2], Balance.EVEN, "balanced"),
        ([6, 5, 3, 6, 4], Balance.INCONCLUSIVE, "inconclusive"),
        ([1, 0, 0, 0, 0], Balance.INCONCLUSIVE, "inconclusive"),
        ([3, 0, 0, 0, 0], Balance.INCONCLUSIVE, "inconclusive"),
        ([2, 2, 1, 0, 0], Balance.INCONCLUSIVE, "inconclusive"),
    ],
)
def test_classes(counts: list[int], balance: Balance, headline: Headline) -> None:
    found = verdict(counts)
    assert (found.balance, found.headline) == (balance, headline)
    assert (found.outcome, found.expectation) == (None, None)
    assert bool(found.requests_needed) == (balance is Balance.INCONCLUSIVE)


@pytest.mark.parametrize(
    ("counts", "target", "sentence"),
    [
        ([0, 0, 50, 0, 0], None, "All 50 RPCs went to echo-2, one of 5 servers: not balanced."),
        ([10] * 5, None, "50 RPCs went to 5 servers evenly, 10 each: balanced."),
        (
            [13, 9, 5, 11, 12],
            None,
            "50 RPCs went to 5 servers as chance spreads them, 5 to 13 each: balanced.",
        ),
        (
            [20, 20, 10, 0, 0],
            None,
            "50 RPCs went to 3 of 5 servers (echo-0 20, echo-1 20, echo-2 10): partly balanced.",
        ),
        (
            [34, 4, 4, 4, 4],
            None,
            "50 RPCs went to 5 servers, but not in even shares: "
            "echo-0 got 34, 3.4 times its even share of 10: not balanced.",
        ),
        ([50], None, "All 50 RPCs went to echo-0, the only server: nothing to balance."),
        (
            [50],
            UNKNOWN,
            "All 50 RPCs went to echo-0, and no other server is known (--backends N says how many should "
            "answer): nothing to balance.",
        ),
        ([1, 0, 0], None, "1 RPC went to echo-0, one of 3 servers: too few to tell."),
    ],
)
def test_sentences(counts: list[int], target: Target | None, sentence: str) -> None:
    assert verdict(counts, target=target).sentence == sentence


@given(st.lists(st.integers(0, 40), min_size=2, max_size=7).filter(any), st.randoms(use_true_random=False))
def test_which_pod_got_it_does_not_matter(counts: list[int], shuffler: random.Random) -> None:
    shuffled = counts[:]
    shuffler.shuffle(shuffled)
    one, other = verdict(counts), verdict(shuffled)
    assert one.balance == other.balance
    assert one.spread == other.spread
    assert one.requests_needed == other.requests_needed


@given(st.lists(st.integers(0, 30), min_size=2, max_size=6).filter(any), st.integers(2, 20))
def test_more_of_the_same_imbalance_is_never_more_balanced(counts: list[int], factor: int) -> None:
    one, more = verdict(counts), verdict([c * factor for c in counts])
    if one.balance in (Balance.NONE, Balance.PARTIAL, Balance.SKEWED):
        # A server that got nothing of few RPCs may be unlucky; of many it is left out.
        left_out = one.balance is Balance.SKEWED and 0 in counts and more.balance is Balance.PARTIAL
        assert more.balance == one.balance or left_out
        assert more.headline == one.headline


def test_a_fair_random_choice_is_called_skewed_as_seldom_as_promised() -> None:
    shuffler = random.Random(99)
    runs, skewed, even = 2000, 0, 0
    for _ in range(runs):
        picked = shuffler.choices(range(5), k=50)
        balance = verdict([picked.count(i) for i in range(5)]).balance
        skewed += balance not in (Balance.RANDOM, Balance.EVEN)
        even += balance is Balance.EVEN
    assert stats.binomtest(skewed, runs, 0.01).pvalue > 1e-3
    # The atom structure keeps the rate of "even" at or below its level.
    assert stats.binom.sf(even - 1, runs, 0.05) > 1e-3


def test_two_thirds_to_one_pod_are_seen() -> None:
    shuffler = random.Random(7)
    for _ in range(50):
        picked = shuffler.choices(range(5), [8, 1, 1, 1, 1], k=50)
        found = verdict([picked.count(i) for i in range(5)], "even")
        assert found.balance in (Balance.SKEWED, Balance.PARTIAL)
        assert found.headline != "balanced"
        assert found.outcome == "failed"


def test_a_deviation_within_the_tolerance_is_not_skewed_however_significant() -> None:
    found = verdict([204_000, 196_000, 200_000, 200_000, 200_000])
    assert found.spread.p_skewed < 1e-20
    assert found.balance is Balance.RANDOM
    assert any("within the tolerance of 5.0%" in r for r in found.reasons)
    assert verdict([220_000, 180_000, 200_000, 200_000, 200_000]).balance is Balance.SKEWED


def test_fifty_pods() -> None:
    assert verdict([10] * 50).balance is Balance.EVEN
    assert verdict([9, 11] * 25).balance is Balance.EVEN
    assert verdict([500] + [0] * 49).balance is Balance.NONE
    assert verdict([100] * 5 + [0] * 45).balance is Balance.PARTIAL


def test_even_over_those_that_answered_is_not_even() -> None:
    found = verdict([5] * 20 + [6] * 28 + [0] * 2)
    assert found.balance is Balance.INCONCLUSIVE
    assert "2 of 50 servers got nothing" in found.reasons[0]
    assert found.requests_needed == 422


def test_a_single_stream_is_judged_by_its_messages() -> None:
    tally = tally_of([[0, 1]], messages=50)
    found = judge(tally, pods(5), BIDI, None)
    assert (found.unit, found.balance, found.spread.total) == ("message", Balance.NONE, 50)
    assert found.sentence == "All 50 messages went to echo-1, one of 5 servers: not balanced."
    assert "A stream stays with its backend" in found.reasons[0]


def test_several_streams_are_judged_as_rpcs() -> None:
    tally = tally_of([[10] * 5], messages=5)
    assert judge(tally, pods(5), BIDI, None).unit == "rpc"
    assert judge(tally_of([[1]], messages=5), pods(5), Plan(), None).unit == "rpc"


def test_failed_rpcs_count_where_it_is_known_who_failed_them() -> None:
    found = judge(tally_of([[10, 10, 10, 10, 0]], failed={4: 10}), pods(5), Plan(), None)
    assert found.counts["echo-4"] == 10
    assert found.balance is Balance.EVEN


def test_nothing_done_has_no_distribution() -> None:
    found = judge(tally_of([[]], failed={None: 3}), pods(5), Plan(), None)
    assert found.balance is Balance.INCONCLUSIVE
    assert found.sentence == "3 of 3 RPCs failed (UNAVAILABLE 3), so there is no distribution to judge."
    assert judge(Tally(), UNKNOWN, Plan(), None).sentence.startswith("No RPC was answered")


def test_answers_without_a_name_make_it_inconclusive() -> None:
    tally = tally_of([[20, 20, 10]], backends={2: None})
    found = judge(tally, pods(2), Plan(), None)
    assert found.balance is Balance.INCONCLUSIVE
    assert "10 of 50 answers don't tell which server they came from" in found.sentence
    few = judge(tally_of([[25, 24, 1]], backends={2: None}), pods(2), Plan(), None)
    assert few.balance is Balance.RANDOM
    assert any("1 of 50 answers" in r for r in few.reasons)
