"""Options that the probing commands share: what is sent, how often, and over which channels."""

from __future__ import annotations

from typing import Annotated

import typer

from whichpod.model.plan import Stream

Duration = Annotated[str, typer.Option(help="Send for this long instead (10s, 1m30s).")]
Rate = Annotated[
    float | None,
    typer.Option(help="RPCs per second on a schedule (open loop); without it each waits for the one before."),
]
Clients = Annotated[int, typer.Option(help="Clients, each with channels of its own.")]
Connections = Annotated[int, typer.Option(help="Channels per client, each with a TCP connection of its own.")]
Concurrency = Annotated[int, typer.Option(help="RPCs in flight per channel.")]
Policy = Annotated[
    str,
    typer.Option(help="Client policy: pick_first (gRPC's default), round_robin, weighted_round_robin, ..."),
]
ServiceConfig = Annotated[str, typer.Option(help="gRPC service config: JSON or @FILE.")]
Kind = Annotated[Stream, typer.Option("--stream", help="Kind of the RPC.")]
Messages = Annotated[int | None, typer.Option(help="Messages per stream [default: 10].")]
NewConnections = Annotated[
    bool, typer.Option("--new-connection-per-request", help="A fresh channel for every RPC.")
]
PayloadSize = Annotated[int, typer.Option(help="Bytes of payload per request.")]
Warmup = Annotated[int, typer.Option(help="RPCs to send first, which aren't judged.")]
