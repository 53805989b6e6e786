"""Causes in the number and life of connections."""

from __future__ import annotations

from collections import Counter

from whichpod.judge.causes.scene import Scene, many
from whichpod.judge.words import per_server
from whichpod.model.verdict import Balance, Diagnosis
from whichpod.stats import occupancy

_L7 = (
    "Balance RPCs rather than connections: an L7 proxy or mesh, or a headless Service with the client's "
    "round_robin policy."
)


def l4_connection(scene: Scene) -> Diagnosis | None:
    """One connection through something that picks a server per connection (kube-proxy's NAT, an L4 proxy)."""
    ev = scene.evidence
    alone = ev.connections_open == 1 or (ev.connections_open == 0 and scene.channels == 1)
    if scene.balance is not Balance.NONE or not alone or len(scene.addresses) > 1:
        return None
    evidence = [scene.connected(), scene.answered()]
    if scene.addresses:
        own = scene.backend_ips and not scene.backend_ips & scene.remote_hosts
        evidence.append(
            f"the client has one address, {scene.addresses[0]}" + (", not the server's own" if own else "")
        )
    return Diagnosis(
        "All RPCs share one connection, and what stands behind its one address picked a server when the "
        "connection was opened.",
        tuple(evidence),
        _L7,
        "l4-connection",
    )


def shared_connection(scene: Scene) -> Diagnosis | None:
    """Fewer connections than channels: grpcio shares subchannels in a global pool (grpc #20985)."""
    ev = scene.evidence
    if scene.report.plan.new_connection_per_request or scene.loaded:
        return None
    if not 0 < ev.connections_open < scene.channels:
        return None
    return Diagnosis(
        "Several channels share a connection, so they share its server too.",
        (scene.connected(), scene.answered()),
        "Give each channel a subchannel pool of its own (channel option "
        "grpc.use_local_subchannel_pool=1), and "
        "balance RPCs rather than connections.",
        "shared-connection",
    )


def affinity(scene: Scene) -> Diagnosis | None:
    """Several connections, one server, and chance can't explain it."""
    count = scene.evidence.connections_open
    if scene.balance is not Balance.NONE or count < 2 or scene.spreads_by_client:
        return None
    chance = occupancy.at_most(1, scene.verdict.spread.known, count)
    if chance >= 0.01:
        return None
    return Diagnosis(
        "Something sends every connection to the same server.",
        (
            scene.connected(),
            scene.answered(),
            f"a random choice per connection does that with a chance of {chance:.2g}",
        ),
        "Look for sessionAffinity: ClientIP on the Service, a consistent hash in the proxy, or a single "
        "ready "
        "endpoint (kubectl get endpointslices).",
        "affinity",
    )


def connections_random(scene: Scene) -> Diagnosis | None:
    """Several connections, each with a server picked at random: k connections reach k(1-(1-1/k)^c)."""
    if scene.channels < 2 or not scene.pinned or scene.spreads_by_client:
        return None
    labels = {key: entry.backend.label for key, entry in scene.tally.backends.items()}
    per = Counter(labels[next(iter(found))] for found in scene.tally.channels.values())
    known = scene.verdict.spread.known
    usual = occupancy.expected(known, scene.channels)
    return Diagnosis(
        "A server is picked at random for each connection, not for each RPC, and each connection stays "
        "with its "
        "server.",
        (
            scene.connected(),
            f"{scene.way}s per server: {per_server(per)}",
            f"{scene.channels} random choices reach {usual:.1f} of {known} servers on average",
        ),
        _L7 + " More connections only make it less uneven.",
        "connections-random",
    )


def churn(scene: Scene) -> Diagnosis | None:
    """Connections are closed and opened again, and each time a server is picked anew."""
    ev = scene.evidence
    if scene.report.plan.new_connection_per_request or scene.balance is Balance.NONE:
        return None
    if ev.connections_open < 1 or ev.connections_opened < 2 * ev.connections_open or scene.spreads_by_client:
        return None
    return Diagnosis(
        "RPCs move to another server only when their connection is replaced, so the load wanders from "
        "one to the "
        "next.",
        (
            f"{many(ev.connections_opened, 'connection')} opened in all, {ev.connections_open} at one time",
            scene.answered(),
        ),
        "This is what MAX_CONNECTION_AGE or a limit of requests per connection does. " + _L7,
        "connection-churn",
    )
