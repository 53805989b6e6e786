"""Tests of evenness: chi-square, exact multinomial tails, occupancy, fairness. Standard library only.

    spread.spread(counts) -> Spread                       all the numbers behind a verdict
    evenness.tails(counts) -> Tails                       p-values against an even, independent choice
    weights.against(counts, weights) -> Fit               the same against given weights
    occupancy.at_most(hit, backends, requests) -> float   how likely chance leaves so many silent
    samples.*                                             how many RPCs a decision takes

Nothing here knows what a backend is: input is counts, output is numbers.
"""
