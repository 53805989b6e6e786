"""Causes in what stands between client and servers, by the peers that the servers saw."""

from __future__ import annotations

from whichpod.judge.causes.scene import ISTIO_INBOUND, Scene, many
from whichpod.judge.names import is_loopback
from whichpod.model.verdict import Balance, Diagnosis


def port_forward(scene: Scene) -> Diagnosis | None:
    """kubectl port-forward dials localhost inside one pod: the server sees a loopback peer.

    Only where the pod's own address isn't a loopback one, since on one machine every peer is.
    """
    if not scene.pods_have_addresses or not scene.saw or ISTIO_INBOUND in scene.saw:
        return None
    if scene.verdict.spread.hit != 1 or not all(map(is_loopback, scene.saw)):
        return None
    return Diagnosis(
        "The RPCs came to the pod from its own localhost, as kubectl port-forward sends them: it picks "
        "one pod and "
        "passes by every balancer and sidecar.",
        (
            f"the server saw the peer {', '.join(sorted(scene.saw))}, while its own address is "
            f"{', '.join(sorted(scene.backend_ips))}",
            scene.answered(),
        ),
        "Send from inside the cluster: run whichpod probe in a pod of its own, with a sidecar if the "
        "mesh is tested.",
        "port-forward",
    )


def stream_pinned(scene: Scene) -> Diagnosis | None:
    """A stream can't be moved once started (grpc.io, performance guide)."""
    plan, verdict = scene.report.plan, scene.verdict
    if verdict.unit != "message":
        return None
    return Diagnosis(
        "All messages belong to one stream, and a stream stays with the server that it began with.",
        (f"1 {plan.stream} stream of {many(verdict.spread.total, 'message')}", scene.answered()),
        "Use more and shorter streams: each is balanced like an RPC of its own.",
        "stream-pinned",
    )


def mesh_tcp(scene: Scene) -> Diagnosis | None:
    """Through Istio's sidecars, and still balanced per connection: the port counts as TCP.

    Istio, "Protocol Selection": the protocol comes from appProtocol, else from the port's name.
    """
    if scene.saw != {ISTIO_INBOUND} or not scene.pinned:
        return None
    if scene.balance not in (Balance.NONE, Balance.PARTIAL, Balance.SKEWED):
        return None
    return Diagnosis(
        "The RPCs pass through Istio's sidecars, which balance connections here and not RPCs.",
        (
            f"the servers saw the peer {ISTIO_INBOUND}, which is Istio's inbound sidecar",
            f"each {scene.way} stayed with one server",
            scene.answered(),
        ),
        "Name the Service's port grpc (or grpc-…), or set appProtocol: grpc, so that Istio doesn't take "
        "it for TCP. "
        "If it is, check that the DestinationRule's subset labels match all pods, and that it has no "
        "consistentHash, which keeps RPCs of the same key at one of them.",
        "mesh-tcp",
    )
