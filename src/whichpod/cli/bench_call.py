"""What `whichpod bench` sends, and where to: from its options to the load engine's terms."""

from __future__ import annotations

import dataclasses
import random
from pathlib import Path

from whichpod.model.errors import TargetError, UsageError
from whichpod.model.plan import MOST_PAYLOAD, Plan
from whichpod.model.report import Report
from whichpod.model.target import Target


def aim_of(target: str, endpoints: str) -> Target:
    """The target of the argument or of --endpoints. Raises UsageError where there is none, or both."""
    from whichpod.probe.address import parse_address
    from whichpod.probe.endpoints import parse_endpoints

    if endpoints and target:
        raise UsageError("--endpoints stands instead of a target.", fix="Leave the target away.")
    if endpoints:
        return parse_endpoints(endpoints)
    if not target:
        raise UsageError("No target was given.", fix="For example: whichpod bench localhost:50051")
    if target.startswith("xds:"):
        raise UsageError(
            f"{target}: the load engine has no xDS client, and gRPC's own would be the limit.",
            fix="Give the servers' addresses (--endpoints a:p,b:p), or use whichpod probe.",
        )
    if parse_address(target).scheme == "unix-abstract":
        raise UsageError(f"{target}: the load engine takes no abstract sockets.", fix="Use unix:PATH.")
    return Target(target)


def addresses_of(target: Target) -> tuple[Target, tuple[str, ...]]:
    """The target with the backends that its name tells of, and every address to connect to.

    Raises TargetError where the name does not resolve.
    """
    from whichpod.probe.address import parse_address
    from whichpod.probe.resolve import reachable

    address = parse_address(target.address)
    if address.scheme == "unix":
        return target, (f"unix:{address.host}",)
    found = reachable(target.address)
    if len(found) > 1 and not target.known and not target.known_count:
        target = dataclasses.replace(target, known=found, known_count=len(found), known_by="resolved")
    return target, found


def bytes_of(value: str, option: str) -> bytes:
    """The text's bytes, or those of FILE where it is @FILE. Raises UsageError naming the option."""
    if not value.startswith("@"):
        return value.encode()
    try:
        found = Path(value[1:]).read_bytes()
    except OSError as e:
        raise UsageError(
            f"{option}: {value[1:]} can't be read: {e.strerror}.", fix="Name a readable file after @."
        ) from None
    if len(found) > MOST_PAYLOAD:
        raise UsageError(
            f"{option}: {value[1:]} is more than a message holds.", fix=f"{MOST_PAYLOAD} bytes at most."
        )
    return found


def payload_of(plan: Plan, payload: str, size: int) -> bytes:
    """What the echo service is sent: the payload given, or so many random bytes."""
    if payload and size:
        raise UsageError("--payload and --payload-size exclude each other.", fix="Give one of them.")
    if (payload or size) and plan.method:
        raise UsageError(
            "--payload and --payload-size belong to the echo service.",
            fix="A method's request is --data or --data-binary.",
        )
    if not 0 <= size <= MOST_PAYLOAD:
        raise UsageError(f"--payload-size {size} makes no sense.", fix=f"It takes 0 to {MOST_PAYLOAD} bytes.")
    if payload:
        return bytes_of(payload, "--payload")
    return random.Random(plan.seed).randbytes(size)  # noqa: S311 - not a secret


def unusable(report: Report) -> TargetError | None:
    """Why not one RPC could be done, where the target has no such method."""
    if report.tally.done or report.tally.failed != report.tally.statuses.get("UNIMPLEMENTED", -1):
        return None
    at, method = report.target.address, report.plan.method
    if method:
        return TargetError(
            f"{at} has no method {method} (UNIMPLEMENTED).", fix="Check its name and the server's version."
        )
    return TargetError(
        f"{at} answers gRPC, but has no echo service (UNIMPLEMENTED).",
        fix="Run `whichpod serve` there, or call a method that it has: --method package.Service/Method.",
    )
