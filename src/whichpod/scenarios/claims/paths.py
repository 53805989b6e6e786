"""Claims about which path spreads RPCs at all."""

from __future__ import annotations

from whichpod.model.claims import Ruling
from whichpod.model.verdict import Balance
from whichpod.scenarios.claims.claim import Claim, Evidence, UnsettledError, distribution, listed

SPREAD = (Balance.EVEN, Balance.RANDOM)
CLIENT_SIDE = ("headless-round-robin", "multi-endpoint", "proxyless")
EDGES = ("edge-envoy", "edge-nginx", "edge-caddy", "edge-haproxy")


def _ran(e: Evidence, names: tuple[str, ...]) -> dict[str, str]:
    """Those of the rows that ran and spread their RPCs, with their counts; where none ran, raises."""
    found, why = {}, ""
    for name in names:
        try:
            found[name] = e.balance(name)
        except UnsettledError as error:
            why = str(error)
    if not found:
        raise UnsettledError(why)
    return {name: distribution(e.row(name)) for name, balance in found.items() if balance in SPREAD}


def client_side(e: Evidence) -> tuple[Ruling, str]:
    """Whether a client can balance by itself."""
    spread, behind_ip = _ran(e, CLIENT_SIDE), e.balance("clusterip-round-robin")
    at_ip = distribution(e.row("clusterip-round-robin"))
    if not spread:
        return Ruling.CONFIRMED, f"No client-side way spread its RPCs; a ClusterIP name gave {at_ip}."
    said = ", ".join(f"{name} {counts}" for name, counts in spread.items())
    if behind_ip is Balance.NONE:
        said += f". True only of a ClusterIP name, which is one address: round robin over it gave {at_ip}"
    return Ruling.REFUTED, f"{said}."


def only_istio(e: Evidence) -> tuple[Ruling, str]:
    """Whether anything but Istio's sidecars spreads RPCs."""
    spread = _ran(e, (*CLIENT_SIDE, *EDGES))
    if not spread:
        return Ruling.CONFIRMED, "Nothing else that was run spread its RPCs."
    istio = distribution(e.row("istio"))
    return (
        Ruling.REFUTED,
        f"Without Istio: {listed([f'{n} {c}' for n, c in spread.items()])}. With it: {istio}.",
    )


def always_one_pod(e: Evidence) -> tuple[Ruling, str]:
    """Whether a ClusterIP Service sends everything to one pod, however many connections there are."""
    one = e.balance("clusterip")
    pods, groups = grouped(e, "clusterip-many-connections", 5)
    mean, known = sum(groups) / len(groups), pods
    due = known * (1 - (1 - 1 / known) ** 5)
    said = (
        f"One connection: {distribution(e.row('clusterip'))}. Five connections reach {mean:.2f} of {known} "
        f"pods on average ({len(groups)} times five; a random choice per connection gives {due:.2f})."
    )
    if one is not Balance.NONE:
        return Ruling.REFUTED, said
    return (Ruling.DEPENDS if mean > 1.5 else Ruling.CONFIRMED), said


def connections_help(e: Evidence) -> tuple[Ruling, str]:
    """Whether more connections reach more pods."""
    pods, groups = grouped(e, "clusterip-many-connections", 5)
    _, all_of_them = grouped(e, "clusterip-many-connections", 0)
    one = e.row("clusterip").backends_hit
    mean = sum(groups) / len(groups)
    said = (
        f"1 connection reaches {one} of {pods} pods, 5 reach {mean:.2f} on average, "
        f"{len(e.report('clusterip-many-connections').tally.channels)} reach {all_of_them[0]}. The spread is "
        f"that of connections over pods, by chance: {distribution(e.row('clusterip-many-connections'))}."
    )
    return (Ruling.REFUTED if mean > one + 0.5 else Ruling.CONFIRMED), said


