from __future__ import annotations

import itertools
import math
import random
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from whichpod.stats.evenness import tails

COUNTS = st.lists(st.integers(0, 25), min_size=2, max_size=6).filter(any)


def partitions(n: int, k: int) -> Iterator[tuple[int, ...]]:
    """Every way to give `n` to `k` backends."""
    for bars in itertools.combinations(range(n + k - 1), k - 1):
        ends = (-1, *bars, n + k - 1)
        yield tuple(b - a - 1 for a, b in itertools.pairwise(ends))


def chance(counts: tuple[int, ...]) -> float:
    ways = math.factorial(sum(counts))
    for c in counts:
        ways //= math.factorial(c)
    return float(ways / len(counts) ** sum(counts))


def by_enumeration(counts: tuple[int, ...]) -> tuple[float, float]:
    own = sum(c * c for c in counts)
    skewed = even = 0.0
    for other in partitions(sum(counts), len(counts)):
        squares = sum(c * c for c in other)
        skewed += chance(other) if squares >= own else 0
        even += chance(other) if squares <= own else 0
    return skewed, even


@pytest.mark.parametrize(
    "counts",
    [(1, 0), (3, 3), (10, 0), (5, 5, 5), (7, 4, 4), (9, 1, 0), (2, 2, 2, 2), (6, 1, 1, 1), (3, 2, 2, 2, 1)],
)
def test_exact_is_what_enumeration_gives(counts: tuple[int, ...]) -> None:
    found = tails(counts)
    assert found.exact
    assert (found.skewed, found.even) == pytest.approx(by_enumeration(counts), rel=1e-9, abs=1e-12)


def test_the_atom_of_exactly_even_counts() -> None:
    assert tails([10] * 5).even == pytest.approx(chance((10,) * 5), rel=1e-9)
    assert tails([10] * 5).skewed == 1.0
    assert tails([2] * 5).even == pytest.approx(0.01161216)


def test_two_backends_are_a_binomial() -> None:
    for x in range(101, 201):
        assert tails([x, 200 - x]).skewed == pytest.approx(2 * stats.binom.sf(x - 1, 200, 0.5), rel=1e-6)


@given(COUNTS, st.randoms(use_true_random=False))
def test_order_does_not_matter(counts: list[int], shuffler: random.Random) -> None:
    shuffled = counts[:]
    shuffler.shuffle(shuffled)
    assert tails(shuffled) == tails(counts)


@given(COUNTS)
def test_the_tails_overlap_in_one_atom(counts: list[int]) -> None:
    found = tails(counts)
    assert 0 <= found.skewed <= 1
    assert 0 <= found.even <= 1
    assert found.skewed + found.even >= 1 - 1e-9


@given(COUNTS)
def test_moving_one_away_from_the_mean_is_less_even(counts: list[int]) -> None:
    worse = sorted(counts)
    if worse[0] == 0:
        return
    worse[0] -= 1
    worse[-1] += 1
    assert tails(worse).even >= tails(counts).even - 1e-9


@pytest.mark.parametrize(("n", "k"), [(500, 5), (1000, 10), (2000, 4)])
def test_exact_and_approximate_meet_in_large_samples(n: int, k: int) -> None:
    shuffler = random.Random(n)
    counts = [0] * k
    for _ in range(n):
        counts[shuffler.randrange(k)] += 1
    assert tails(counts).skewed == pytest.approx(stats.chisquare(counts).pvalue, abs=0.02)


def test_large_samples_are_chi_square() -> None:
    counts = [10_000 + 37 * (-1) ** i for i in range(1000)]
    found = tails(counts)
    assert not found.exact
    assert found.skewed == pytest.approx(stats.chisquare(counts).pvalue, rel=1e-9)
    assert found.even == pytest.approx(1 - found.skewed, rel=1e-9)


def test_everything_on_one_is_beyond_chance() -> None:
    assert 0 < tails([50, 0, 0, 0, 0]).skewed < 1e-30
    assert tails([50, 0, 0, 0, 0]).even == 1.0
    assert tails([10, 0, 0, 0, 0]).skewed < 1e-6


@pytest.mark.parametrize("counts", [[], [7], [0, 0, 0]])
def test_nothing_to_compare_is_neutral(counts: list[int]) -> None:
    assert (tails(counts).skewed, tails(counts).even) == (1.0, 1.0)


def test_rejects_evenly_random_counts_at_the_promised_rate() -> None:
    shuffler = random.Random(20)
    rejected, runs = 0, 1000
    for _ in range(runs):
        picked = shuffler.choices(range(5), k=50)
        rejected += tails([picked.count(i) for i in range(5)]).skewed < 0.05
    assert stats.binom.sf(rejected - 1, runs, 0.05) > 1e-3
    assert stats.binom.cdf(rejected, runs, 0.05) > 1e-3
