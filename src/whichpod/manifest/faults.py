"""Reads faults (istio.io, Reference, Virtual Service, HTTPFaultInjection)."""

from __future__ import annotations

from whichpod.manifest.fields import Fields
from whichpod.manifest.routing import Abort, Delay, Fault

GRPC_STATUS = {
    "OK": 0,
    "CANCELLED": 1,
    "UNKNOWN": 2,
    "INVALID_ARGUMENT": 3,
    "DEADLINE_EXCEEDED": 4,
    "NOT_FOUND": 5,
    "ALREADY_EXISTS": 6,
    "PERMISSION_DENIED": 7,
    "RESOURCE_EXHAUSTED": 8,
    "FAILED_PRECONDITION": 9,
    "ABORTED": 10,
    "OUT_OF_RANGE": 11,
    "UNIMPLEMENTED": 12,
    "INTERNAL": 13,
    "UNAVAILABLE": 14,
    "DATA_LOSS": 15,
    "UNAUTHENTICATED": 16,
}


def read_fault(f: Fields) -> Fault:
    """Reads a fault. As in Istio, one without a percentage happens to no request."""
    found = Fault(
        _delay(delay) if (delay := f.child("delay")) else None,
        _abort(abort) if (abort := f.child("abort")) else None,
    )
    f.done()
    if not found.delay and not found.abort and not f.node.items:
        f.findings.fail(f.where, f"{f.subject}: {f.path} must have delay or abort.")
    return found


def _delay(d: Fields) -> Delay | None:
    old = d.optional_whole("percent", high=100)
    if old is not None:
        d.note("percent", "is deprecated; Istio still reads it. Write percentage.")
    percent = read_percent(d, "percentage") if "percentage" in d else old
    d.silent("percentage")
    d.left_out("exponentialDelay", why="is not supported, by Istio neither.")
    seconds = d.duration("fixedDelay", low=0.001)
    d.done()
    if seconds is None:
        if "fixedDelay" not in d and "exponentialDelay" not in d:
            d.fail("fixedDelay", "is missing.")
        return None
    if percent is None:
        d.note("percentage", "is missing, so no request is delayed.")
    return Delay(seconds, percent or 0.0)


def _abort(a: Fields) -> Abort | None:
    percent = read_percent(a, "percentage") if "percentage" in a else None
    a.silent("percentage")
    http, grpc, http2 = a.whole("httpStatus"), a.text("grpcStatus"), a.text("http2Error")
    a.done()
    if http2:
        a.unsupported("http2Error", "is not supported, by Istio neither.")
        return None
    if bool(http) == bool(grpc):
        a.findings.fail(a.where, f"{a.subject}: {a.path} must have one of httpStatus and grpcStatus.")
    if http and not 200 <= http <= 599:
        a.fail("httpStatus", f"must be from 200 to 599, not {http}.")
    if grpc and grpc not in GRPC_STATUS:
        a.fail("grpcStatus", f"{grpc!r} is no gRPC status.", fix=f"Known: {', '.join(GRPC_STATUS)}.")
    if percent is None:
        a.note("percentage", "is missing, so no request is aborted.")
    return Abort(http, GRPC_STATUS.get(grpc) if grpc else None, percent)


def read_percent(of: Fields, name: str) -> float:
    """Reads a Percent; nothing in it means 0."""
    found = 0.0
    if percent := of.child(name):
        found = percent.number("value", 0, low=0, high=100)
        percent.done()
    return found
