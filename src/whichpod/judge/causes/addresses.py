"""Causes in the addresses that the client has."""

from __future__ import annotations

from whichpod.judge.causes.scene import Scene
from whichpod.judge.names import host, is_address
from whichpod.model.verdict import Balance, Diagnosis

_NOT_ASKED_AGAIN = (
    "gRPC asks DNS again only when a connection breaks: set the servers' MAX_CONNECTION_AGE, or use a "
    "resolver that watches. Check that the silent servers are ready."
)
_LOOKED_UP_ONCE = (
    "A load run looks the name up once, at its start. Check that the silent servers were ready by then, and "
    "that the name stands for all of them."
)


def one_address(scene: Scene) -> Diagnosis | None:
    """A policy that takes turns has one address to take turns over; or the target is one server's own."""
    if scene.balance is not Balance.NONE or len(scene.addresses) != 1 or not _plain(scene):
        return None
    address = scene.addresses[0]
    direct = host(address) in scene.backend_ips
    if not (direct or scene.spreads_by_client):
        return None
    cause = (
        "The client has one address, and it is the server's own."
        if direct
        else f"The policy {scene.policy} has one address to choose from, so it changes nothing."
    )
    return Diagnosis(
        cause,
        (f"{scene.report.target.address} stands for {address} only", scene.answered()),
        "Give the client every server's address: a headless Service (clusterIP: None) with round_robin, "
        "a static "
        "list, or xds:///.",
        "one-address",
    )


def pick_first(scene: Scene) -> Diagnosis | None:
    """gRPC's default policy stays with the first address that answers (grpc.io, load balancing)."""
    if scene.spreads_by_client or len(scene.addresses) < 2:
        return None
    if not (scene.pinned or scene.balance is Balance.NONE):
        return None
    shown = ", ".join(scene.addresses[:5]) + (", …" if len(scene.addresses) > 5 else "")
    return Diagnosis(
        f"The policy {scene.policy} uses one address per channel, whichever answers first.",
        (f"{len(scene.addresses)} addresses: {shown}",
         f"policy {scene.policy}", scene.answered()),
        "Use --policy round_robin; in code, the service config "
        '{"loadBalancingConfig": [{"round_robin": {}}]}.',
        "pick-first",
    )  # fmt: skip


def missing_addresses(scene: Scene) -> Diagnosis | None:
    """The client takes turns over fewer addresses than there are servers."""
    spread = scene.verdict.spread
    if scene.balance is not Balance.PARTIAL or not scene.spreads_by_client or not _plain(scene):
        return None
    if not 1 < len(scene.addresses) < spread.known or spread.hit > len(scene.addresses):
        return None
    return Diagnosis(
        "The client doesn't have the addresses of all servers.",
        (f"{len(scene.addresses)} addresses known to the client, {spread.known} servers", scene.answered()),
        _LOOKED_UP_ONCE if scene.loaded else _NOT_ASKED_AGAIN,
        "missing-addresses",
    )


def unreachable_address(scene: Scene) -> Diagnosis | None:
    """The load engine could not connect to one of its addresses, and sent its share to the others."""
    error = scene.evidence.first_error
    address = next((a for a in scene.evidence.resolved if error.startswith(f"{a}: ")), None)
    if not scene.loaded or address is None:
        return None
    return Diagnosis(
        f"{address} could not be connected to, so the other addresses got its share.",
        (error, scene.connected(), scene.answered()),
        "Check that a server listens there and is ready, or take the address out of the name or the list.",
        "unreachable-address",
    )


def _plain(scene: Scene) -> bool:
    """Whether the addresses are the client's own to choose from, as they aren't with xds:///."""
    return not scene.report.target.address.startswith("xds:") and all(map(is_address, scene.addresses))
