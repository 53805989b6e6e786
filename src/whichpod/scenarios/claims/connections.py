"""Claims about the lives of connections."""

from __future__ import annotations

from whichpod.model.claims import Ruling
from whichpod.scenarios.claims.claim import Claim, Evidence, UnsettledError, distribution


def age_spreads(e: Evidence) -> tuple[Ruling, str]:
    """Whether MAX_CONNECTION_AGE spreads RPCs over a ClusterIP."""
    row = e.row("connection-age")
    failed = e.report("connection-age").tally.failed
    opened = e.report("connection-age").evidence.connections_opened
    said = (
        f"{row.backends_hit} of {row.backends_known} pods answered over {opened} connections in turn: "
        f"{distribution(row)}, {failed} failed. Each new connection picks a pod at random."
    )
    if row.backends_hit < 2:
        return Ruling.REFUTED, said
    return Ruling.DEPENDS, f"{said} Over time it comes out even on average, at any one time it is one pod."


def age_cuts(e: Evidence) -> tuple[Ruling, str]:
    """Whether MAX_CONNECTION_AGE cuts RPCs that last longer than age and grace."""
    short, long = e.report("age-short-grace").tally, e.report("age-long-grace").tally
    said = (
        f"RPCs of 1 s, connections of 0.3 s: with 0.2 s of grace {short.failed} of {short.scheduled} failed, "
        f"with 5 s {long.failed} of {long.scheduled}."
    )
    if short.failed and not long.failed:
        return Ruling.DEPENDS, f"{said} It takes a grace that outlives the longest RPC."
    return (Ruling.CONFIRMED if short.failed else Ruling.REFUTED), said


def cliff(e: Evidence) -> tuple[Ruling, str]:
    """Whether latency jumps where more RPCs are in flight than the server allows on a connection."""
    below, above = e.report("streams-100"), e.report("streams-200")
    two = e.report("streams-200-on-two")
    a, b, c = (r.tally.latency.percentile(50) / 1e6 for r in (below, above, two))
    said = (
        f"A server that takes 400 ms and 100 streams per connection: p50 is {a:.0f} ms with 100 in flight "
        f"on one connection, {b:.0f} ms with 200, {c:.0f} ms with 200 on two connections."
    )
    if below.tally.failed or above.tally.failed or two.tally.failed:
        raise UnsettledError(f"RPCs failed. {said}")
    return (Ruling.CONFIRMED if b > 1.5 * a and b > 1.25 * c else Ruling.REFUTED), said


CONNECTIONS = (
    Claim(
        "connection-age-spreads",
        "MAX_CONNECTION_AGE on the servers spreads RPCs over a ClusterIP.",
        age_spreads,
        rows=("connection-age",),
        told_by="grpc.io, Performance Best Practices; grpc/grpc #12295",
    ),
    Claim(
        "connection-age-cuts",
        "MAX_CONNECTION_AGE cuts RPCs that are under way.",
        age_cuts,
        trials=("age-short-grace", "age-long-grace"),
        told_by="grpc/grpc #12295",
    ),
    Claim(
        "latency-cliff",
        "Beyond some hundred RPCs in flight on a connection latency jumps, and a second connection cures it.",
        cliff,
        trials=("streams-100", "streams-200", "streams-200-on-two"),
        told_by="grpc.io, Performance Best Practices",
    ),
)
