"""What a client does: how many RPCs, how fast, over which channels."""

from __future__ import annotations

import json
import math
import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from whichpod.model.errors import UsageError


class Stream(StrEnum):
    """The kind of an RPC."""

    UNARY = "unary"
    SERVER = "server"
    CLIENT = "client"
    BIDI = "bidi"


class Arrivals(StrEnum):
    """When RPCs of an open loop start."""

    CONSTANT = "constant"
    """Evenly spaced."""
    POISSON = "poisson"
    """Independently of one another, as those of many users do."""


POLICIES = ("pick_first", "round_robin", "weighted_round_robin", "ring_hash_experimental")
"""Client policies that grpcio has compiled in; others go through a service config."""
PEER = "peer"
"""Plan.identify where the address of the TCP peer stands for the server."""
MOST_PAYLOAD = 2_000_000_000
"""Bytes; Protobuf allows a message of 2 GiB."""


@dataclass(frozen=True, slots=True)
class Plan:
    """A client's work. Counts are of RPCs; a stream is one RPC however many messages it carries."""

    requests: int | None = 50
    """How many RPCs, all clients together; None: until `duration_s` is over."""
    duration_s: float | None = None
    rate: float | None = None
    """RPCs per second started on schedule (open loop); None: each waits for the one before (closed loop)."""
    clients: int = 1
    connections: int = 1
    """Channels per client; each has a TCP connection of its own."""
    concurrency: int = 1
    """RPCs in flight per channel in closed loop. In open loop what is due beyond this many, or beyond 100 if
    that is more, counts as dropped."""
    policy: str = ""
    """A gRPC client policy by name; empty leaves gRPC's default, pick_first."""
    service_config: str = ""
    """A gRPC service config as JSON text; excludes `policy`."""
    stream: Stream = Stream.UNARY
    messages: int = 1
    """Messages per stream, where the RPC streams."""
    method: str = ""
    """Another service's unary method, `package.Service/Method`; empty: the echo service."""
    data: str = ""
    """That method's request as JSON (proto3 JSON mapping); empty: an empty message."""
    identify: str = ""
    """What tells who answered that method: `header:NAME`, `trailer:NAME` or `field:PATH` of the answer, or
    `peer`, the address at the other end of the connection; empty: the trailers that whichpod's own servers
    send, else nothing."""
    new_connection_per_request: bool = False
    shared_subchannels: bool = False
    """Whether channels share connections, as those of a process do unless gRPC is told otherwise."""
    payload_size: int = 0
    """Bytes of payload in each request."""
    deadline_s: float = 5.0
    may_fail: bool = False
    """Whether RPCs that reach nobody are a result. Else a run of which none can be done is given up, and the
    reason is an error."""
    warmup: int = 0
    """RPCs sent first, tagged as warm-up and not judged."""
    metadata: tuple[tuple[str, str], ...] = ()
    channel_options: tuple[tuple[str, int | str], ...] = ()
    """Arguments of the client's channels, as gRPC names them: ("grpc.keepalive_time_ms", 1000)."""
    timeline_s: float = 0.0
    """Seconds per interval of the report's timeline; 0: it has none."""
    warmup_s: float = 0.0
    """Load only: how long RPCs are sent first that count nowhere."""
    arrivals: Arrivals = Arrivals.CONSTANT
    """Load only: the schedule of an open loop."""
    workers: int = 1
    """Load only: processes that share the work."""
    message: str = ""
    """Load only: the method's request as its bytes, in base64, instead of `data`."""
    seed: int = 0
    """Seed of what is random in the client (payload, Poisson arrivals)."""

    @property
    def channels(self) -> int:
        """How many channels all clients have together."""
        return self.clients * self.connections

    @property
    def open_loop(self) -> bool:
        """Whether RPCs start on a schedule whatever became of those before."""
        return self.rate is not None

    def check(self) -> None:
        """Raises UsageError, naming the option, where the plan can't be run."""
        if (self.requests is None) == (self.duration_s is None):
            raise UsageError(
                "A plan takes either a number of requests or a duration.", fix="Give -n or --duration."
            )
        counts = {
            "--requests": self.requests, "--duration": self.duration_s, "--rate": self.rate,
            "--clients": self.clients, "--connections": self.connections, "--concurrency": self.concurrency,
            "--messages": self.messages, "--deadline": self.deadline_s, "--workers": self.workers,
        }  # fmt: skip
        for option, value in counts.items():
            if value is not None and not 0 < value < math.inf:
                raise UsageError(f"{option} {value:g} makes no sense.", fix="It takes a number above zero.")
        for option, value in {
            "--payload-size": self.payload_size, "--warmup": self.warmup, "--warmup ": self.warmup_s,
            "The timeline's interval": self.timeline_s,
        }.items():  # fmt: skip
            if not 0 <= value < math.inf:
                raise UsageError(f"{option.strip()} {value:g} makes no sense.", fix="It takes zero or more.")
        if self.payload_size > MOST_PAYLOAD:
            raise UsageError(
                f"--payload-size {self.payload_size} is more than a message holds.",
                fix=f"It takes {MOST_PAYLOAD} bytes at most.",
            )
        if self.policy and self.service_config:
            raise UsageError(
                "--policy and --service-config exclude each other.", fix="Name the policy in the config."
            )
        self._check_method()
        self.effective_service_config()

    def _check_method(self) -> None:
        if not self.method:
            if self.data or self.identify or self.message:
                raise UsageError("--data and --identify belong to --method.", fix="Name the method too.")
            return
        if not re.fullmatch(r"[A-Za-z_][\w.]*/[A-Za-z_]\w*", self.method):
            raise UsageError(
                f"--method {self.method!r} is no method.", fix="Write it like grpc.health.v1.Health/Check."
            )
        if self.stream is not Stream.UNARY or self.payload_size:
            raise UsageError(
                "--stream and --payload-size belong to the echo service.", fix="Leave --method away."
            )
        if self.identify and not re.fullmatch(r"(header|trailer|field):[\w.-]+|peer", self.identify):
            raise UsageError(
                f"--identify {self.identify!r} is not understood.",
                fix="Write header:NAME, trailer:NAME, field:PATH, such as field:server.pod, or peer.",
            )

    def effective_service_config(self) -> dict[str, Any]:
        """The service config that the channels get, {} for the default. Raises UsageError if bad."""
        if self.policy:
            return {"loadBalancingConfig": [{self.policy: {}}]}
        if not self.service_config:
            return {}
        try:
            config = json.loads(self.service_config)
        except json.JSONDecodeError as e:
            raise UsageError(
                f"The service config is not JSON: {e.msg} at line {e.lineno}, column {e.colno}.",
                fix='For example: {"loadBalancingConfig": [{"round_robin": {}}]}',
            ) from None
        if not isinstance(config, dict):
            raise UsageError("The service config is not a JSON object.", fix='It starts with "{".')
        return config
