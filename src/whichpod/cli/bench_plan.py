"""What the load commands share: their options, and the plan that these make."""

from __future__ import annotations

import base64
import dataclasses
from pathlib import Path
from typing import Annotated

import typer

from whichpod.cli.options import metadata_pairs, text_or_file
from whichpod.model.errors import UsageError
from whichpod.model.plan import Arrivals, Plan
from whichpod.model.units import parse_duration

DURATION, WARMUP = "10s", "1s"
STREAMS, OPEN_STREAMS = 20, 100
"""In closed loop, and in open loop, where it is a limit that is best not reached."""

Duration = Annotated[
    str, typer.Option("-d", "--duration", help="How long to send (30s, 1m30s) [default: 10s].")
]
Schedule = Annotated[
    Arrivals | None,
    typer.Option(
        "--arrivals", help="The schedule: evenly spaced, or as independent users [default: constant]."
    ),
]
Streams = Annotated[
    int | None,
    typer.Option(help="RPCs in flight per connection, at most [default: 20; with --rate 100]."),
]
Warmup = Annotated[
    str, typer.Option(help="Send so long first, which isn't measured [default: 1s; with --requests none].")
]
PayloadSize = Annotated[int, typer.Option(help="Random bytes to echo.")]
Payload = Annotated[str, typer.Option(help="What to echo: text, or the bytes of @FILE.")]
DataBinary = Annotated[str, typer.Option(help="Its request as serialised bytes: @FILE. Needs no reflection.")]
FailIf = Annotated[
    list[str] | None,
    typer.Option(
        help="Exit with 1 if this holds: p99>50ms, errors>0.1%, rps<1000, spread!=even, backend.p99>1s;"
        " repeatable."
    ),
]
Folder = Annotated[
    Path | None,
    typer.Option(
        "--report", help="Write bench.json, bench.md, bench.csv and HDR logs (.hgrm) into this folder."
    ),
]


def bench_plan(
    *,
    requests: int | None,
    duration: str,
    rate: float | None,
    arrivals: Arrivals | None,
    streams: int | None,
    connections: int | None,
    workers: int,
    warmup: str,
    deadline: str,
    method: str,
    data: str,
    data_binary: str,
    identify: str,
    metadata: list[str] | None,
    payload: str,
    payload_size: int,
    seed: int,
) -> tuple[Plan, bytes]:
    """The plan, with one worker, and the payload. Raises UsageError naming the option at fault."""
    from whichpod.cli.bench_call import bytes_of, payload_of

    given = {
        "--requests": requests, "--rate": rate, "--connections": connections, "--streams": streams,
        "--workers": workers,
    }  # fmt: skip
    for option, value in given.items():
        if value is not None and not value > 0:
            raise UsageError(f"{option} {value:g} makes no sense.", fix="It takes a number above zero.")
    if duration and requests is not None:
        raise UsageError("--requests and --duration exclude each other.", fix="Give one of them.")
    if arrivals and rate is None:
        raise UsageError("--arrivals belongs to --rate.", fix="Give a rate, such as --rate 1000.")
    if data and data_binary:
        raise UsageError("--data and --data-binary exclude each other.", fix="Give one of them.")
    timed = requests is None
    plan = Plan(
        requests=requests,
        duration_s=parse_duration(duration or DURATION, "--duration") if timed else None,
        rate=rate,
        arrivals=arrivals or Arrivals.CONSTANT,
        connections=connections or 1,
        concurrency=streams or (STREAMS if rate is None else OPEN_STREAMS),
        warmup_s=parse_duration(warmup or (WARMUP if timed else "0s"), "--warmup"),
        deadline_s=parse_duration(deadline, "--deadline"),
        method=method.lstrip("/"),
        data=text_or_file(data, "--data"),
        identify=identify,
        metadata=metadata_pairs(metadata or []),
        message=base64.b64encode(bytes_of(data_binary, "--data-binary")).decode(),
        seed=seed,
    )
    body = payload_of(plan, payload, payload_size)
    plan = dataclasses.replace(plan, payload_size=len(body))
    plan.check()
    return plan, body
