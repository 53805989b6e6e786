"""What the probing commands share: the plan that their options make."""

from __future__ import annotations

from typing import Any

from whichpod.cli.options import metadata_pairs, text_or_file
from whichpod.model.errors import UsageError
from whichpod.model.expectation import Expectation, expecting
from whichpod.model.plan import Plan, Stream
from whichpod.model.units import parse_duration

MESSAGES = 10


def probe_plan(
    expectation: Expectation | None,
    *,
    requests: int | None,
    duration: str,
    clients: int,
    connections: int,
    service_config: str,
    stream: Stream,
    messages: int | None,
    method: str,
    data: str,
    deadline: str,
    metadata: list[str] | None,
    **same: Any,
) -> Plan:
    """The plan; options that are called as its fields are go there as they are.

    Raises UsageError naming the option at fault.
    """
    if duration and requests is not None:
        raise UsageError("--requests and --duration exclude each other.", fix="Give one of them.")
    if messages is not None and stream is Stream.UNARY:
        raise UsageError("--messages belongs to --stream.", fix="Give its kind, such as --stream bidi.")
    messages = MESSAGES if messages is None else messages
    if messages < 1:
        raise UsageError(f"--messages {messages} makes no sense.", fix="It takes a number above zero.")
    plan = Plan(
        requests=None if duration else max(50, 10 * clients * connections) if requests is None else requests,
        duration_s=parse_duration(duration, "--duration") if duration else None,
        clients=clients,
        connections=connections,
        service_config=text_or_file(service_config, "--service-config"),
        stream=stream,
        messages=1 if stream is Stream.UNARY else messages,
        method=method.lstrip("/"),
        data=text_or_file(data, "--data"),
        deadline_s=parse_duration(deadline, "--deadline"),
        metadata=metadata_pairs(metadata or []),
        **same,
    )
    return expecting(plan, expectation)
