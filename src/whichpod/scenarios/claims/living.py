"""Claims about what happens when pods come, fail and slow down."""

from __future__ import annotations

import os

from whichpod.model.claims import Ruling
from whichpod.model.verdict import Balance
from whichpod.scenarios.claims.claim import Claim, Evidence, distribution

FAILS = "fail-trailers-only"


def outlier_as_printed(e: Evidence) -> tuple[Ruling, str]:
    """Whether outlierDetection with consecutiveErrors takes a failing pod out."""
    without, printed, corrected = (
        e.number(f"{FAILS}/{path}", "failed")
        for path in ("istio-no-retries", "istio-as-printed", "istio-corrected")
    )
    said = (
        f"One of five pods fails every RPC for 6 s, retries off: {without:.0f} RPCs failed without outlier "
        f"detection, {printed:.0f} with it as printed, {corrected:.0f} with consecutive5xxErrors and a "
        "maxEjectionPercent that lets one of five pods go. Istio does not read consecutiveErrors."
    )
    return (Ruling.REFUTED if printed > without / 2 else Ruling.CONFIRMED), said


def least_request(e: Evidence) -> tuple[Ruling, str]:
    """Whether LEAST_REQUEST is better than ROUND_ROBIN: it is where pods differ, and not where they don't."""
    rr, lr = e.row("istio"), e.row("istio-least-request")
    if Balance.NONE in (e.balance("istio"), e.balance("istio-least-request")):
        return Ruling.REFUTED, f"{distribution(rr)} and {distribution(lr)}."
    assert rr.verdict is not None
    assert lr.verdict is not None
    turns, least = "slow/istio", "slow/istio-least-request"
    share, lower = e.number(turns, "its"), e.number(least, "its")
    slow, fast = e.number(turns, "p90_ms"), e.number(least, "p90_ms")
    said = (
        f"One pod of five takes 100 ms, the others 1 ms, 20 RPCs in flight: ROUND_ROBIN gives it {share:.0f} "
        f"%, with a p90 of {slow:.0f} ms and {e.number(turns, 'after'):.0f} RPCs per second, LEAST_REQUEST "
        f"{lower:.0f} %, {fast:.0f} ms and {e.number(least, 'after'):.0f} (on {os.cpu_count()} cores for "
        f"all). Five equal pods, one RPC at a time: {distribution(rr)} and {distribution(lr)}, since with "
        "nothing in flight all pods tie and the choice is random."
    )
    more_even = lr.verdict.spread.cv < rr.verdict.spread.cv
    if lower < share / 2 and fast < slow:
        return (Ruling.CONFIRMED if more_even else Ruling.DEPENDS), said
    return Ruling.REFUTED, said


def scaled_out(e: Evidence) -> tuple[Ruling, str]:
    """Whether new pods get anything under headless and round_robin."""
    alone, aged = e.number("scale/headless", "new_hit"), e.number("scale/headless-age", "new_hit")
    said = (
        f"Five pods to ten, for 7 s: {alone:.0f} of the new ones were asked anything. With connections that "
        f"servers end after a while, {aged:.0f} were: a connection that ends is what has DNS asked again."
    )
    if alone:
        return Ruling.REFUTED, said
    return (Ruling.DEPENDS if aged else Ruling.CONFIRMED), said


def control_plane(e: Evidence) -> tuple[Ruling, str]:
    """Whether traffic goes on without a control plane."""
    sidecar, client = (e.number(f"control-plane/{path}", "failed") for path in ("istio", "proxyless"))
    starter = e.number("control-plane/proxyless", "newcomer_failed")
    said = (
        f"While it was away {sidecar:.0f} RPCs failed through the client's sidecar and {client:.0f} of a "
        f"proxyless client that was there before; of one that started meanwhile, {starter:.0f}."
    )
    return (Ruling.CONFIRMED if not sidecar and not client else Ruling.REFUTED), said


LIVING = (
    Claim(
        "consecutive-errors",
        "`outlierDetection.consecutiveErrors` takes failing pods out of the pool.",
        outlier_as_printed,
        cells=tuple(
            f"{FAILS}/{path}" for path in ("istio-no-retries", "istio-as-printed", "istio-corrected")
        ),
    ),
    Claim(
        "least-request-is-better",
        "LEAST_REQUEST is better than ROUND_ROBIN.",
        least_request,
        rows=("istio", "istio-least-request"),
        cells=("slow/istio", "slow/istio-least-request"),
    ),
    Claim(
        "scaled-out-pods-get-nothing",
        "With a headless Service and round_robin, pods that are added get nothing.",
        scaled_out,
        cells=("scale/headless", "scale/headless-age"),
        told_by="grpc/grpc #12295; grpc/grpc-go #6604",
    ),
    Claim(
        "control-plane-dies",
        "When the control plane dies, traffic goes on.",
        control_plane,
        cells=("control-plane/istio", "control-plane/proxyless"),
        told_by="Envoy, xDS REST and gRPC protocol",
    ),
)
