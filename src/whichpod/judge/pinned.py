"""The expectation that every channel stays with one server, `pinned[=CHANNELS]`."""

from __future__ import annotations

import math
from collections import Counter

from whichpod.judge.case import Case, Result
from whichpod.judge.words import per_server
from whichpod.stats import occupancy


def pinned(case: Case) -> Result:
    """Each channel must have been answered by one server, and enough channels must have been used.

    Which servers, and how many, is left to chance: the reasons say what it was and what is usual.
    """
    channels = case.tally.channels
    labels = {b.id: label for label, members in case.sample.members.items() for b in members}
    servers = {channel: {labels[key] for key in counts} for channel, counts in channels.items()}
    way = case.way
    spread = connections(servers, case.spread.known, way)
    wanted = case.expectation.at_least
    if len(channels) < wanted:
        reason = f"{len(channels)} of {wanted} {way}s were used."
        if case.spread.total < wanted:
            return Result("inconclusive", (reason, spread), wanted)
        return Result("failed", (reason, spread), more_may_help=True)
    strays = {channel: found for channel, found in servers.items() if len(found) > 1}
    if strays:
        channel, found = min(strays.items())
        reason = (
            f"{len(strays)} of {len(channels)} {way}s were answered by several servers, "
            f"{way} {channel} by {len(found)}."
        )
        return Result("failed", (reason,))
    return _beyond_chance(case, spread)


def _beyond_chance(case: Case, spread: str) -> Result:
    """Whether a choice per RPC could have kept every channel on one server: k^(1-n) for each channel."""
    known = case.spread.known
    repeats = sum(sum(counts.values()) - 1 for counts in case.tally.channels.values())
    if known < 2:
        return Result("inconclusive", (f"Only one server is known, so every {case.way} stays with it.",))
    level = 1 - case.expectation.confidence
    if -repeats * math.log(known) >= math.log(level):
        needed = len(case.tally.channels) + math.floor(-math.log(level) / math.log(known)) + 1
        reason = f"With so few RPCs per {case.way}, a choice per RPC may look the same."
        return Result("inconclusive", (reason, spread), needed)
    return Result("passed", (spread,))


def connections(servers: dict[int, set[str]], known: int, way: str = "channel") -> str:
    """How channels are spread over servers, and what an even random choice per connection makes usual."""
    per = Counter(next(iter(found)) for found in servers.values() if len(found) == 1)
    listed = per_server(per)
    reached = set().union(*servers.values())
    usual = occupancy.expected(known, len(servers))
    return (
        f"{len(servers)} {way}{'s' * (len(servers) != 1)} reached {len(reached)} of {known} servers "
        f"({listed}); a random choice per connection reaches {usual:.1f} on average."
    )
