"""Claims about Istio."""

from __future__ import annotations

from whichpod.model.claims import Ruling
from whichpod.model.verdict import Balance
from whichpod.scenarios.claims.claim import Claim, Evidence, UnsettledError, distribution
from whichpod.scenarios.claims.paths import SPREAD


def max_requests(e: Evidence) -> tuple[Ruling, str]:
    """Whether maxRequestsPerConnection is what spreads RPCs."""
    without, with_it = e.balance("istio"), e.balance("istio-max-requests")
    tcp = e.balance("istio-tcp-max-requests")
    said = (
        f"ROUND_ROBIN without it: {distribution(e.row('istio'))}; with maxRequestsPerConnection 10: "
        f"{distribution(e.row('istio-max-requests'))}; on a port that counts as TCP, with it: "
        f"{distribution(e.row('istio-tcp-max-requests'))}. A sidecar picks a pod for each request; the field "
        "only closes connections and opens others."
    )
    ensures = with_it in SPREAD and tcp in SPREAD and without not in SPREAD
    return (Ruling.CONFIRMED if ensures else Ruling.REFUTED), said


def port_forward(e: Evidence) -> tuple[Ruling, str]:
    """Whether what is sent through port-forward passes the mesh by."""
    inside, outside = e.balance("istio"), e.balance("istio-port-forward")
    said = (
        f"Through port-forward: {distribution(e.row('istio-port-forward'))}; from a client in the mesh: "
        f"{distribution(e.row('istio'))}."
    )
    if inside not in SPREAD:
        raise UnsettledError(f"istio: {said}")
    return (Ruling.CONFIRMED if outside is Balance.NONE else Ruling.REFUTED), said


def tcp_port(e: Evidence) -> tuple[Ruling, str]:
    """Whether the port's name takes the balancing away."""
    named, tcp = e.balance("istio"), e.balance("istio-tcp-port")
    said = f"grpc-...: {distribution(e.row('istio'))}; tcp-...: {distribution(e.row('istio-tcp-port'))}."
    return (Ruling.CONFIRMED if named in SPREAD and tcp is Balance.NONE else Ruling.REFUTED), said


def headless(e: Evidence) -> tuple[Ruling, str]:
    """Whether a DestinationRule's balancer reaches a headless Service."""
    found = e.balance("istio-headless")
    said = (
        f"A meshed client with pick_first on a headless Service, DestinationRule ROUND_ROBIN: "
        f"{distribution(e.row('istio-headless'))}."
    )
    return (Ruling.CONFIRMED if found is Balance.NONE else Ruling.REFUTED), said


def overhead(e: Evidence) -> tuple[Ruling, str]:
    """What sidecars cost here. A figure, to stand beside whatever was read elsewhere."""
    direct, meshed = e.measured("direct").figures, e.measured("istio").figures
    if direct is None or meshed is None or meshed.added_p50_ns is None or meshed.added_p99_ns is None:
        raise UnsettledError("performance: a repetition of the rows direct and istio failed.")
    p50, p99, cpu = meshed.added_p50_ns, meshed.added_p99_ns, meshed.cpu_ratio
    said = (
        f"At a low rate they add {p50.median / 1e6:.2f} ms to p50 ({p50.low / 1e6:.2f} to "
        f"{p50.high / 1e6:.2f}) and {p99.median / 1e6:.2f} ms to p99; at saturation "
        f"{meshed.rps.median:,.0f} RPCs per second instead of {direct.rps.median:,.0f} on {meshed.cpus} cores"
        + (f", at {cpu.median:.1f} times the CPU per RPC of all processes" if cpu else "")
        + ". What share that is depends on what an RPC costs the application: these do nothing else."
    )
    if p50.median <= 0:
        raise UnsettledError(f"The sidecars were not slower than the direct way. {said}")
    return Ruling.DEPENDS, said


ISTIO = (
    Claim(
        "max-requests-per-connection",
        "`maxRequestsPerConnection: 10` ensures distribution under Istio.",
        max_requests,
        rows=("istio",),
        trials=("istio-max-requests", "istio-tcp-max-requests"),
    ),
    Claim(
        "port-forward-bypasses",
        "kubectl port-forward bypasses the sidecar.",
        port_forward,
        rows=("istio", "istio-port-forward"),
    ),
    Claim(
        "tcp-port-name",
        "A port called `tcp-...` is balanced per connection under Istio.",
        tcp_port,
        rows=("istio", "istio-tcp-port"),
        told_by="istio.io, Protocol Selection",
    ),
    Claim(
        "headless-ignores-the-rule",
        "Under Istio a headless Service ignores the DestinationRule's balancer.",
        headless,
        trials=("istio-headless",),
        told_by="Istio's source, ORIGINAL_DST clusters",
    ),
    Claim(
        "overhead",
        "Istio's sidecars add little latency and cost little.",
        overhead,
        performance=("direct", "istio"),
    ),
)