def grouped(e: Evidence, name: str, size: int) -> tuple[int, list[int]]:
    """How many pods there are, and how many each `size` connections reached together; 0: all connections."""
    row, tally = e.row(name), e.report(name).tally
    channels = [set(counts) for _, counts in sorted(tally.channels.items())]
    if any(len(pods) != 1 for pods in channels):
        raise UnsettledError(f"{name}: a connection had answers of several pods.")
    size = size or len(channels)
    whole = len(channels) // size
    if not whole:
        raise UnsettledError(f"{name}: {len(channels)} connections are too few.")
    return row.backends_known, [len(set.union(*channels[i * size : (i + 1) * size])) for i in range(whole)]


def shared_channels(e: Evidence) -> tuple[Ruling, str]:
    """Whether channels of one process have connections of their own by default."""
    report = e.report("shared-channels")
    opened, channels = report.evidence.connections_opened, report.plan.channels
    own = e.report("clusterip-connections").evidence.connections_opened
    said = (
        f"{channels} channels with gRPC's defaults had {opened} connection{'s' * (opened != 1)}: "
        f"{distribution(e.row('shared-channels'))}. With a subchannel pool each "
        f"(grpc.use_local_subchannel_pool) they had {own}: {distribution(e.row('clusterip-connections'))}."
    )
    return (Ruling.REFUTED if opened < channels else Ruling.CONFIRMED), said


def one_address(e: Evidence) -> tuple[Ruling, str]:
    """Whether round robin over one address complains."""
    report = e.report("clusterip-round-robin")
    tally = report.tally
    said = f"round_robin over the one address of a ClusterIP: {tally.done} RPCs done, {tally.failed} failed, "
    said += f"{distribution(e.row('clusterip-round-robin'))}, and not a word of warning. "
    nobody = e.rows.get("no-address")
    if nobody is None or (nobody.report is not None and not nobody.report.tally.failed):
        raise UnsettledError("no-address: it was to fail, and has not.")
    why = nobody.reason or (nobody.report.evidence.first_error if nobody.report else "")
    said += f"A name without addresses fails: {why}"
    return (Ruling.CONFIRMED if tally.failed else Ruling.REFUTED), said


def streams_pinned(e: Evidence) -> tuple[Ruling, str]:
    """Whether a stream stays with its pod even behind a proxy that balances RPCs."""
    one, many = e.balance("istio-stream"), e.balance("istio-streams")
    said = (
        f"One stream: {distribution(e.row('istio-stream'))} messages. Many streams: "
        f"{distribution(e.row('istio-streams'))}."
    )
    return (Ruling.CONFIRMED if one is Balance.NONE and many in SPREAD else Ruling.REFUTED), said


PATHS = (
    Claim(
        "client-side-impossible",
        "Client-side load balancing is impossible in Kubernetes.",
        client_side,
        rows=(*CLIENT_SIDE, "clusterip-round-robin"),
    ),
    Claim("only-istio", "Istio is the only solution.", only_istio, rows=("istio", *CLIENT_SIDE, *EDGES)),
    Claim(
        "one-pod",
        "A standard Service always sends all gRPC traffic to one pod.",
        always_one_pod,
        rows=("clusterip",),
        trials=("clusterip-many-connections",),
    ),
    Claim(
        "connections-do-not-help",
        "Multiple connections don't help.",
        connections_help,
        rows=("clusterip",),
        trials=("clusterip-many-connections",),
    ),
    Claim(
        "channels-are-connections",
        "N channels are N connections.",
        shared_channels,
        rows=("clusterip-connections",),
        trials=("shared-channels",),
        told_by="common belief; grpc/grpc #20985",
    ),
    Claim(
        "no-children-to-pick-from",
        "`no children to pick from` (round_robin fails) means that the name has only one address.",
        one_address,
        rows=("clusterip-round-robin",),
        trials=("no-address",),
    ),
    Claim(
        "streams-are-pinned",
        "A long-lived stream stays on one pod, whatever balances.",
        streams_pinned,
        rows=("istio-stream", "istio-streams"),
        told_by="grpc.io, Performance Best Practices",
    ),
)
