"""What a watched distribution means: its verdict, what it leaves out, and the likeliest cause."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from whichpod.cluster.kubernetes.observe import Round
from whichpod.cluster.kubernetes.traffic import Source
from whichpod.judge import judge
from whichpod.judge.causes.backends import failing_backend
from whichpod.judge.causes.scene import Scene
from whichpod.model.errors import UsageError
from whichpod.model.expectation import Expect, Expectation
from whichpod.model.report import Report
from whichpod.model.verdict import Balance, Diagnosis, Verdict

COUNTERS = (
    "istio_requests_total, grpc_server_handled_total, grpc_server_call_duration, rpc_server_call_duration "
    "and rpc_server_duration"
)
ENOUGH = 0.9
"""Part of the pods that must have been judged for an expectation to be met."""
_NAMED = 4
_UNEVEN = (Balance.NONE, Balance.PARTIAL, Balance.SKEWED)
_MANY_FAILED = 0.05
_PER_RPC = (
    "Balance RPCs rather than connections: Istio's sidecars at the clients, or a headless Service with the "
    "clients' round_robin policy."
)


def check(expectation: Expectation | None) -> None:
    """Raises UsageError for what counters can't tell."""
    if expectation and expectation.kind is Expect.PINNED:
        raise UsageError(
            "Servers' counters don't tell over which channel an RPC came, so pinned can't be expected.",
            fix="whichpod k8s probe can tell that.",
        )


def conclude(found: Round, expectation: Expectation | None) -> Report:
    """The report with its verdict and diagnosis.

    Only pods that took traffic, and were read, all the time are held against one another: see `Round`. RPCs
    that failed don't fail an expectation here: not what users' requests come to is in question, but who got
    them. Without any traffic, and with too many pods that could not be read, nothing is met.
    """
    report = found.report
    if expectation:
        expectation = replace(expectation, allow_failed=True)
    verdict = judge(
        found.compared,
        replace(report.target, known=found.members),
        report.plan,
        expectation,
        interrupted=report.end_reason == "interrupted",
    )
    notes = _notes(found)
    if not found.compared.scheduled:
        verdict = replace(
            verdict,
            sentence="No RPC was counted while watching, so there is no distribution to judge.",
            outcome="inconclusive" if expectation else None,
            reasons=(*_silence(found), *notes),
        )
    else:
        verdict = replace(verdict, reasons=(*verdict.reasons, *notes))
        judged = len(found.members)
        if verdict.outcome == "passed" and judged < ENOUGH * (judged + len(found.unread)):
            reason = f"Only {judged} of {judged + len(found.unread)} pods could be judged."
            verdict = replace(verdict, outcome="inconclusive", reasons=(reason, *verdict.reasons))
    report.verdict = verdict
    report.diagnosis = _diagnosis(found, verdict)
    return report


def _silence(found: Round) -> list[str]:
    name = found.report.target.address.partition(".")[0]
    if not found.members:
        return ["No pod was ready, and could be read, from the beginning to the end."]
    if found.other_services:
        return [
            f"The sidecars counted RPCs to {', '.join(found.other_services[:_NAMED])} only, none to {name}"
            ": where a pod belongs to several Services, Istio counts for one of them."
        ]
    if found.source is None:
        return [
            f"The pods' metrics have none of the counters {COUNTERS}: either there was never any RPC, or the "
            "servers count differently. --metrics-port and --metrics-path say where else to look."
        ]
    return ["There was no traffic: watch for longer (--for), or send some (whichpod k8s probe)."]


def _notes(found: Round) -> list[str]:
    notes: list[str] = []
    if found.unread:
        reasons: dict[str, list[str]] = {}
        for pod, why in sorted(found.unread.items()):
            reasons.setdefault(why.replace(pod, "it"), []).append(pod)
        notes += (f"Not judged: {_some(pods)}: {why.rstrip('.')}." for why, pods in reasons.items())
    if found.passing:
        listed = _some(f"{pod} ({n} RPCs)" for pod, n in sorted(found.passing.items()))
        notes.append(f"Not judged, since it was not ready all the time: {listed}.")
    if found.others:
        notes.append(f"{found.others} endpoints are no pods, so nobody counts for them.")
    if found.lost:
        notes.append(f"The watch ended before its time: {found.lost.message}")
    return notes


def _some(names: Iterable[str]) -> str:
    found = list(names)
    more = len(found) - _NAMED
    return ", ".join(found[:_NAMED]) + (f" and {more} more" if more > 0 else "")


def _diagnosis(found: Round, verdict: Verdict) -> Diagnosis | None:
    """The likeliest cause, by what the Service says of itself and by who counted."""
    tally = found.report.tally
    scene = Scene(found.report, verdict)
    if tally.failed > _MANY_FAILED * tally.scheduled and (failing := failing_backend(scene)):
        return failing
    if verdict.balance not in _UNEVEN:
        return None
    spec = found.spec
    answered = scene.answered().replace("answered", "got RPCs")
    name = found.report.target.address.partition(".")[0]
    if spec.get("sessionAffinity") == "ClientIP":
        return Diagnosis(
            "The Service binds each client's address to one pod.",
            (f"{name} has sessionAffinity: ClientIP", answered),
            "Set sessionAffinity: None, unless it is meant.",
            "affinity",
        )
    local = [
        f"{field}: {spec[field]}"
        for field, value in (("internalTrafficPolicy", "Local"), ("externalTrafficPolicy", "Local"))
        if spec.get(field) == value
    ]
    if spec.get("trafficDistribution"):
        local.append(f"trafficDistribution: {spec['trafficDistribution']}")
    if local:
        return Diagnosis(
            "The Service prefers pods near the client, so the spread follows where clients run.",
            (f"{name} has {', '.join(local)}", answered),
            "Spread the clients over nodes and zones as the pods are, or leave that field out.",
            "locality",
        )
    if found.source is Source.SIDECAR:
        outside = found.plaintext / max(1, tally.scheduled)
        evidence = ["the pods' sidecars counted", answered]
        if outside > 0:
            evidence.append(f"{min(1.0, outside):.0%} of the RPCs came without mutual TLS")
            return Diagnosis(
                "Clients outside the mesh: without a sidecar of their own they keep one connection, and all "
                "of its RPCs go to the pod at its end.",
                tuple(evidence),
                "Give the clients sidecars, or let them come in by a gateway that balances RPCs.",
                "clients-outside-mesh",
            )
        return Diagnosis(
            "The clients' sidecars don't choose evenly: a DestinationRule, locality, or a port that counts "
            "as TCP at their side.",
            tuple(evidence),
            "Look at the DestinationRule's loadBalancer and subsets, and at the Service's appProtocol: grpc.",
            "mesh-uneven",
        )
    headless = spec.get("clusterIP") == "None"
    return Diagnosis(
        "Each client keeps a connection, and with it the address that it found first."
        if headless
        else "kube-proxy chooses a pod for each connection, not for each RPC, and clients keep connections.",
        (
            f"{name} is headless: its name stands for the pods" if headless else f"{name} has a clusterIP",
            "the pods have no sidecar that counts",
            answered,
        ),
        "Set the clients' policy to round_robin, and the servers' MAX_CONNECTION_AGE, so that new pods are "
        "found."
        if headless
        else _PER_RPC,
        "pick-first" if headless else "l4-connection",
    )
